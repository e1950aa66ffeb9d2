"""What `simulate` and `token` work on in these tests: a project, what it says over the bridge, and a running app."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
import yaml

from copier_polar import cli
from copier_polar.facts import Facts, read_facts
from copier_polar.project import Project
from copier_polar.simulation.scenarios import Scenario
from hooks.answers import billing_facts, is_free, unsellable
from hooks.demo import demo_catalogue
from hooks.snapshot import take_snapshot
from tests.support.api_version import API_VERSION
from tests.support.deliveries import new_secret
from tests.support.loopback import LoopbackServer
from tests.tool.fake_bridge import FakeBridge, make_facts

Json = dict[str, Any]

WEBHOOK_SECRET = new_secret("standard")
JWT_SECRET = "0123456789abcdefghijklmnopqrstuvwxyz"
GRACE_DAYS = 14
SETTINGS_FILE = {"worker": ".dev.vars", "fastapi": ".env"}


def catalogue(answer: Json | None = None, sold: Callable[[Json], bool] = lambda product: True) -> Json:
    """A project's catalogue over the bridge, made of Polar's answer; what costs money is premium."""
    snapshot = take_snapshot(answer or demo_catalogue(), "sandbox", None, API_VERSION, None, [], unsellable)
    products = [product for product in snapshot["products"] if not unsellable(product) and sold(product)]
    paid = [product["key"] for product in products if not is_free(product)]
    return billing_facts(snapshot, [product["key"] for product in products], paid)


def raw_facts(runtime: str = "fastapi", settings: Json | None = None, **more: Any) -> Json:
    """What a project says of itself; `settings` changes a part of what it says of its settings."""
    return {**make_facts(runtime, **settings or {}), "grace_days": GRACE_DAYS, "catalogue": catalogue(), **more}


def facts(**more: Any) -> Facts:
    """The same, read."""
    return read_facts(raw_facts(**more))


@dataclass
class Said:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The document that `--json` printed."""
        return json.loads(self.out)


@dataclass
class Operated:
    """A project in a folder, whose commands run in this process."""

    folder: Path
    runtime: str
    capture: pytest.CaptureFixture[str]
    patch: pytest.MonkeyPatch
    facts: Json

    def set(self, **settings: str) -> None:
        """Write the settings that the app has."""
        lines = [f"{name}='{value}'\n" for name, value in settings.items()]
        (self.folder / SETTINGS_FILE[self.runtime]).write_text("".join(lines))

    def run(self, *command: str) -> Said:
        """Call a command in the project's folder."""
        self.patch.chdir(self.folder)
        self.patch.setattr(
            Project, "start_bridge", lambda project, store: FakeBridge(self.folder, self.facts, migrated=False)
        )
        with pytest.raises(SystemExit) as ended:
            cli.main(command)
        said = self.capture.readouterr()
        code = ended.value.code
        assert isinstance(code, int | None)
        return Said(code or 0, said.out, said.err)


def operated(
    folder: Path, runtime: str, capture: pytest.CaptureFixture[str], patch: pytest.MonkeyPatch, auth: str = "jwt"
) -> Operated:
    """Make a project of this runtime, with the secrets of these tests."""
    answers = {"runtime": runtime, "auth": auth, "polar_catalog": {"format": 1}}
    (folder / ".copier-answers.yml").write_text(yaml.safe_dump(answers))
    patch.setenv("NO_COLOR", "1")
    patch.setenv("COLUMNS", "200")
    for name in ("POLAR_WEBHOOK_SECRET", "AUTH_JWT_SECRET", "POLAR_SERVER", "POLAR_BILLING_BRIDGE"):
        patch.delenv(name, raising=False)
    project = Operated(folder, runtime, capture, patch, raw_facts(runtime))
    project.set(POLAR_WEBHOOK_SECRET=WEBHOOK_SECRET, AUTH_JWT_SECRET=JWT_SECRET, POLAR_SERVER="demo")
    return project


def simulate(project: Operated, app: App, *command: str) -> Said:
    """Simulate at a running app."""
    return project.run("simulate", *command, "--url", app.url)


def expected(scenario: Scenario, grace_days: int = GRACE_DAYS) -> list[bool]:
    """The access after each step."""
    return [step.access_with(grace_days) for step in scenario.steps]


def as_expected(*scenarios: Scenario, grace_days: int = GRACE_DAYS) -> Iterator[bool]:
    """What an app answers that is asked before and after each step, and is as it should be."""
    for scenario in scenarios:
        before = False
        for after in expected(scenario, grace_days):
            yield from (before, after)
            before = after


def claims_of(token: str, secret: str = JWT_SECRET) -> Json:
    """What a token says, if this secret signed it."""
    head, body, signature = token.split(".")
    assert json.loads(_decoded(head)) == {"alg": "HS256", "typ": "JWT"}
    if not hmac.compare_digest(
        hmac.digest(secret.encode(), f"{head}.{body}".encode(), hashlib.sha256), _decoded(signature)
    ):
        return {}
    found: Json = json.loads(_decoded(body))
    return found


def _decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


class App(LoopbackServer):
    """A running app: it takes signed events, and gives access to whoever it knows as the test says."""

    def __init__(self, accesses: Iterator[bool] | None = None) -> None:
        self.accesses = iter(()) if accesses is None else accesses
        self.events: list[Json] = []
        self.users: list[str] = []
        self.answers: dict[str, int] = {}  # the status by the type of an event, where it is not 202
        self.access_answer: tuple[int, bytes] | None = None
        self.cookie = ""  # signs in where it is set, and no token then
        self.on_event: Callable[[], None] = lambda: None

    def handler(self) -> type[BaseHTTPRequestHandler]:
        app = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                event = json.loads(body)
                status = app.answers.get(event["type"], 202) if app.is_signed(self.headers, body) else 401
                if status != 401:
                    app.events.append({"id": self.headers["webhook-id"], **event})
                    app.on_event()
                self.answer(status if self.path == "/webhooks/polar" else 404, b"")

            def do_GET(self) -> None:
                user = app.user(self.headers)
                app.users.append(user)
                access = json.dumps({"access": next(app.accesses, False)}).encode()
                status, body = app.access_answer or ((200, access) if user else (401, b"{}"))
                self.answer(status if self.path == "/billing/access" else 404, body)

            def answer(self, status: int, body: bytes) -> None:
                with suppress(OSError):  # Ctrl-C may have ended who asked
                    self.send_response(status)
                    self.send_header("Content-Length", str(len(body)))
                    self.end_headers()
                    self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                pass

        return Handler

    def user(self, headers: Any) -> str:
        """Who is signed in."""
        if self.cookie:
            return str(headers["Cookie"] or "").removeprefix(self.cookie)
        return str(claims_of(str(headers["Authorization"]).removeprefix("Bearer ")).get("sub", ""))

    def is_signed(self, headers: Any, body: bytes) -> bool:
        """Whether the test's secret signed a delivery."""
        signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
        digest = hmac.digest(WEBHOOK_SECRET.encode(), signed, hashlib.sha256)
        return str(headers["webhook-signature"]) == f"v1,{base64.b64encode(digest).decode()}"
