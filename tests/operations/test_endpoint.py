"""`endpoint sync`: one endpoint at Polar, repaired, and its secret handed over without anybody seeing it."""

from __future__ import annotations

import json
import stat
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from tests.operations.cloudflare import Cloudflare
from tests.operations.side import WEBHOOK_SECRET, Pair, Ran, Side, now_us
from tests.polar_server import Answer, rate_limited
from tests.support.api_version import API_VERSION
from tests.support.polar_runtime import Call, refused
from tests.support.render import TOKEN

APP = "https://app.example.com"
ADDRESS = f"{APP}/webhooks/polar"
SYNC = ("endpoint", "sync")
EVENTS = ("order.paid", "customer.created")
WRONG: dict[str, Any] = {"enabled": False, "api_version": "2026-04", "format": "slack"}


@pytest.fixture
def files(pair: Pair) -> Generator[dict[str, Path]]:
    """The file with the settings for development of each side, made anew and put back after."""
    found = {"worker": pair.worker.project / ".dev.vars", "fastapi": pair.fastapi.project / ".env"}
    before = {path: path.read_bytes() if path.exists() else None for path in found.values()}
    for path in found.values():
        path.unlink(missing_ok=True)
    yield found
    for path, content in before.items():
        path.unlink(missing_ok=True)
        if content is not None:
            path.write_bytes(content)


def test_run_twice_there_is_one_endpoint_that_sends_every_event_of_the_api(pair: Pair) -> None:
    first = _sync(pair, "--json")
    assert first.json["action"] == "created"
    for side in pair.sides:
        (endpoint,) = side.polar.endpoints.values()
        assert endpoint["url"] == ADDRESS
        assert (endpoint["format"], endpoint["api_version"], endpoint["enabled"]) == ("raw", API_VERSION, True)
        assert len(endpoint["events"]) == len(set(endpoint["events"])) == 42
    again = _sync(pair, "--json")
    assert again.json == {**first.json, "action": "unchanged", "changes": {}}
    for side in pair.sides:
        assert len(side.polar.endpoints) == 1
        assert [call.method for call in side.polar.calls if call.method != "GET"] == ["POST"]


@pytest.mark.parametrize("url", [f"{ADDRESS}/", "https://APP.example.com/webhooks/polar", f"{APP}:443/webhooks/polar"])
def test_a_slash_at_the_end_and_the_case_of_the_host_make_no_second_endpoint(pair: Pair, url: str) -> None:
    for side in pair.sides:
        side.polar.add_endpoint(url, EVENTS, **WRONG)
    ran = _sync(pair)
    assert ran.out.splitlines()[1:] == [
        f"  api_version: {API_VERSION}",
        "  enabled: true",
        "  format: raw",
        "  events: 42 types",
        "The app does not have its secret.",
    ]
    for side in pair.sides:
        (endpoint,) = side.polar.endpoints.values()
        assert (endpoint["url"], endpoint["enabled"], endpoint["format"]) == (url, True, "raw")
        assert set(EVENTS) < set(endpoint["events"])


def test_other_addresses_are_left_alone(pair: Pair) -> None:
    for side in pair.sides:
        for url in ("https://other.example.com/webhooks/polar", f"{APP}/webhooks", f"{APP}:8443/webhooks/polar"):
            side.polar.add_endpoint(url, EVENTS, **WRONG)
    before = [list(side.polar.endpoints.values()) for side in pair.sides]
    assert _sync(pair, "--json").json["action"] == "created"
    for side, others in zip(pair.sides, before, strict=True):
        assert list(side.polar.endpoints.values())[:3] == others


def test_a_dry_run_says_what_would_be_done_and_changes_nothing(pair: Pair) -> None:
    for side in pair.sides:
        side.polar.add_endpoint(ADDRESS, EVENTS, **WRONG)
        side.polar.add_endpoint(f"{ADDRESS}/", EVENTS)
    before = [json.dumps(side.polar.endpoints) for side in pair.sides]
    planned = _sync(pair, "--dry-run", "--secret", "file", "--json").json
    assert (planned["action"], planned["dry_run"], len(planned["deleted"])) == ("repaired", True, 1)
    assert "To be repaired" in _sync(pair, "--dry-run").out
    assert [json.dumps(side.polar.endpoints) for side in pair.sides] == before
    assert {call.method for side in pair.sides for call in side.polar.calls} == {"GET"}
    done = _sync(pair, "--yes", "--json").json
    assert done == {**planned, "dry_run": False}


