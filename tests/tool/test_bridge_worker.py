"""The bridge of a Worker: every operation of the protocol, on a project whose own code prints where it can."""

from __future__ import annotations

import datetime as dt
import json
import subprocess
import time
from collections.abc import Generator
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
)
from copier_polar.facts import read_facts
from tests.catalogues import CATALOGUES
from tests.operations.polar_operations import PolarOperations
from tests.polar_server import rate_limited
from tests.profiles import Profile
from tests.support import apps, deliveries, node
from tests.support.events import Customer, event
from tests.support.render import TOKEN, render

WEBHOOK_SECRET = deliveries.new_secret("standard")
JWT_SECRET = "0123456789abcdefghijklmnopqrstuvwxyz"
START = dt.datetime(2026, 10, 1, tzinfo=dt.UTC)
COMMAND = [str(node.NODE), "scripts/bridge.mjs"]
BUYER = Customer("user-1", START)
NO_PROBLEM = {"projection": "customer", "problem": None}
PRINTS = """
console.log("printed at import");
process.stdout.write("written at import\\n");
writeSync(1, "written to descriptor 1 at import\\n");
"""
ROUTE = """
ownRoutes.get("/prints/:what", async (c) => {
  console.log("printed in a handler");
  process.stdout.write("written in a handler\\n");
  const user = await c.get("services").authenticate(c.req.raw);
  return c.json({ user, method: c.req.method, header: c.req.header("x-header"), what: c.req.param("what") });
});
"""


