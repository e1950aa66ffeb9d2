"""`endpoint sync`: one endpoint at Polar, repaired, and its secret handed over without anybody seeing it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from copier_polar import project
from copier_polar.project import Store
from tests.operations.polar_operations import PolarOperations
from tests.polar_server import Answer, rate_limited
from tests.support.api_version import API_VERSION
from tests.support.polar_runtime import Call, refused
from tests.tool.conftest import Tool
from tests.tool.endpoint import ADDRESS, APP, FILES, WEBHOOK_SECRET, Endpoint
from tests.tool.fake_bridge import FakeBridge

EVENTS = ("order.paid", "customer.created")
WRONG: dict[str, Any] = {"enabled": False, "api_version": "2026-04", "format": "slack"}

both = pytest.mark.parametrize("runtime", ["worker", "fastapi"])


@pytest.fixture
def endpoint(tool: Tool, polar: PolarOperations, monkeypatch: pytest.MonkeyPatch) -> Endpoint:
    """A project that Polar can call."""
    monkeypatch.setenv("POLAR_WEBHOOK_SECRET", WEBHOOK_SECRET)
    made = Endpoint(tool, polar, monkeypatch)
    made.settings["app_url"] = APP
    return made


@both
def test_run_twice_there_is_one_endpoint_that_sends_every_event(endpoint: Endpoint, runtime: str) -> None:
    endpoint.tool.use(runtime)
    endpoint.settings["app_url"] = APP
    first = endpoint.sync("--json")
    assert first.json["action"] == "created"
    (made,) = endpoint.polar.endpoints.values()
    assert (made["url"], made["format"], made["api_version"], made["enabled"]) == (ADDRESS, "raw", API_VERSION, True)
    assert made["events"] == list(endpoint.tool.bridge.facts["events"])
    again = endpoint.sync("--json")
    assert again.json == {**first.json, "action": "unchanged", "changes": {}}
    assert [method for method in endpoint.methods if method != "GET"] == ["POST"]
    fields = ["url", "endpoint", "action", "changes", "deleted", "secret", "dry_run"]
    assert list(again.json) == fields


@pytest.mark.parametrize("url", [f"{ADDRESS}/", "https://APP.example.com/webhooks/polar", f"{APP}:443/webhooks/polar"])
def test_a_slash_at_the_end_and_the_case_of_the_host_make_no_second_endpoint(endpoint: Endpoint, url: str) -> None:
    endpoint.polar.add_endpoint(url, EVENTS, **WRONG)
    assert endpoint.sync().out.splitlines()[1:] == [
        f"  api_version: {API_VERSION}",
        "  enabled: true",
        "  format: raw",
        "  events: 42 types",
        "The app does not have its secret.",
    ]
    (repaired,) = endpoint.polar.endpoints.values()
    assert (repaired["url"], repaired["enabled"], repaired["format"]) == (url, True, "raw")
    assert set(EVENTS) < set(repaired["events"])


def test_other_addresses_are_left_alone(endpoint: Endpoint) -> None:
    for url in ("https://other.example.com/webhooks/polar", f"{APP}/webhooks", f"{APP}:8443/webhooks/polar"):
        endpoint.polar.add_endpoint(url, EVENTS, **WRONG)
    before = json.dumps(list(endpoint.polar.endpoints.values()))
    assert endpoint.sync("--json").json["action"] == "created"
    assert json.dumps(list(endpoint.polar.endpoints.values())[:3]) == before


def test_a_dry_run_says_what_would_be_done_and_changes_nothing(endpoint: Endpoint) -> None:
    endpoint.polar.add_endpoint(ADDRESS, EVENTS, **WRONG)
    endpoint.polar.add_endpoint(f"{ADDRESS}/", EVENTS)
    before = json.dumps(endpoint.polar.endpoints)
    planned = endpoint.sync("--dry-run", "--secret", "file", "--json").json
    assert (planned["action"], planned["dry_run"], len(planned["deleted"])) == ("repaired", True, 1)
    assert "To be repaired" in endpoint.sync("--dry-run").out
    assert json.dumps(endpoint.polar.endpoints) == before
    assert set(endpoint.methods) == {"GET"}
    assert endpoint.sync("--yes", "--json").json == {**planned, "dry_run": False}


def test_the_one_whose_secret_the_app_has_is_kept_and_deleting_is_asked_about(endpoint: Endpoint) -> None:
    endpoint.polar.add_endpoint(ADDRESS, EVENTS)
    endpoint.polar.add_endpoint(f"{ADDRESS}/", EVENTS, enabled=False, secret=WEBHOOK_SECRET)
    ran = endpoint.sync(code=1)
    assert ran.out == ""
    assert "Delete 1 more of the same address" in ran.error
    assert ran.error.endswith("There is no terminal to ask on; --yes says yes.")
    assert set(endpoint.methods) == {"GET"}
    ran = endpoint.sync("--yes", "--json")
    assert (ran.json["action"], ran.json["secret"], len(ran.json["deleted"])) == ("repaired", "known", 1)
    (kept,) = endpoint.polar.endpoints.values()
    assert (kept["secret"], kept["enabled"]) == (WEBHOOK_SECRET, True)


@both
def test_the_secret_goes_into_the_file_beside_older_ones(endpoint: Endpoint, runtime: str) -> None:
    old = "whsec_old_1234567890_abcdefghij"
    endpoint.patch.delenv("POLAR_WEBHOOK_SECRET")
    file = endpoint.file(runtime, f"# mine\nPOLAR_WEBHOOK_SECRET={old}\nX='#'\n")
    ran = endpoint.sync("--secret", "file")
    assert ran.out.splitlines()[-1] == "Its secret is handed over."
    assert f"It is in {file.name}. The " in ran.err
    secret = next(iter(endpoint.polar.endpoints.values()))["secret"]
    assert file.read_text() == f"# mine\nPOLAR_WEBHOOK_SECRET={secret},{old}\nX='#'\n"
    assert endpoint.sync("--json").json["secret"] == "known"


@both
def test_without_the_file_polar_is_not_asked(endpoint: Endpoint, runtime: str) -> None:
    endpoint.file(runtime, "").unlink()
    ran = endpoint.sync("--secret", "file", code=1)
    assert ran.error.startswith(f"Error: There is no {FILES[runtime]} yet")
    assert endpoint.polar.calls == []


@both
@pytest.mark.parametrize("secret", ["whsec_a\nAPP_URL=https://evil.example", "short", "whsec_with,a_comma_in_it", None])
def test_a_secret_that_no_file_holds_is_refused(endpoint: Endpoint, runtime: str, secret: str | None) -> None:
    file = endpoint.file(runtime, "POLAR_SERVER=sandbox\n")
    endpoint.polar.add_endpoint(ADDRESS, EVENTS, secret=secret)
    assert endpoint.sync("--secret", "file", code=1).error.startswith("Error: ")
    assert file.read_text() == "POLAR_SERVER=sandbox\n"


@both
def test_what_hands_over_the_secret_is_said_as_the_runtime_has_it(endpoint: Endpoint, runtime: str) -> None:
    endpoint.tool.use(runtime)
    endpoint.settings["app_url"] = APP
    ran = endpoint.sync()
    assert ("`--secret wrangler` into the deployed Worker" in ran.err) == (runtime == "worker")
    text = endpoint.tool.run("endpoint", "sync", "--help").out
    assert ("wrangler" in text) == (runtime == "worker")
    assert f"{FILES[runtime]} (file)" in " ".join(text.split())
    if runtime == "fastapi":
        assert "'wrangler' is not" in endpoint.sync("--secret", "wrangler", code=2).err


def test_the_secret_goes_to_the_deployed_worker_by_standard_input(endpoint: Endpoint, tmp_path: Path) -> None:
    node = tmp_path / "bin" / "node"
    node.parent.mkdir()
    node.write_text('#!/bin/sh\necho "$@" > arguments\ncat > input\n')
    node.chmod(0o755)
    endpoint.patch.setenv("PATH", f"{node.parent}:{os.environ['PATH']}")
    secret = "whsec_new_1234567890_abcdefghij"
    endpoint.polar.add_endpoint(ADDRESS, EVENTS, secret=secret)
    ran = endpoint.sync("--secret", "wrangler", "--json")
    assert ran.json["secret"] == "saved"
    assert (tmp_path / "input").read_text() == f"{secret},{WEBHOOK_SECRET}"
    assert secret not in (tmp_path / "arguments").read_text()
    assert endpoint.tool.stores == [Store(remote=True)]


def test_what_is_deployed_cannot_be_read_back(endpoint: Endpoint) -> None:
    (endpoint.tool.folder / ".dev.vars").write_text(f"POLAR_WEBHOOK_SECRET={WEBHOOK_SECRET}\n")
    endpoint.patch.delenv("POLAR_WEBHOOK_SECRET")
    ran = endpoint.sync("--remote", "--json")
    assert (ran.json["action"], ran.json["secret"]) == ("created", None)
    assert endpoint.tool.stores == [Store(remote=True)]
    assert endpoint.sync("--remote", "--persist-to", "x", code=2).out == ""


@pytest.mark.parametrize("what", ["the secret of the webhook endpoint is required.", "must be the endpoint's secret."])
def test_a_webhook_secret_that_is_unfit_does_not_stop_it(endpoint: Endpoint, what: str) -> None:
    endpoint.settings["problem"] = f"POLAR_WEBHOOK_SECRET: {what}"
    assert endpoint.sync("--json").json["action"] == "created"
    endpoint.settings["problem"] += "\nAPP_URL: must be an origin such as https://app.example.com."
    ran = endpoint.sync(code=1)
    assert ran.err == "Error: Settings: APP_URL: must be an origin such as https://app.example.com.\n"


def test_the_bridge_starts_with_a_random_secret_so_that_a_wrong_one_hides_nothing(endpoint: Endpoint) -> None:
    seen: list[str] = []

    def start(_project: project.Project, _store: Store) -> FakeBridge:
        seen.append(os.environ["POLAR_WEBHOOK_SECRET"])
        return endpoint.tool.bridge

    endpoint.patch.setattr(project.Project, "start_bridge", start)
    endpoint.sync()
    assert WEBHOOK_SECRET not in seen
    assert len(seen[0]) == 64
    assert os.environ["POLAR_WEBHOOK_SECRET"] == WEBHOOK_SECRET
    endpoint.patch.delenv("POLAR_WEBHOOK_SECRET")
    endpoint.sync()
    assert "POLAR_WEBHOOK_SECRET" not in os.environ
    assert len(set(seen)) == 2


@pytest.mark.parametrize(
    "url",
    [
        *("http://app.example.com/webhooks/polar", "https://localhost/webhooks/polar", "https://127.0.0.1/x"),
        *("https://10.1.2.3/x", "https://[::1]/x", "https://[fd00::1]/x", "https://box.local/x", "https://intranet/x"),
        *("https://me:secret@app.example.com/x", "nonsense", "https://app.example.com:port/"),
    ],
)
def test_an_address_that_polar_cannot_call_is_refused_before_it_is_asked(endpoint: Endpoint, url: str) -> None:
    ran = endpoint.sync("--url", url, code=1)
    assert len(ran.err.splitlines()) == 1
    assert "secret" not in ran.err
    assert endpoint.polar.calls == []


def test_demo_products_have_no_polar(endpoint: Endpoint) -> None:
    endpoint.settings["server"] = "demo"
    assert endpoint.sync(code=1).err.startswith("Error: The products are demo products")


TOO_MUCH = {"items": [], "pagination": {"total_count": 0, "max_page": 99}}
LINES = {
    "401": (Answer(401, {"error": "invalid_token"}), "Polar refuses the access token"),
    "403": (Answer(403, {"error": "insufficient_scope"}), "The access token lacks the scope webhooks:"),
    "404": (Answer(404, {"detail": "Not Found"}), f"Polar does not know API version {API_VERSION}"),
    "422": (refused(["url"], "URL is not allowed.", ADDRESS), "Polar refuses the request: url: URL is not allowed."),
    "422 of nothing": (Answer(422, {"detail": [3]}), "Polar's answer (422) cannot be read"),
    "429": (rate_limited(0), "Polar limits how often it is asked: try again in 0 seconds."),
    "503": (Answer(503, "<html>"), "Polar has a fault of its own (503)"),
    "page": (Answer(200, "<html>"), "Polar's answer (200) cannot be read"),
    "items": (Answer(200, {"items": [{"url": ADDRESS}], "pagination": {"max_page": 1}}), "Polar's answer (200) cannot"),
    "endless": (Answer(200, TOO_MUCH), "Polar has more than 5000 entries"),
}


@pytest.mark.parametrize(("method", "answer"), [*(("GET", name) for name in LINES), ("POST", "403"), ("POST", "422")])
def test_what_polar_refuses_is_one_clear_line(endpoint: Endpoint, answer: str, method: str) -> None:
    told, line = LINES[answer]
    endpoint.polar.always = lambda call: told if call.method == method else None
    target, *waits, error = endpoint.sync("--json", code=1).err.splitlines()
    assert target == "Target: Polar's sandbox"
    assert waits == (["Polar asks to wait for 0 s."] * 5 if answer == "429" else [])
    assert error.startswith(f"Error: {line}")


def test_where_polar_has_it_wait_it_asks_again_also_for_what_changes_something(endpoint: Endpoint) -> None:
    endpoint.polar.add_endpoint(ADDRESS, EVENTS, **WRONG)
    endpoint.polar.add_endpoint(f"{ADDRESS}/", EVENTS)
    left = ["GET", "PATCH", "DELETE"]

    def refuse_once(call: Call) -> Answer | None:
        if call.method not in left:
            return None
        left.remove(call.method)
        return rate_limited(0)

    endpoint.polar.always = refuse_once
    ran = endpoint.sync("--yes", "--json")
    assert (ran.json["action"], len(ran.json["deleted"])) == ("repaired", 1)
    assert ran.err.count("Polar asks to wait for 0 s.") == 3
    assert endpoint.methods == ["GET", "GET", "PATCH", "PATCH", "DELETE", "DELETE"]


@both
def test_who_changed_what_stands_in_the_database(endpoint: Endpoint, runtime: str) -> None:
    endpoint.file(runtime, "POLAR_SERVER=sandbox\n")
    kept, other = _two_endpoints(endpoint)
    endpoint.sync("--dry-run", "--secret", "file")
    assert _audited(endpoint) == []
    ran = endpoint.sync("--yes", "--secret", "file")
    rows = [("endpoint sync", kept), ("endpoint sync delete", other), ("endpoint sync secret", kept)]
    assert _audited(endpoint) == rows
    lines = [json.loads(line) for line in ran.err.splitlines() if line.startswith('{"event":"audit"')]
    assert [(line["command"], line["subject"]) for line in lines] == rows
    endpoint.sync()
    assert _audited(endpoint) == rows, "nothing was changed"


def test_what_was_changed_before_polar_refused_stands_there_too(endpoint: Endpoint) -> None:
    kept, _ = _two_endpoints(endpoint)
    endpoint.polar.always = lambda call: Answer(503, "") if call.method == "DELETE" else None
    endpoint.sync("--yes", code=1)
    assert _audited(endpoint) == [("endpoint sync", kept)]


def test_a_database_that_is_not_there_is_said_and_stops_nothing(endpoint: Endpoint) -> None:
    endpoint.tool.bridge.rows("DROP TABLE billing_audit")
    ran = endpoint.sync("--json")
    assert ran.json["action"] == "created"
    assert ran.error == "No row of this is in billing_audit: the database does not answer or is not up to date."


def test_a_polar_that_does_not_answer_is_one_clear_line(endpoint: Endpoint) -> None:
    endpoint.settings["base_url"] = "http://127.0.0.1:9"
    error = endpoint.sync(code=1).error
    assert error == "Error: Polar does not answer: look at the network, and at POLAR_BASE_URL if it is set."


def _two_endpoints(endpoint: Endpoint) -> list[str]:
    """Register the address twice, the one to keep first."""
    endpoint.polar.add_endpoint(ADDRESS, EVENTS, created_at="2026-01-01T00:00:00Z")
    endpoint.polar.add_endpoint(f"{ADDRESS}/", EVENTS, created_at="2026-01-02T00:00:00Z")
    return list(endpoint.polar.endpoints)


def _audited(endpoint: Endpoint) -> list[tuple[str, str]]:
    rows = endpoint.tool.bridge.rows("SELECT command, subject FROM billing_audit ORDER BY id")
    return [(row["command"], row["subject"]) for row in rows]
