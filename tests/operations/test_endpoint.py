"""`endpoint sync`: one endpoint at Polar, repaired, and its secret handed over without anybody seeing it."""

from __future__ import annotations

import json
import stat
from collections.abc import Generator
from pathlib import Path

import pytest

from tests.operations.cloudflare import Cloudflare
from tests.operations.side import WEBHOOK_SECRET, Pair, Ran, now_us
from tests.support.api_version import API_VERSION
from tests.support.render import TOKEN

APP = "https://app.example.com"
ADDRESS = f"{APP}/webhooks/polar"
SYNC = ("endpoint", "sync")
EVENTS = ("order.paid", "customer.created")


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


def test_the_secret_goes_into_the_file_beside_older_ones_and_is_seen_by_nobody(
    pair: Pair, files: dict[str, Path]
) -> None:
    lines = [
        "# mine",
        'MINE="a b"',
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


def _two_endpoints(pair: Pair) -> list[str]:
    """Register the address twice at both; the ids, which are the same, the one to keep first."""
    for side in pair.sides:
        side.polar.add_endpoint(ADDRESS, EVENTS, created_at="2026-01-01T00:00:00Z")
        side.polar.add_endpoint(f"{ADDRESS}/", EVENTS, created_at="2026-01-02T00:00:00Z")
    worker, fastapi = (list(side.polar.endpoints) for side in pair.sides)
    assert worker == fastapi
    return worker


def _sync(pair: Pair, *options: str, code: int = 0, **settings: str) -> Ran:
    ran = pair.both(*SYNC, *options, code=code, **{"APP_URL": APP, **settings})
    secrets = [str(one["secret"]) for side in pair.sides for one in side.polar.endpoints.values() if one["secret"]]
    assert not [secret for secret in (*secrets, TOKEN, WEBHOOK_SECRET) if secret in ran.out + ran.err]
    return ran