@pytest.fixture(scope="module")
def project(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with the demo catalogue, whose own code prints at import and in a route."""
    folder = render(Profile("bridge", "worker"), template, tmp_path_factory.mktemp("bridge") / "project", None)
    apps.install(apps.VARIANTS[0], folder)
    reactions, routes = folder / "src" / "reactions.ts", folder / "src" / "own-routes.ts"
    reactions.write_text(f'import {{ writeSync }} from "node:fs";\n{reactions.read_text()}{PRINTS}')
    routes.write_text(routes.read_text() + ROUTE)
    return folder


@pytest.fixture(scope="module")
def polar() -> Generator[PolarOperations]:
    with PolarOperations(CATALOGUES["shop"]()) as server:
        yield server


@pytest.fixture(scope="module")
def settings(polar: PolarOperations) -> dict[str, str]:
    return {
        "POLAR_ACCESS_TOKEN": TOKEN,
        "POLAR_WEBHOOK_SECRET": WEBHOOK_SECRET,
        "POLAR_SERVER": "sandbox",
        "POLAR_BASE_URL": polar.url,
        "APP_URL": "http://127.0.0.1:8787",
        "AUTH_JWT_SECRET": JWT_SECRET,
    }


@pytest.fixture(scope="module")
def bridge(project: Path, settings: dict[str, str]) -> Generator[Bridge]:
    """The bridge with a migrated database."""
    with opened(project, settings) as running:
        assert running.call("migrations") == {"answers": True, "current": False}
        assert running.call("migrate") == {}
        assert running.call("migrations") == {"answers": True, "current": True}
        yield running


def opened(project: Path, settings: dict[str, str], *options: str) -> Bridge:
    return Bridge([*COMMAND, *options], project, node.environment(**settings))


def store_event(bridge: Bridge, webhook_id: str, body: bytes, state: str = "failed") -> None:
    """Put an event into the inbox, as one that failed."""
    bridge.sql(
        "INSERT INTO billing_webhook_events (webhook_id, type, state, body, received_us)"
        " VALUES (:id, 'customer.updated', :state, CAST(:body AS BLOB), 1)",
        id=webhook_id,
        state=state,
        body=body.decode(),
    )


def test_the_facts_are_there_without_a_database(project: Path, settings: dict[str, str]) -> None:
    with opened(project, settings, "--persist-to", "elsewhere") as bridge:
        assert bridge.runtime == "worker"
        raw = bridge.call("facts")
    facts = read_facts(raw)
    assert (facts.runtime, facts.database, facts.premium_path) == ("worker", "d1", "/api/premium")
    assert facts.target == f"the local database in {project / 'elsewhere'}"
    assert facts.grace_days == 7
    assert facts.catalogue.server == "demo"
    assert facts.catalogue.organization.default_currency == "usd"
    assert [product.key for product in facts.catalogue.products][:2] == ["free", "pro_monthly"]
    assert facts.catalogue.products[1].trial_interval_count == 14
    assert facts.catalogue.products[1].prices[0].unit_amount is None
    assert facts.events["order.paid"] == "order"
    assert facts.events["refund.created"] is None
    assert facts.settings.problem == ""
    assert (facts.settings.server, facts.settings.is_local) == ("sandbox", True)
    assert facts.settings.present >= set(settings)
    assert not (project / "elsewhere").exists()
    assert not (project / ".dev.vars").exists(), "only `dev` makes it"
    assert_no_secret(raw)


def test_a_password_in_an_address_does_not_cross_the_bridge(project: Path, settings: dict[str, str]) -> None:
    with opened(project, {**settings, "POLAR_BASE_URL": "https://user:p4ssw0rd@polar.example.com/api"}) as bridge:
        facts = bridge.call("facts")
    assert facts["settings"]["problem"] == "POLAR_BASE_URL: must be an http or https address, without /v1."
    assert facts["settings"]["base_url"] is None
    assert "p4ssw0rd" not in json.dumps(facts)


def assert_no_secret(answer: Any) -> None:
    text = json.dumps(answer)
    for secret in (TOKEN, WEBHOOK_SECRET, JWT_SECRET):
        assert secret not in text


def test_invalid_settings_are_a_fact(project: Path, settings: dict[str, str]) -> None:
    with opened(project, {**settings, "POLAR_WEBHOOK_SECRET": "", "APP_URL": "https://app.example.com"}) as bridge:
        raw = bridge.call("facts")
        facts = read_facts(raw).settings
        assert facts.problem == "POLAR_WEBHOOK_SECRET: the secret of the webhook endpoint is required."
        assert (facts.server, facts.app_url, facts.is_local) == ("sandbox", "https://app.example.com", False)
        assert "POLAR_WEBHOOK_SECRET" not in facts.present
        assert_no_secret(raw)
        assert {"method": "GET", "path": "/healthz"} in bridge.call("routes")
        with pytest.raises(SettingsProblem, match="POLAR_WEBHOOK_SECRET"):
            bridge.call("reconcile", customer="c")


def test_a_configuration_that_cannot_be_read_is_a_fact(project: Path, settings: dict[str, str]) -> None:
    file = project / "wrangler.jsonc"
    text = file.read_text()
    file.write_text("{ nonsense")
    try:
        with opened(project, settings) as bridge:
            assert "wrangler.jsonc" in bridge.call("facts")["settings"]["problem"]
            with pytest.raises(StoreProblem, match="The database cannot be reached"):
                bridge.call("migrations")
    finally:
        file.write_text(text)


def test_routes_are_those_of_the_app(bridge: Bridge) -> None:
    routes = bridge.call("routes")
    for method, path in [("POST", "/billing/portal"), ("GET", "/billing/checkout/:id"), ("GET", "/prints/:what")]:
        assert {"method": method, "path": path} in routes
    assert not [route for route in routes if "*" in route["path"] or route["method"] == "ALL"]
    assert len(routes) == len({(route["method"], route["path"]) for route in routes})


def test_a_request_goes_through_the_app_whatever_it_prints(bridge: Bridge) -> None:
    asked: dict[str, Any] = {"method": "GET", "path": "/prints/x", "headers": {"x-header": "y"}, "body": None}
    nobody = bridge.call("request", **asked, user=None)
    assert nobody["status"] == 200
    assert nobody["headers"]["content-type"] == "application/json"
    assert json.loads(nobody["body"]) == {"user": None, "method": "GET", "header": "y", "what": "x"}
    somebody = bridge.call("request", **asked, user={"id": "user-1", "email": "a@example.com"})
    assert json.loads(somebody["body"])["user"] == {"id": "user-1", "email": "a@example.com"}
    unsigned = bridge.call("request", method="POST", path="/webhooks/polar", headers={}, body="{}", user=None)
    assert (unsigned["status"], json.loads(unsigned["body"])["error"]) == (401, "invalid_signature")


def test_sql_has_named_values(bridge: Bridge) -> None:
    text, number = "a 'b' \u2028\u00e9", 1_780_000_000_000_001
    (row,) = bridge.sql(
        "SELECT :text AS a, ':no' AS b, :none AS c, :text || '' AS d, CAST(:number AS INTEGER) AS e /* :not */ -- :nor",
        text=text,
        none=None,
        number=number,
    )
    assert row == {"a": text, "b": ":no", "c": None, "d": text, "e": number}
    assert bridge.batch() == []


def test_a_batch_is_one_transaction(bridge: Bridge) -> None:
    insert = "INSERT INTO billing_audit (at_us, command, subject, actor) VALUES (:at, 'x', 'rolled back', 'me')"
    with pytest.raises(StoreProblem, match=r"The database refused\."):
        bridge.batch((insert, {"at": 1}), ("INSERT INTO no_table VALUES (1)", {}))
    count = "SELECT count(*) AS n FROM billing_audit WHERE subject = 'rolled back'"
    assert bridge.sql(count) == [{"n": 0}]
    assert bridge.batch((insert, {"at": 1}), (count, {}), ("DELETE FROM billing_audit", {})) == [[], [{"n": 1}], []]


def test_an_event_is_replayed(bridge: Bridge) -> None:
    good = event("customer.updated", START, BUYER.customer())
    store_event(bridge, "good", good)
    store_event(bridge, "bad", b"{}")
    store_event(bridge, "unknown", event("new.type", START, {}))
    assert bridge.call("replay", webhook_id="good", reactions=False) == {"outcome": "processed"}
    assert bridge.call("replay", webhook_id="good", reactions=True) == {"outcome": "processed"}
    assert bridge.call("replay", webhook_id="bad", reactions=False) == {"outcome": "failed"}
    assert bridge.call("replay", webhook_id="unknown", reactions=False) == {"outcome": "ignored"}
    assert bridge.call("replay", webhook_id="missing", reactions=False) == {"outcome": None}
    assert bridge.sql("SELECT external_id FROM billing_customers WHERE id = :id", id=BUYER.id)


def test_a_customer_is_compared_and_reconciled(bridge: Bridge, polar: PolarOperations) -> None:
    there = Customer("user-2", START)
    customer = polar.add_customer(there.external_id, "old@example.com", id=there.id)
    polar.calls.clear()
    drift = bridge.call("drift", customer=there.id)
    assert drift == {
        "differences": [{"kind": "customer", "id": there.id, "column": None, "here": None, "polar": None}],
        "calls": len(polar.calls),
    }
    assert drift["calls"] >= 3
    assert bridge.call("reconcile", customer=there.id) == {"outcome": "written", "rows": 1, "calls": drift["calls"]}
    assert bridge.call("reconcile", customer=there.id)["outcome"] == "equal"
    customer["email"] = "new@example.com"
    (difference,) = bridge.call("drift", customer=there.id)["differences"]
    assert difference == {
        "kind": "customer",
        "id": there.id,
        "column": "email",
        "here": "(personal)",
        "polar": "(personal)",
    }
    polar.customers.pop(there.id)
    assert bridge.call("drift", customer=there.id)["differences"] is None
    assert bridge.call("reconcile", customer=there.id)["outcome"] == "gone"


def test_what_polar_refuses_has_a_name(bridge: Bridge, polar: PolarOperations) -> None:
    polar.next_answers = [rate_limited(7)]
    with pytest.raises(PolarProblem) as problem:
        bridge.call("drift", customer=BUYER.id)
    assert not isinstance(problem.value, PolarGoneProblem)
    assert (problem.value.status, problem.value.retry_after) == (429, 7)
    polar.next_answers.clear()


def test_demo_products_have_no_polar(project: Path, settings: dict[str, str]) -> None:
    with opened(project, {**settings, "POLAR_SERVER": "demo"}) as bridge, pytest.raises(DemoProblem):
        bridge.call("drift", customer="c")


def test_the_rules_of_the_core_are_asked(bridge: Bridge) -> None:
    access = bridge.call("decide", user="user-1", at=None)
    assert access == {"access": False, "reason": "none", "until": None, "products": [], "benefits": []}
    assert bridge.call("decide", user="user-1", at=0)["access"] is False
    held = {"id": "s", "customer_id": "c", "product_id": None, "status": "active", "created_us": 0}
    period = {"current_period_start_us": 0, "current_period_end_us": 10, "cancel_at_period_end": 1, "ends_us": 10}
    held = {**held, **period, "past_due_us": None}
    assert bridge.call("standing", kind="subscription", held=held, at=9) == {"access": True}
    assert bridge.call("standing", kind="subscription", held=held, at=10) == {"access": False}
    order = {"id": "o", "product_id": None, "created_us": 0, "billing_reason": "purchase", "subscription_id": None}
    assert bridge.call("standing", kind="order", held={**order, "status": "paid"}, at=0) == {"access": True}
    assert bridge.call("standing", kind="order", held={**order, "status": "refunded"}, at=0) == {"access": False}


def test_an_event_is_read_and_nothing_written(bridge: Bridge) -> None:
    stranger = Customer("user-3", START)
    assert bridge.call("read_event", type="customer.updated", data=stranger.customer()) == NO_PROBLEM
    assert bridge.call("read_event", type="customer.updated", data={}) == {
        "projection": "customer",
        "problem": "id: no id",
    }
    assert bridge.call("read_event", type="new.type", data={}) == {"projection": None, "problem": None}
    assert bridge.sql("SELECT 1 FROM billing_customers WHERE id = :id", id=stranger.id) == []


@pytest.mark.parametrize(
    ("operation", "arguments"),
    [
        ("nonsense", {}),
        ("constructor", {}),
        ("sql", {}),
        ("sql", {"statements": [{"sql": "SELECT :missing", "values": {}}]}),
        ("sql", {"statements": ["SELECT 1"]}),
        ("request", {}),
        ("replay", {"webhook_id": 7}),
        ("reconcile", {}),
        ("standing", {"kind": "order", "held": None, "at": 0}),
        ("read_event", {"type": "customer.updated", "data": []}),
    ],
)
def test_a_request_of_no_use_is_answered(bridge: Bridge, operation: str, arguments: dict[str, Any]) -> None:
    with pytest.raises(BridgeBroken, match=f"could not do `{operation}`"):
        bridge.call(operation, **arguments)
    assert bridge.sql("SELECT 1 AS one") == [{"one": 1}]


def test_lines_of_no_use_are_answered(project: Path, settings: dict[str, str]) -> None:
    lines = b'nonsense\n\n[]\n{"id": 3, "op": 4}\n\xff\n{"id": 5, "op": "routes"}\n'
    ran = subprocess.run(
        COMMAND, cwd=project, env=node.environment(**settings), input=lines, capture_output=True, check=True, timeout=90
    )
    hello, *answers = [json.loads(line) for line in ran.stdout.splitlines()]
    assert hello == {"bridge": 1, "runtime": "worker"}
    assert [answer["id"] for answer in answers] == [None, None, None, 3, None, 5]
    assert [answer.get("error", {}).get("kind") for answer in answers] == ["bad_request"] * 5 + [None]
    for where in ("printed at import", "written at import", "written to descriptor 1 at import"):
        assert where in ran.stderr.decode()


def test_nothing_is_left_running(project: Path, settings: dict[str, str], tmp_path: Path) -> None:
    with opened(project, settings, "--persist-to", str(tmp_path / "store")) as bridge:
        bridge.call("migrate")
        session = bridge._process.pid
        assert (tmp_path / "store" / "v3" / "d1").is_dir()
        assert bridge.call("migrations") == {"answers": True, "current": True}
        assert len(processes_of(session)) >= 3  # its two own, and the database's
    deadline = time.monotonic() + 10
    while processes_of(session) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert processes_of(session) == []


def processes_of(session: int) -> list[int]:
    """The processes of a session."""
    found = subprocess.run(["ps", "-o", "pid=,stat=", "-s", str(session)], capture_output=True, text=True, check=False)
    return [int(line.split()[0]) for line in found.stdout.splitlines() if "Z" not in line.split()[1]]


@pytest.mark.parametrize("script", ["scripts/bridge.mjs", "scripts/billing.mjs"])
def test_an_older_node_is_told_in_one_line(project: Path, script: str) -> None:
    older = 'data:text/javascript,Object.defineProperty(process.versions, "node", { value: "20.19.0" })'
    ran = node.run(node.NODE, "--import", older, script, "doctor", cwd=project, timeout=60)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert ran.stderr == "This project needs Node 22.18 or newer; this is Node 20.19.0.\n"