def test_of_several_the_one_whose_secret_the_app_has_is_kept_and_deleting_is_asked_about(pair: Pair) -> None:
    for side in pair.sides:
        side.polar.add_endpoint(ADDRESS, EVENTS)
        side.polar.add_endpoint(f"{ADDRESS}/", EVENTS, enabled=False, secret=WEBHOOK_SECRET)
    for ran in (side.run(*SYNC, APP_URL=APP) for side in pair.sides):
        assert (ran.code, ran.out) == (1, "")
        assert "Delete 1 more of the same address" in ran.err
        assert ran.err.splitlines()[-1].endswith("There is no terminal to ask on; --yes says yes.")
    assert {call.method for side in pair.sides for call in side.polar.calls} == {"GET"}
    ran = _sync(pair, "--yes", "--json")
    assert (ran.json["action"], ran.json["secret"], len(ran.json["deleted"])) == ("repaired", "known", 1)
    for side in pair.sides:
        (kept,) = side.polar.endpoints.values()
        assert (kept["secret"], kept["enabled"]) == (WEBHOOK_SECRET, True)
    audited = [line for line in ran.err.splitlines() if line.startswith('{"event":"audit"')]
    assert [json.loads(line)["command"] for line in audited] == ["endpoint sync", "endpoint sync delete"]


def test_the_secret_goes_into_the_file_beside_older_ones_and_is_seen_by_nobody(
    pair: Pair, files: dict[str, Path]
) -> None:
    lines = [
        "# mine",
        'AUTH_ISSUER="a b"',
        "POLAR_WEBHOOK_SECRET=whsec_one_1234567890_abcdefghij,whsec_two_1234567890_abcdefghij",
        "X='#'",
    ]
    for path in files.values():
        path.write_text("\n".join(lines), encoding="utf-8")
        path.chmod(0o644)
    expected = ["whsec_one_1234567890_abcdefghij", "whsec_two_1234567890_abcdefghij"]
    for _ in range(3):
        ran = _sync(pair, "--secret", "file", "--yes")
        secrets = {side.variant.runtime: next(iter(side.polar.endpoints.values()))["secret"] for side in pair.sides}
        assert ran.out.splitlines()[-1] == "Its secret is handed over."
        for runtime, path in files.items():
            changed = f"POLAR_WEBHOOK_SECRET={','.join([secrets[runtime], *expected][:3])}"
            assert path.read_text(encoding="utf-8").splitlines() == [*lines[:2], changed, lines[3]]
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
    for number, side in enumerate(pair.sides):
        side.polar.endpoints.clear()
        path = files[side.variant.runtime]
        side.polar.add_endpoint(ADDRESS, EVENTS, secret=f"whsec_new_1234567890_abcdefghij_{number}")
        assert side.run(*SYNC, "--secret", "file", APP_URL=APP).code == 0
        known = f"whsec_new_1234567890_abcdefghij_{number},{secrets[side.variant.runtime]},{expected[0]}"
        changed = f"POLAR_WEBHOOK_SECRET={known}"
        assert path.read_text(encoding="utf-8").splitlines()[2] == changed


def test_a_first_secret_is_added_at_the_end_of_the_file(pair: Pair, files: dict[str, Path]) -> None:
    for path in files.values():
        path.write_text("POLAR_SERVER=sandbox\n#POLAR_WEBHOOK_SECRET=", encoding="utf-8")
    ran = _sync(pair, "--secret", "file", "--json", POLAR_WEBHOOK_SECRET="")
    assert (ran.json["action"], ran.json["secret"]) == ("created", "saved")
    for side in pair.sides:
        (endpoint,) = side.polar.endpoints.values()
        lines = files[side.variant.runtime].read_text(encoding="utf-8").splitlines()
        assert lines == ["POLAR_SERVER=sandbox", "#POLAR_WEBHOOK_SECRET=", f"POLAR_WEBHOOK_SECRET={endpoint['secret']}"]


def test_the_secret_goes_to_the_deployed_worker_by_standard_input_only(pair: Pair) -> None:
    secret, old = "whsec_new_1234567890_abcdefghij", "whsec_old_1234567890_abcdefghij"
    pair.worker.polar.add_endpoint(ADDRESS, EVENTS, secret=secret)
    sync = (*SYNC, "--secret", "wrangler", "--json")
    with Cloudflare() as cloudflare:
        settings = {**cloudflare.environment, "APP_URL": APP, "POLAR_WEBHOOK_SECRET": old}
        ran = pair.worker.run(*sync, stored=False, **settings)
    assert (ran.code, ran.json["secret"]) == (0, "saved"), ran.err
    ((path, body),) = cloudflare.puts
    assert path.endswith("/secrets")
    told = {"name": "POLAR_WEBHOOK_SECRET", "text": f"{secret},{old}", "type": "secret_text"}
    assert json.loads(body) == told
    assert "secret" in cloudflare.arguments, "the arguments of no process were seen"
    assert not [one for one in (secret, old, TOKEN) if one in cloudflare.arguments + ran.out + ran.err]
    with Cloudflare(status=403) as cloudflare:
        settings = {**cloudflare.environment, "APP_URL": APP, "POLAR_WEBHOOK_SECRET": old}
        refused = pair.worker.run(*sync, stored=False, **settings)
    assert (refused.code, refused.out) == (1, "")
    assert refused.err.splitlines()[-1].startswith("Error: wrangler did not take the secret. ")
    assert secret not in refused.err
    assert pair.fastapi.run(*sync, stored=False).code == 2


