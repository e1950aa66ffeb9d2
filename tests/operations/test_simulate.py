"""`simulate`: the same life is played by both runtimes, and an app that gives the wrong access is noticed."""

from __future__ import annotations

import datetime as dt
import itertools
import json
import shutil
import subprocess
from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.catalogues import ORGANIZATION_ID, organization, shop
from tests.conformance.polar.lifecycle import engine, roles, scenarios
from tests.conformance.station import no_reconciliation
from tests.operations.side import Pair, Ran, Side
from tests.support import deliveries, node
from tests.support.api_version import API_VERSION
from tests.support.render import ROOT

GRACE_DAYS = organization()["subscription_settings"]["benefit_revocation_grace_period"]
NOW = dt.datetime(2026, 11, 24, 11, 0, 0, 123456, dt.UTC)
PRODUCTION = {
    "POLAR_SERVER": "production",
    "APP_URL": "https://app.example.com",
    "AUTH_JWT_SECRET": "",
    "AUTH_JWKS_URL": "https://issuer.example.com/keys",
    "AUTH_ISSUER": "https://issuer.example.com",
    "AUTH_AUDIENCE": "app",
}
ACTIVE_GIVES = {
    "worker": ("src/billing/policy-table.ts", 'active: "while_renewing"', 'active: "never"'),
    "fastapi": ("src/app/billing/policy_table.py", '"active": "while_renewing"', '"active": "never"'),
}


def test_every_scenario_in_order_is_as_expected(pair: Pair) -> None:
    with serving(pair):
        lives = same(pair, "--all")
    assert [life["name"] for life in lives] == list(scenarios())
    for life, scenario in zip(lives, scenarios().values(), strict=True):
        expected = [step.access_with(GRACE_DAYS) for step in scenario.steps]
        assert [step["after"] for step in life["steps"]] == expected, life["name"]
        assert [step["expected"] for step in life["steps"]] == expected, life["name"]
        assert [step["before"] for step in life["steps"]] == [False, *expected[:-1]], life["name"]
    assert all(event["status"] == 202 for life in lives for step in life["steps"] for event in step["events"])


def test_shuffled_with_duplicates_and_single_events(pair: Pair) -> None:
    with serving(pair):
        lives = same(pair, "buy", "dunning_ends", "refund_reversed", "--duplicates", "--shuffle", "--seed", "7")
        again = same(pair, "buy", "--duplicates", "--shuffle", "--seed", "8")
        for kind in (
            *("subscription.past_due", "subscription.migrated", "refund.updated", "benefit_grant.updated"),
            *("product.updated", "discount.deleted"),
        ):
            (told,) = same(pair, "--event", kind, "--user", "user_1")
            assert (told["user"], told["name"]) == ("user_1", kind)
            assert [[event["type"] for event in step["events"]] for step in told["steps"]] == [[kind]]
    assert [life["steps"][-1]["after"] for life in lives] == [True, False, True]
    for life in lives:
        (step,) = life["steps"]
        ids = [event["webhook_id"] for event in step["events"]]
        assert all(ids.count(each) == 2 for each in ids)
        assert ids != sorted(ids)
    first, second = ([event["type"] for event in told[0]["steps"][0]["events"]] for told in (lives, again))
    assert sorted(first) == sorted(second)
    assert first != second


