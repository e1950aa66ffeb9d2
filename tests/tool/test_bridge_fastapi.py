"""The bridge of a FastAPI project, asked as the tool asks it, on every database it can have."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from copier_polar.bridge import (
    Bridge,
    BridgeBroken,
    DemoProblem,
    PolarGoneProblem,
    PolarProblem,
    SettingsProblem,
    StoreProblem,
    UnreadableProblem,
)
from copier_polar.facts import read_facts
from tests.catalogues import CATALOGUES
from tests.polar_server import Answer
from tests.support import apps, python_env
from tests.support.polar_runtime import PolarRuntime
from tests.support.render import TOKEN, render

SECRET = "whsec_bridge_0123456789abcdefghijkl"
NOISE = """

import logging
import os
import subprocess
import sys

print("noise at import")


@router.get("/noise")
def noise() -> dict[str, str]:
    print("noise in a handler")
    logging.getLogger("own").warning("noise in the log")
    os.write(1, b"noise by number\\n")
    subprocess.run(["echo", "noise of a child"], check=True)
    return {"read": sys.stdin.read()}
"""
HANDLER = """
def noise(payload, delivery):
    print("noise of a reaction")


reactions["order_paid"] = noise
"""


class Site:
    """A project with a database of its own beside a Polar."""

    def __init__(self, project: Path, python: python_env.PythonEnvironment, url: str, polar: PolarRuntime) -> None:
        self.project, self.polar = project, polar
        self.command = [str(python.bin("python")), "-m", "app.billing.bridge"]
        self.environment = {
            **python.variables(project),
            "POLAR_SERVER": "sandbox",
            "POLAR_ACCESS_TOKEN": TOKEN,
            "POLAR_BASE_URL": polar.url,
            "POLAR_WEBHOOK_SECRET": SECRET,
            "APP_URL": "https://app.example.com",
            "AUTH_JWT_SECRET": "0123456789abcdefghijklmnopqrstuvwxyz",
            "AUTH_ISSUER": "issuer",
            "DATABASE_URL": url,
        }

    def start(self, **settings: str | None) -> Bridge:
        """A bridge, with other settings than usual; None takes one away."""
        environment = {name: value for name, value in {**self.environment, **settings}.items() if value is not None}
        return Bridge(self.command, self.project, environment)

    @contextmanager
    def process(self) -> Generator[subprocess.Popen[bytes]]:
        """The process itself, without the tool's side."""
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        with subprocess.Popen(self.command, cwd=self.project, env=self.environment, **pipes) as process:
            yield process
            process.kill()


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def site(
    request: pytest.FixtureRequest,
    template: Path,
    polar_with: Callable[[str], str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Generator[Site]:
    """A project whose own code prints wherever it can, migrated."""
    variant = next(each for each in apps.VARIANTS if each.name == f"fastapi-{request.param}")
    folder = tmp_path_factory.mktemp("bridge")
    project = render(variant.profile("shop"), template, folder / "project", polar_with("shop"))
    for name, code in {"own_routes.py": NOISE, "reactions.py": HANDLER}.items():
        with (project / "src" / "app" / name).open("a") as file:
            file.write(code)
    with ExitStack() as stack:
        url = apps.database_url(variant, folder, stack)
        polar = stack.enter_context(PolarRuntime(CATALOGUES["shop"]()))
        made = Site(project, python_env.environment([project]), url, polar)
        with made.start() as bridge:
            assert bridge.call("migrations") == {"answers": True, "current": False}
            assert bridge.call("migrate") == {}
        yield made


@pytest.fixture(scope="module")
def _running(site: Site) -> Generator[Bridge]:
    with site.start() as running:
        yield running


@pytest.fixture
def bridge(site: Site, _running: Bridge) -> Bridge:
    """The one bridge of these tests, on an empty database."""
    site.polar.next_answers.clear()
    tables = _running.call("facts")["tables"]
    _running.batch(*((f"DELETE FROM {name}", {}) for name in tables))
    return _running


def request(bridge: Bridge, method: str, path: str, **options: Any) -> Any:
    return bridge.call(
        "request", **{"method": method, "path": path, "headers": {}, "body": None, "user": None} | options
    )


def deliver(bridge: Bridge, kind: str, data: dict[str, Any], webhook_id: str) -> int:
    """Deliver a signed event through the app."""
    body = json.dumps({"type": kind, "timestamp": "2026-11-01T00:00:00Z", "data": data})
    stamp = str(int(time.time()))
    digest = hmac.digest(SECRET.encode(), f"{webhook_id}.{stamp}.{body}".encode(), hashlib.sha256)
    headers = {"content-type": "application/json", "webhook-id": webhook_id, "webhook-timestamp": stamp}
    headers["webhook-signature"] = f"v1,{base64.b64encode(digest).decode()}"
    return int(request(bridge, "POST", "/webhooks/polar", headers=headers, body=body)["status"])


def order(customer: str, product: str | None) -> dict[str, Any]:
    return {
        "id": "o1",
        "created_at": "2026-11-01T00:00:00Z",
        "status": "paid",
        "billing_reason": "purchase",
        "product_id": product,
        "customer_id": customer,
        "customer": {"id": customer, "external_id": "user_1", "email": "ann@example.com"},
    }


def test_a_password_in_an_address_does_not_cross_the_bridge(site: Site) -> None:
    with site.start(POLAR_BASE_URL="https://user:p4ssw0rd@polar.example.com/api") as bridge:
        facts = bridge.call("facts")
    assert facts["settings"]["problem"].startswith("POLAR_BASE_URL: must be ")
    assert facts["settings"]["base_url"] is None
    assert "p4ssw0rd" not in json.dumps(facts)
    with site.start(POLAR_BASE_URL="https://polar.example.com/api/") as bridge:
        assert bridge.call("facts")["settings"]["base_url"] == "https://polar.example.com/api"
    with site.start(POLAR_BASE_URL=None) as bridge:
        assert bridge.call("facts")["settings"]["base_url"] is None


def test_the_project_describes_itself(site: Site, bridge: Bridge) -> None:
    raw = bridge.call("facts")
    facts = read_facts(raw)
    kind = site.environment["DATABASE_URL"][:6]
    assert (facts.runtime, facts.database[:6]) == ("fastapi", kind)
    assert [product.key for product in facts.catalogue.products][:1] == ["free"]
    assert facts.settings.server == facts.catalogue.server == "sandbox"
    assert (facts.settings.issuer, facts.settings.is_local, facts.settings.problem) == ("issuer", False, "")
    assert {"POLAR_ACCESS_TOKEN", "DATABASE_URL"} <= facts.settings.present
    assert facts.tables is not None
    assert "status" in facts.tables["billing_orders"]["columns"]
    assert facts.events["order.paid"] == "order"
    assert not any(secret in json.dumps(raw) for secret in (TOKEN, SECRET, site.environment["AUTH_JWT_SECRET"]))


def test_invalid_settings_leave_the_facts(site: Site) -> None:
    with site.start(POLAR_SERVER="moon", APP_URL=None) as bridge:
        settings = bridge.call("facts")["settings"]
        assert settings["problem"].count("\n") == 1
        assert (settings["server"], settings["app_url"]) == (None, None)
        for operation in ("migrations", "migrate", "routes"):
            with pytest.raises(SettingsProblem, match="POLAR_SERVER: must be"):
                bridge.call(operation)


def test_without_a_store_the_facts_and_one_line(site: Site, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    url = site.environment["DATABASE_URL"]
    away = f"sqlite:///{tmp_path / 'folder'}" if url.startswith("sqlite") else "postgresql://u:hidden@127.0.0.1:9/x"
    with site.start(DATABASE_URL=away) as bridge:
        target = bridge.call("facts")["target"]
        assert target == away.replace("hidden", "***")
        assert bridge.call("migrations") == {"answers": False, "current": False}
        with pytest.raises(StoreProblem, match=r"^The database refused: \w+Error\.$"):
            bridge.sql("SELECT 1 AS one")


def test_no_part_of_a_password_is_shown(site: Site) -> None:
    kind = site.environment["DATABASE_URL"].partition(":")[0]
    with site.start(DATABASE_URL=f"{kind}://u:a%40b@host/x?password=hidden&a=1") as bridge:
        assert bridge.call("facts")["target"] == f"{kind}://u:***@host/x?a=1"
    with site.start(DATABASE_URL=f"{kind}://u:hid@den@host/x") as bridge:
        facts = bridge.call("facts")
    assert facts["settings"]["problem"].startswith("DATABASE_URL: ")
    assert (facts["target"], "den" in json.dumps(facts["settings"])) == ("", False)


def test_what_the_project_prints_is_no_answer(site: Site, capfd: pytest.CaptureFixture[str]) -> None:
    with site.start() as bridge:
        answer = request(bridge, "GET", "/noise")
    assert (answer["status"], json.loads(answer["body"])) == (200, {"read": ""})
    printed = capfd.readouterr()
    assert printed.out == ""
    for noise in ("at import", "in a handler", "in the log", "by number", "of a child"):
        assert f"noise {noise}" in printed.err


def test_the_app_is_asked_in_process_as_anybody(bridge: Bridge) -> None:
    assert request(bridge, "GET", "/billing/access")["status"] == 401
    answer = request(bridge, "GET", "/billing/access", user={"id": "user_1", "email": "a@example.com"})
    assert (answer["status"], json.loads(answer["body"])["reason"]) == (200, "none")
    assert answer["headers"]["content-type"] == "application/json"
    assert request(bridge, "GET", "/billing/access")["status"] == 401
    assert {"method": "POST", "path": "/webhooks/polar"} in bridge.call("routes")
    assert any("{" in route["path"] for route in bridge.call("routes"))


def test_statements_are_one_transaction(bridge: Bridge) -> None:
    add = "INSERT INTO billing_customers (id, external_id, created_us) VALUES (:id, :user, :at) RETURNING id"
    added = bridge.batch(
        (add, {"id": "c1", "user": "ü'\U0001f600", "at": 2**53}), (add, {"id": "c2", "user": None, "at": 1})
    )
    assert added == [[{"id": "c1"}], [{"id": "c2"}]]
    with pytest.raises(StoreProblem, match=r"^The database refused: \w+\.$") as refused:
        bridge.batch((add, {"id": "c3", "user": None, "at": 1}), (add, {"id": "c1", "user": "secret", "at": 1}))
    assert "secret" not in str(refused.value)
    rows = bridge.sql("SELECT id, external_id, created_us FROM billing_customers ORDER BY id")
    assert [row["id"] for row in rows] == ["c1", "c2"]
    assert (rows[0]["external_id"], rows[0]["created_us"]) == ("ü'\U0001f600", 2**53)
    total = "SELECT SUM(created_us) AS total, COUNT(*) AS count FROM billing_customers WHERE created_us < :limit"
    assert bridge.sql(total, limit=10) == [{"total": 1, "count": 1}]
    assert bridge.sql("UPDATE billing_customers SET name = 'x' WHERE id = :id", id="c1") == []


def test_events_are_read_stored_and_applied_once_more(bridge: Bridge) -> None:
    product = bridge.call("facts")["catalogue"]["products"][-1]["id"]
    assert deliver(bridge, "order.paid", order("c1", product), "w1") == 202
    (stored,) = bridge.sql("SELECT body, state FROM billing_webhook_events")
    assert (json.loads(stored["body"])["type"], stored["state"]) == ("order.paid", "processed")
    bridge.sql("DELETE FROM billing_reactions")
    assert bridge.call("replay", webhook_id="w1", reactions=False) == {"outcome": "processed"}
    assert bridge.sql("SELECT reaction FROM billing_reactions") == []
    assert bridge.call("replay", webhook_id="w1", reactions=True) == {"outcome": "processed"}
    assert "order_paid" in [row["reaction"] for row in bridge.sql("SELECT reaction FROM billing_reactions")]
    assert bridge.call("replay", webhook_id="unknown", reactions=False) == {"outcome": None}
    assert bridge.call("decide", user="user_1", at=None)["access"] is True
    assert bridge.call("decide", user="nobody", at=0)["reason"] == "none"
    assert bridge.call("read_event", type="order.paid", data={"id": "o"})["projection"] == "order"
    assert bridge.call("read_event", type="order.paid", data={})["problem"] == "Unreadable: id is missing"
    assert bridge.call("read_event", type="moon.full", data={}) == {"projection": None, "problem": None}


def test_the_rule_for_one_purchase(bridge: Bridge) -> None:
    held = {"id": "x", "product_id": None, "created_us": 0}
    paid = bridge.call("standing", kind="order", held={**held, "status": "paid"}, at=0)
    assert paid == {"access": True}
    period = {"customer_id": "c", "current_period_start_us": 0, "current_period_end_us": 10}
    for status, access in {"active": True, "canceled": False}.items():
        found = bridge.call("standing", kind="subscription", held={**held, **period, "status": status}, at=5)
        assert found == {"access": access}


def test_customers_are_compared_with_polar(site: Site, bridge: Bridge) -> None:
    site.polar.add_customer("user_1", "new@example.com", id="c1")
    bridge.sql("INSERT INTO billing_customers (id, email, created_us) VALUES ('c1', 'old@example.com', 1)")
    site.polar.calls.clear()
    found = bridge.call("drift", customer="c1")
    assert found["calls"] == len(site.polar.calls) == 4
    columns = {each["column"]: (each["here"], each["polar"]) for each in found["differences"]}
    assert columns["email"] == ("(personal)", "(personal)")
    assert columns["external_id"] == (None, "user_1")
    assert "example.com" not in json.dumps(found)
    assert bridge.call("reconcile", customer="c1") == {"outcome": "written", "rows": 1, "calls": 4}
    assert bridge.call("reconcile", customer="c1") == {"outcome": "equal", "rows": 0, "calls": 4}
    assert bridge.call("drift", customer="gone") == {"differences": None, "calls": 1}
    assert bridge.call("reconcile", customer="gone") == {"outcome": "gone", "rows": 0, "calls": 1}


def test_what_polar_refuses_is_told(site: Site, bridge: Bridge) -> None:
    site.polar.next_answers.append(Answer(429, {"error": "RateLimited", "detail": "slow"}, {"retry-after": "7"}))
    with pytest.raises(PolarProblem, match="Polar answered 429 RateLimited") as limited:
        bridge.call("reconcile", customer="c1")
    assert (limited.value.status, limited.value.error, limited.value.retry_after) == (429, "RateLimited", 7)
    assert not isinstance(limited.value, PolarGoneProblem)
    with site.start(POLAR_BASE_URL="http://127.0.0.1:9") as away, pytest.raises(PolarProblem) as silent:
        away.call("drift", customer="c1")
    assert silent.value.status == 0


def test_an_answer_without_what_it_needs_is_unreadable(site: Site, bridge: Bridge) -> None:
    site.polar.next_answers.append(Answer(200, {"id": "c1"}))
    with pytest.raises(UnreadableProblem, match="is missing"):
        bridge.call("drift", customer="c1")


def test_demo_products_are_not_at_polar(site: Site) -> None:
    with site.start(POLAR_SERVER="demo") as bridge, pytest.raises(DemoProblem):
        bridge.call("reconcile", customer="c1")


@pytest.mark.parametrize(
    "line",
    [
        b"nonsense",
        b"[]",
        b"{}",
        b'{"id":1}',
        b'{"id":1,"op":"nonsense"}',
        b'{"id":1,"op":"_billing"}',
        b'{"id":1,"op":["sql"]}',
        b'{"id":1,"op":"decide"}',
        b'{"id":1,"op":"facts","more":1}',
        b"[" * 100_000,
    ],
)
def test_what_is_no_request_is_answered_as_such(site: Site, malformed: Callable[[bytes], Any], line: bytes) -> None:
    answer = malformed(line)
    assert answer["error"]["kind"] == "bad_request"
    assert answer["id"] == (1 if b'"id":1' in line else None)


@pytest.fixture(scope="module")
def malformed(site: Site) -> Generator[Callable[[bytes], Any]]:
    with site.process() as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert json.loads(process.stdout.readline()) == {"bridge": 1, "runtime": "fastapi"}

        def ask(line: bytes) -> Any:
            process.stdin.write(line + b"\n")
            process.stdin.flush()
            return json.loads(process.stdout.readline())

        yield ask


def test_a_request_of_the_wrong_form_names_no_more_than_a_class(bridge: Bridge) -> None:
    with pytest.raises(BridgeBroken, match="could not do `sql`: TypeError"):
        bridge.call("sql", statements=[1])
    assert bridge.sql("SELECT 1 AS one") == [{"one": 1}]


def test_it_ends_with_the_tool(site: Site) -> None:
    with site.process() as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdout.readline()
        process.stdin.write(b'{"id":1,"op":"routes"}\n')
        process.stdin.close()
        process.stdout.close()
        assert process.wait(60) == 0


def test_it_outlives_no_tool_that_was_killed(site: Site, tmp_path: Path) -> None:
    """The pipe's end is what tells it: whoever starts it is gone without a word."""
    script = tmp_path / "tool.py"
    script.write_text(
        "import subprocess, sys\n"
        "pipes = {'stdin': subprocess.PIPE, 'stdout': subprocess.PIPE}\n"
        f"p = subprocess.Popen({site.command!r}, start_new_session=True, **pipes)\n"
        "p.stdout.readline()\nprint(p.pid, flush=True)\nsys.stdin.read()\n"
    )
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(
        [site.command[0], script], cwd=site.project, env=site.environment, text=True, **pipes
    ) as tool:
        assert tool.stdout is not None
        bridge = int(tool.stdout.readline())
        tool.send_signal(signal.SIGKILL)
    for _ in range(200):
        if not Path(f"/proc/{bridge}").exists():
            return
        time.sleep(0.05)
    os.kill(bridge, signal.SIGKILL)
    pytest.fail("the bridge still runs")


def test_no_command_writes_the_file_of_settings(site: Site) -> None:
    assert (site.project / ".env.example").exists()
    assert not (site.project / ".env").exists()