def test_remote_is_the_deployed_worker_with_the_variables_of_its_configuration(pair: Pair) -> None:
    ran = pair.worker.run(*SYNC, "--remote", stored=False, APP_URL="", POLAR_WEBHOOK_SECRET="")
    assert (ran.code, ran.out) == (1, "")
    assert ran.err == "Error: Settings: APP_URL: must be an origin such as https://app.example.com.\n"
    ran = pair.worker.run(*SYNC, "--remote", "--json", stored=False, APP_URL=APP, POLAR_WEBHOOK_SECRET="")
    assert (ran.json["action"], ran.json["secret"]) == ("created", None), "what is deployed cannot be read back"


@pytest.mark.parametrize("secret", ["whsec_a\nAPP_URL=https://evil.example", "short", "whsec_with,a_comma_in_it", None])
def test_a_secret_that_no_file_holds_is_refused(pair: Pair, files: dict[str, Path], secret: str | None) -> None:
    for path in files.values():
        path.write_text("POLAR_SERVER=sandbox\n", encoding="utf-8")
    for side in pair.sides:
        side.polar.add_endpoint(ADDRESS, EVENTS, secret=secret)
    ran = _sync(pair, "--secret", "file", code=1)
    assert ran.err.splitlines()[-1].startswith("Error: "), ran.err
    assert {path.read_text(encoding="utf-8") for path in files.values()} == {"POLAR_SERVER=sandbox\n"}


@pytest.mark.parametrize(
    "url",
    [
        *("http://app.example.com/webhooks/polar", "https://localhost/webhooks/polar", "https://127.0.0.1/x"),
        *("https://10.1.2.3/x", "https://[::1]/x", "https://[fd00::1]/x", "https://box.local/x", "https://intranet/x"),
        *("https://me:secret@app.example.com/x", "nonsense", "https://app.example.com:port/"),
    ],
)
def test_an_address_that_polar_cannot_call_is_refused_before_it_is_asked(pair: Pair, url: str) -> None:
    ran = _sync(pair, "--url", url, code=1)
    assert len(ran.err.splitlines()) == 1
    assert "secret" not in ran.err
    assert not [side for side in pair.sides if side.polar.calls]


def test_demo_products_have_no_polar(pair: Pair) -> None:
    ran = _sync(pair, code=1, POLAR_SERVER="demo")
    assert ran.err.startswith("Error: The products are demo products")


TOO_MUCH = {"items": [], "pagination": {"total_count": 0, "max_page": 99}}
LINES = {
    "401": (Answer(401, {"error": "invalid_token"}), "Polar refuses the access token"),
    "403": (Answer(403, {"error": "insufficient_scope"}), "The access token lacks the scope webhooks:"),
    "404": (Answer(404, {"detail": "Not Found"}), f"Polar does not know API version {API_VERSION}"),
    "422": (refused(["url"], "URL is not allowed.", ADDRESS), "Polar refuses the request: url: URL is not allowed."),
    "422 of nothing": (Answer(422, {"detail": [3]}), "Polar's answer (422) cannot be read"),
    "429": (rate_limited(0), "Polar limits how often it is asked: try again in 0 seconds."),
    "429 for long": (rate_limited(3600), "Polar limits how often it is asked: try again in 3600 seconds."),
    "503": (Answer(503, "<html>"), "Polar has a fault of its own (503)"),
    "page": (Answer(200, "<html>"), "Polar's answer (200) cannot be read"),
    "list": (Answer(200, [1]), "Polar's answer (200) cannot be read"),
    "items": (Answer(200, {"items": [{"url": ADDRESS}], "pagination": {"max_page": 1}}), "Polar's answer (200) cannot"),
    "endless": (Answer(200, TOO_MUCH), "Polar has more than 5000 entries"),
}


@pytest.mark.parametrize(("method", "answer"), [*(("GET", name) for name in LINES), ("POST", "403"), ("POST", "422")])
def test_what_polar_refuses_is_one_clear_line(pair: Pair, answer: str, method: str) -> None:
    told, line = LINES[answer]
    for side in pair.sides:
        side.polar.always = _told(method, told)
    said = [line for line in _sync(pair, "--json", code=1).err.splitlines() if "Created .dev.vars" not in line]
    target, *waits, error = said
    assert target == "Target: Polar's sandbox"
    assert waits == (["Polar asks to wait for 0 s."] * 5 if answer == "429" else [])
    assert error.startswith(f"Error: {line}")