def test_an_app_that_gives_the_wrong_access_is_noticed(
    pair: Pair, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = Pair(*(with_a_fault(side, tmp_path / f"broken-{side.variant.name}") for side in pair.sides))
    monkeypatch.setenv("PYTHONPATH", str(broken.fastapi.project / "src"))  # the environment is that of the sound one
    with serving(broken):
        worker, fastapi = both(broken, "buy", "--user", "user_1")
    assert (worker.code, fastapi.code) == (1, 1), worker.err + fastapi.err
    assert worker.out == fastapi.out
    assert worker.out.splitlines()[-4:-2] == [
        " " * 30 + "order.updated           202     no -> no  yes",
        "Not as expected.",
    ]


def test_what_is_not_played_to(pair: Pair) -> None:
    for ran in both(pair, "buy"):
        assert ran.code == 1
        assert "Error: The app does not answer at {app}: start it with `" in ran.err
    with serving(pair):
        for ran in both(pair, "buy", POLAR_WEBHOOK_SECRET=deliveries.new_secret("standard")):
            assert (ran.code, ran.out) == (1, "")
            assert "Error: The app refuses the signature: its POLAR_WEBHOOK_SECRET is another one than here." in ran.err
        for ran in both(pair, "buy", AUTH_JWT_SECRET="another secret of at least 32 bytes"):
            assert ran.code == 1
            assert "Error: The app does not let the user in" in ran.err
        for ran in both(pair, "buy", "--user", "user_1", "--header", "Authorization: Bearer marker-token"):
            assert ran.code == 1
            assert "marker-token" not in ran.out + ran.err
    assert [side.sql("SELECT * FROM billing_customers") for side in pair.sides] == [[], []]
    for url in ("https://127.0.0.1:1", "http://10.0.0.1:1", "http://127.0.0.1.example.com", "http://localhost:1/app"):
        ran = pair.both("simulate", "buy", "--url", url, stored=False, code=1)
        assert f"Error: {url} is not on this machine: " in ran.err
    ran = pair.both("simulate", "buy", stored=False, code=1, **PRODUCTION)
    assert "Error: POLAR_SERVER is production: nothing is simulated there." in ran.err


@pytest.mark.parametrize(
    "wrong",
    [
        ["nothing"],
        ["buy", "--all"],
        ["--event", "order.exploded"],
        ["buy", "--seed", "x"],
        ["buy", "--user", ""],
        ["buy", "--header", "Cookie: a=b"],
        ["buy", "--user", "user_1", "--header", "Cookie"],
    ],
)
def test_a_wrong_call_ends_with_2(pair: Pair, wrong: list[str]) -> None:
    pair.both("simulate", *wrong, stored=False, code=2)


def test_the_scenarios_are_listed(pair: Pair) -> None:
    listed = pair.both("simulate", "--json", stored=False).json["scenarios"]
    assert [(each["name"], each["about"]) for each in listed] == [
        (each.name, each.about) for each in scenarios().values()
    ]
    assert {each["skipped"] for each in listed} == {None}


def test_both_players_make_the_same_events(pair: Pair) -> None:
    products = roles(shop())
    products["plan"] |= {"name": "$user", "description": "@now"}  # texts of merchants are read as they are
    objects = json.loads((ROOT / "template/common/simulation/objects.json").read_text())
    names = {"user": "&customer #", "email": "@-1d", "organization": {"id": ORGANIZATION_ID}, **products}
    lives = [[line for step in scenario.steps for line in step.lines] for scenario in scenarios().values()]
    us = int((NOW - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)) / dt.timedelta(microseconds=1))
    beginning = {"objects": objects, "names": names, "apiVersion": API_VERSION, "now": us, "lives": lives}
    done = subprocess.run(
        [node.NODE, "--import", "./scripts/resolve.ts", Path(__file__).with_name("lifecycle_in_node.mjs")],
        cwd=pair.worker.project,
        env=node.environment(),
        input=json.dumps(beginning),
        timeout=120,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    for name, lines, told in zip(scenarios(), lives, json.loads(done.stdout), strict=True):
        ids = (f"id-{number}" for number in itertools.count(1))
        life = engine().Lifecycle(objects, names, API_VERSION, NOW, ids.__next__)
        events = [event for line in lines for event in life.play(line)]
        assert len(events) == len(told) > 0
        for event, other in zip(events, told, strict=True):
            assert (event.id, event.type) == (other["id"], other["type"]), name
            assert json.dumps(event.body) == json.dumps(other["body"]), f"{name}: {event.type}"


@contextmanager
def serving(pair: Pair) -> Generator[None]:
    """Both apps, beside a Polar that cannot tell what it knows of a customer."""
    with ExitStack() as stack, ThreadPoolExecutor(2) as pool:
        for side in pair.sides:
            side.polar.always = no_reconciliation
        list(pool.map(lambda side: stack.enter_context(side.serving()), pair.sides))
        yield


def both(pair: Pair, *command: str, **settings: str) -> Sequence[Ran]:
    """Simulate at both apps at once."""
    with ThreadPoolExecutor(2) as pool:
        return list(
            pool.map(
                lambda side: side.run("simulate", *command, "--url", side.base, stored=False, **settings), pair.sides
            )
        )


def same(pair: Pair, *command: str) -> list[dict[str, Any]]:
    """What both simulated alike, with ids in the order in which they were made up."""
    worker, fastapi = both(pair, *command, "--json")
    assert (worker.code, fastapi.code) == (0, 0), worker.out + worker.err + fastapi.out + fastapi.err
    assert worker.json["url"] == fastapi.json["url"] == "{app}"
    lives: list[dict[str, Any]] = worker.json["scenarios"]
    assert without_ids(lives) == without_ids(fastapi.json["scenarios"])
    return lives


def without_ids(lives: list[dict[str, Any]]) -> str:
    """The document with a number for every id that is new each time."""
    text = json.dumps(lives)
    made = [event["webhook_id"] for life in lives for step in life["steps"] for event in step["events"]]
    users = [life["user"] for life in lives if life["user"].startswith("simulated-")]
    for number, each in enumerate(dict.fromkeys([*made, *users])):
        text = text.replace(each, f"id-{number}")
    return text


def with_a_fault(side: Side, folder: Path) -> Side:
    """The side with a copy of its project in which an active subscription gives no access."""
    shutil.copytree(side.project, folder, symlinks=True, ignore=shutil.ignore_patterns(".venv", ".wrangler"))
    if side.variant.runtime == "fastapi":
        (folder / ".venv").symlink_to(side.project / ".venv")
    name, sound, fault = ACTIVE_GIVES[side.variant.runtime]
    text = (folder / name).read_text()
    assert sound in text
    (folder / name).write_text(text.replace(sound, fault))
    return replace(side, project=folder)
