"""The generated apps of every variant give the same answers, field by field, and the right ones.

Each runs beside a stand-in for Polar of its own, with the same catalogue and the same secrets, and is asked the same
steps in the same order, from outside. Each step is a test: it fails by its name.
"""

from __future__ import annotations

import datetime as dt
import difflib
import json
import re
import time
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests import parity
from tests.catalogues import CATALOGUES
from tests.parity import known
from tests.parity import step as made
from tests.parity.routes import ACTIONS
from tests.parity.step import Step
from tests.polar_server import Answer
from tests.support import apps, logs, openapi
from tests.support.polar_runtime import Call, PolarRuntime
from tests.support.render import TOKEN

STEPS = parity.steps()
# What the others are compared with.
WORKER = "worker-d1"
HEADERS = ("retry-after", "www-authenticate", "allow", "location")
CORS_HEADERS = tuple(
    f"access-control-{name}"
    for name in ("allow-origin", "allow-methods", "allow-headers", "allow-credentials", "max-age")
)
TIMEOUT = 30
# A server that answers before it has read a body closes the connection, and the reset may overtake the answer
# (RFC 9112, 9.6): such a request is sent a few times.
READ_IN_ANY_CASE = 1024 * 1024 + 1
RESETS = 4


@dataclass
class Outcome:
    """What one app did with a step: its answer, what it asked of Polar meanwhile, and what it logged of a webhook."""

    status: int
    headers: dict[str, str]
    body: Any
    polar: list[dict[str, Any]]
    logged: list[dict[str, Any]] = field(default_factory=list)
    # What its log got meanwhile: not compared, only shown beside a difference.
    log: str = ""


@dataclass
class App:
    """A running app, its Polar, and its log."""

    base: str
    polar: PolarRuntime
    client: httpx.Client
    log: Path

    def take(self, step: Step, headers: dict[str, str]) -> Outcome:
        """Ask one step."""
        if step.prepare:
            step.prepare(self.polar)
        before = len(self.polar.calls)
        logged = self.log.stat().st_size
        for _ in range(step.times):
            try:
                answer = self._send(step, headers)
            except httpx.HTTPError as error:
                return Outcome(0, {}, f"{type(error).__name__}: {error}", [])
            if step.times > 1 and answer.status_code == step.status:
                break
        if step.method == "OPTIONS" and "origin" in headers:
            return Outcome(0, {}, {"granted": _granted(answer, headers)}, [])
        asked = [call for call in self.polar.calls[before:] if not (_is_background(call) or _is_unpolled(call, step))]
        calls = [_told(call, self) for call in asked]
        chosen = {name: answer.headers[name] for name in (*HEADERS, *CORS_HEADERS) if name in answer.headers}
        chosen["content-type"] = answer.headers.get("content-type", "").partition(";")[0]
        return Outcome(answer.status_code, chosen, self._read(answer), calls, log=self._log_since(logged))

    def _log_since(self, size: int) -> str:
        with self.log.open(errors="replace") as file:
            file.seek(size)
            return file.read(2000)

    def logs(self) -> dict[str, list[dict[str, Any]]]:
        """The lines about webhooks in its log, by the id of the delivery."""
        found: dict[str, list[dict[str, Any]]] = {}
        for entry in logs.events(self.log):
            if entry["event"] == "webhook":
                about = {name: entry.get(name) for name in ("type", "outcome", "customer_id")}
                found.setdefault(str(entry.get("webhook_id")), []).append(about)
        return found

    def _send(self, step: Step, headers: dict[str, str]) -> httpx.Response:
        for _ in range(RESETS if len(step.body or b"") > READ_IN_ANY_CASE else 0):
            with suppress(httpx.ReadError, httpx.WriteError):
                return self._send_once(step, headers)
        return self._send_once(step, headers)

    def _send_once(self, step: Step, headers: dict[str, str]) -> httpx.Response:
        raw = [(name.encode(), value.encode()) for name, value in headers.items()]
        return self.client.request(step.method, _url(self.base, step.path), content=step.body or None, headers=raw)

    def _read(self, answer: httpx.Response) -> Any:
        text = self.plain(answer.text)
        try:
            return json.loads(text)
        except ValueError:
            return text

    def plain(self, text: str) -> str:
        """A text without the addresses that differ between the two."""
        return text.replace(self.base, "{app}").replace(self.polar.url, "{polar}")


def _url(base: str, path: str) -> httpx.URL:
    """The address with the path as it is: nothing resolved, nothing escaped anew."""
    return httpx.URL(base).copy_with(raw_path=path.encode())