def test_where_polar_has_it_wait_it_asks_again_also_for_what_changes_something(pair: Pair) -> None:
    for side in pair.sides:
        side.polar.add_endpoint(ADDRESS, EVENTS, **WRONG)
        side.polar.add_endpoint(f"{ADDRESS}/", EVENTS)
        _refuse_once(side, "GET", "PATCH", "DELETE")
    started = time.monotonic()
    ran = _sync(pair, "--yes", "--json")
    assert (ran.json["action"], len(ran.json["deleted"])) == ("repaired", 1)
    assert time.monotonic() - started > 3
    assert ran.err.count("Polar asks to wait for 1 s.") == 3
    for side in pair.sides:
        assert [call.method for call in side.polar.calls] == ["GET", "GET", "PATCH", "PATCH", "DELETE", "DELETE"]


def test_who_changed_what_stands_in_the_database(pair: Pair, files: dict[str, Path]) -> None:
    for path in files.values():
        path.write_text("POLAR_SERVER=sandbox\n", encoding="utf-8")
    kept, other = _two_endpoints(pair)
    _sync(pair, "--dry-run", "--secret", "file")
    assert pair.sql("SELECT * FROM billing_audit") == []
    ran = _sync(pair, "--yes", "--secret", "file")
    rows = pair.sql("SELECT command, subject, actor FROM billing_audit ORDER BY id")
    assert [(row["command"], row["subject"]) for row in rows] == [
        ("endpoint sync", kept),
        ("endpoint sync delete", other),
        ("endpoint sync secret", kept),
    ]
    assert [json.loads(line) for line in ran.err.splitlines() if line.startswith("{")] == [
        {"event": "audit", **row} for row in rows
    ]
    times = [row["at_us"] for side in pair.sides for row in side.sql("SELECT at_us FROM billing_audit")]
    assert all(0 <= now_us() - at < 10**8 for at in times)
    _sync(pair)
    assert len(pair.sql("SELECT command FROM billing_audit")) == 3, "nothing was changed"


def test_what_was_changed_before_polar_refused_stands_there_too(pair: Pair) -> None:
    kept, _ = _two_endpoints(pair)
    for side in pair.sides:
        side.polar.always = _told("DELETE", Answer(503, ""))
    _sync(pair, "--yes", code=1)
    assert pair.sql("SELECT command, subject FROM billing_audit") == [{"command": "endpoint sync", "subject": kept}]


def test_a_database_that_is_not_there_is_said_and_stops_nothing(pair: Pair) -> None:
    for side in pair.sides:
        side.sql("DROP TABLE billing_audit")
    ran = _sync(pair, "--json")
    assert ran.json["action"] == "created"
    assert ran.err.splitlines()[-1] == (
        "No row of this is in billing_audit: the database does not answer or is not up to date."
    )


def test_a_polar_that_does_not_answer_is_one_clear_line(pair: Pair) -> None:
    for side in pair.sides:
        ran = side.run(*SYNC, stored=False, APP_URL=APP, POLAR_BASE_URL="http://127.0.0.1:9")
        assert (ran.code, ran.err.splitlines()[-1].partition(":")[2]) == (
            1,
            " Polar does not answer: look at the network, and at POLAR_BASE_URL if it is set.",
        )


def _two_endpoints(pair: Pair) -> list[str]:
    """Register the address twice at both; the ids, which are the same, the one to keep first."""
    for side in pair.sides:
        side.polar.add_endpoint(ADDRESS, EVENTS, created_at="2026-01-01T00:00:00Z")
        side.polar.add_endpoint(f"{ADDRESS}/", EVENTS, created_at="2026-01-02T00:00:00Z")
    worker, fastapi = (list(side.polar.endpoints) for side in pair.sides)
    assert worker == fastapi
    return worker


def _refuse_once(side: Side, *methods: str) -> None:
    """Have Polar answer the first call of each method with 429."""
    left = list(methods)

    def refuse(call: Call) -> Answer | None:
        if call.method not in left:
            return None
        left.remove(call.method)
        return rate_limited(1)

    side.polar.always = refuse


def _told(method: str, answer: Answer) -> Any:
    return lambda call: answer if call.method == method else None


def _sync(pair: Pair, *options: str, code: int = 0, **settings: str) -> Ran:
    ran = pair.both(*SYNC, *options, code=code, **{"APP_URL": APP, **settings})
    secrets = [str(one["secret"]) for side in pair.sides for one in side.polar.endpoints.values() if one["secret"]]
    assert not [secret for secret in (*secrets, TOKEN, WEBHOOK_SECRET) if secret in ran.out + ran.err]
    return ran