def _is_background(call: Call) -> bool:
    """Whether a call is of a reconciliation, which each runtime runs at a time of its own."""
    return call.method == "GET" and (call.path.endswith("/state") or "customer_id" in call.query)


def _is_unpolled(call: Call, step: Step) -> bool:
    """Whether the background asks about a checkout that nobody polls, also at a time of its own."""
    path, _, checkout = call.path.rpartition("/")
    return call.method == "GET" and path == "/v1/checkouts" and checkout not in step.path


def _no_reconciliation(call: Call) -> Answer | None:
    """Deliveries alone make the state here: where Polar is broken, reconciling changes nothing."""
    return Answer(500, {"error": "InternalServerError"}) if _is_background(call) else None


def _granted(answer: httpx.Response, asked: dict[str, str]) -> bool:
    """Whether a browser sends the request after this answer to its preflight; the answers may differ in form."""
    methods, names = (_listed(answer, f"access-control-allow-{kind}") for kind in ("methods", "headers"))
    wanted = {name.strip() for name in asked["access-control-request-headers"].split(",")}
    origin = answer.headers.get("access-control-allow-origin") == asked["origin"]
    return (
        answer.is_success and origin and asked["access-control-request-method"].lower() in methods and wanted <= names
    )


def _listed(answer: httpx.Response, header: str) -> set[str]:
    return {part.strip().lower() for part in answer.headers.get(header, "").split(",")}


def _told(call: Call, app: App) -> dict[str, Any]:
    body = json.loads(app.plain(json.dumps(call.body)))
    query = {name: value for name, value in call.query.items() if name != "sorting"}  # one SDK states the default
    return {"method": call.method, "path": call.path, "query": query, "body": body}


@contextmanager
def running(variant: apps.Variant, project: Path, folder: Path) -> Generator[App]:
    """The app of that variant beside a Polar that has the shop."""
    with ExitStack() as stack:
        polar = stack.enter_context(PolarRuntime(CATALOGUES["shop"](), now=lambda: made.NOW))
        polar.always = _no_reconciliation
        # Of this minute, however long ago the steps were made: the background asks about older ones, and then no route.
        polar.checkout_now = lambda: dt.datetime.now(dt.UTC)
        settings = {
            "POLAR_ACCESS_TOKEN": TOKEN,
            "POLAR_BASE_URL": polar.url,
            "POLAR_WEBHOOK_SECRET": f"{made.LEGACY}, {made.STANDARD},",
            "AUTH_JWT_SECRET": made.JWT_SECRET,
            "ALLOWED_ORIGINS": made.ORIGIN,
        }
        base = stack.enter_context(apps.running(variant, project, folder, settings))
        client = stack.enter_context(httpx.Client(timeout=TIMEOUT, headers={"accept": "application/json"}))
        yield App(base, polar, client, folder / "app.log")


@pytest.fixture(scope="module")
def project_of(
    template: Path, polar_with: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[apps.Variant], Path]:
    """The project of a variant, of the usual shop; rendered and installed once, with more calls to Polar."""
    return apps.with_more_calls(apps.rendered_once("shop", template, polar_with, tmp_path_factory.mktemp("parity")))


@dataclass(frozen=True)
class Seen:
    """What each variant did, by the step's name, and the command lines of all processes while they ran."""

    outcomes: dict[str, dict[str, Outcome]]
    command_lines: dict[Path, bytes]


@pytest.fixture(scope="module")
def seen(
    project_of: Callable[[apps.Variant], Path], tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Seen:
    """All steps run once, in their order.

    With `--full` those of two processes too.
    """
    full = request.config.getoption("--full") or request.config.getoption("--rest")
    with ExitStack() as stack:
        running_apps = {
            variant.name: stack.enter_context(
                running(variant, project_of(variant), tmp_path_factory.mktemp(variant.name))
            )
            for variant in apps.VARIANTS
            if full or variant.processes == 1
        }
        command_lines = _command_lines()
        pool = stack.enter_context(ThreadPoolExecutor(len(running_apps)))
        found = {step.name: _take(step, running_apps, pool) for step in STEPS}
        time.sleep(0.5)  # for the last lines of the logs
        _add_logs(found, running_apps)
    return Seen(found, command_lines)


@pytest.fixture(scope="module")
def outcomes(seen: Seen) -> dict[str, dict[str, Outcome]]:
    """What each variant did, by the step's name."""
    return seen.outcomes


def _command_lines() -> dict[Path, bytes]:
    """The command line of every process, which every user of the machine can read."""
    found = {}
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):  # it has ended
            found[file] = file.read_bytes()
    return found


def _take(step: Step, running_apps: dict[str, App], pool: ThreadPoolExecutor) -> dict[str, Outcome]:
    time.sleep(step.pause)
    if step.times > 1 and time.time() % 60 > 55:
        time.sleep(60 - time.time() % 60)  # a limit per minute is not to be met by two minutes
    headers = step.headers()
    return dict(zip(running_apps, pool.map(lambda app: app.take(step, headers), running_apps.values()), strict=True))


def _add_logs(found: dict[str, dict[str, Outcome]], running_apps: dict[str, App]) -> None:
    for name, app in running_apps.items():
        logs = app.logs()
        for step in STEPS:
            lines = logs.get(step.webhook_id, []) if step.outcome else []
            if lines:
                found[step.name][name].logged.append(lines.pop(0))


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.name.encode("ascii", "replace").decode())
def test_all_answer_alike_and_rightly(
    step: Step, outcomes: dict[str, dict[str, Outcome]], request: pytest.FixtureRequest
) -> None:
    told = outcomes[step.name]
    if why := known.reason(step.name):
        request.applymarker(pytest.mark.xfail(reason=why, strict=False))
    problems = [problem for name, outcome in told.items() for problem in _wrong(name, outcome, step)]
    for name, outcome in told.items():
        problems += _different(told[WORKER], outcome, name)
    if problems:
        problems += [f"{name} logged meanwhile: {outcome.log}" for name, outcome in told.items()]
    assert not problems, f"{step.method} {step.path}\n" + "\n".join(problems)


def test_no_secret_is_in_a_command_line(seen: Seen) -> None:
    lines = seen.command_lines.values()
    assert any(b"wrangler" in line for line in lines), "no app ran"
    secrets = (TOKEN, made.LEGACY, made.STANDARD, made.JWT_SECRET)
    shown = [path for path, line in seen.command_lines.items() if any(secret.encode() in line for secret in secrets)]
    assert not shown, shown


def test_every_route_and_status_of_the_contract_is_asked_for(project_of: Callable[[apps.Variant], Path]) -> None:
    document = openapi.document(project_of(openapi.VARIANT))
    promised = {
        (method.upper(), path, int(status))
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
        for status in operation["responses"]
        if status.isdigit()
    }
    asked = {(step.method, _route(step.path, document["paths"]), step.status) for step in STEPS}
    # One process of an app cannot be made to fail in this way from outside; the faults are in tests/conformance.
    elsewhere = {("POST", "/webhooks/polar", 503), ("GET", "/healthz", 503)}
    # A block is the operator's, and Polar's silence takes half a minute: the projects' own tests have both.
    elsewhere |= {("POST", "/billing/checkout", 403)}
    elsewhere |= {("POST", f"/billing/subscription/{action}", status) for action in ACTIONS for status in (403, 504)}
    missing = sorted(promised - asked - elsewhere)
    assert not missing, "\n".join(map(str, missing))


def _route(path: str, routes: Iterable[str]) -> str:
    """The route of the document that a path belongs to, or the path itself."""
    plain = path.partition("?")[0]
    patterns = {route: re.sub(r"\{\w+\}", "[^/]+", route) for route in routes}
    return next((route for route, pattern in patterns.items() if re.fullmatch(pattern, plain)), plain)


def _wrong(name: str, outcome: Outcome, step: Step) -> list[str]:
    """Where an answer is not the expected one."""
    problems = []
    if outcome.status != step.status:
        problems.append(f"{name} answered {outcome.status}, not {step.status}: {str(outcome.body)[:300]}")
    for path, value in step.expected.items():
        if (is_now := _at(outcome.body, path)) != value:
            problems.append(f"{name} said {path}: {is_now!r}, not {value!r}")
    logged = [entry["outcome"] for entry in outcome.logged]
    if step.outcome and logged != [step.outcome]:
        problems.append(f"{name} logged {logged}, not {step.outcome!r}")
    return problems


def _at(body: Any, path: str) -> Any:
    """The value at a dotted path."""
    for part in path.split("."):
        try:
            body = body[int(part) if isinstance(body, list) else part]
        except (KeyError, IndexError, TypeError, ValueError):
            return f"nothing at {part}"
    return body


def _different(worker: Outcome, other: Outcome, name: str) -> list[str]:
    """The lines in which the two differ."""
    left, right = (json.dumps(_comparable(each), indent=1, sort_keys=True).splitlines() for each in (worker, other))
    return list(difflib.unified_diff(left, right, WORKER, name, n=2, lineterm=""))


def _comparable(outcome: Outcome) -> dict[str, Any]:
    return {**vars(outcome), "log": ""}
