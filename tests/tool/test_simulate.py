"""`simulate`: what is played to the running app, and what is shown of it."""

from __future__ import annotations

import os
import signal
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from copier_polar.simulation.scenarios import read_scenarios
from tests.tool.simulated import (
    JWT_SECRET,
    WEBHOOK_SECRET,
    App,
    Operated,
    as_expected,
    catalogue,
    claims_of,
    expected,
    operated,
    raw_facts,
    simulate,
)

SCENARIOS = read_scenarios()


@pytest.fixture
def project(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Operated:
    return operated(tmp_path, "fastapi", capsys, monkeypatch)


@pytest.fixture
def app() -> Generator[App]:
    with App() as running:
        yield running


def kinds(life: Any) -> list[str]:
    """The types of the events of a life, in the order in which they were delivered."""
    return [event["type"] for step in life["steps"] for event in step["events"]]


def test_every_scenario_is_played_in_order(project: Operated, app: App) -> None:
    app.accesses = as_expected(*SCENARIOS.values())
    said = simulate(project, app, "--all", "--json")
    assert said.code == 0, said.err
    assert said.json["url"] == app.url
    lives = said.json["scenarios"]
    assert [life["name"] for life in lives] == list(SCENARIOS)
    assert {(life["skipped"], life["as_expected"]) for life in lives} == {(None, True)}
    for life, scenario in zip(lives, SCENARIOS.values(), strict=True):
        after = expected(scenario)
        assert [step["do"] for step in life["steps"]] == [step.about for step in scenario.steps]
        assert [step["after"] for step in life["steps"]] == [step["expected"] for step in life["steps"]] == after
        assert [step["before"] for step in life["steps"]] == [False, *after[:-1]], life["name"]
    told = [event for life in lives for step in life["steps"] for event in step["events"]]
    assert [(event["type"], event["webhook_id"]) for event in told] == [
        (event["type"], event["id"]) for event in app.events
    ]
    assert {event["status"] for event in told} == {202}
    assert len({event["webhook_id"] for event in told}) == len(told)
    users = [life["user"] for life in lives]
    assert len(set(users)) == len(users)
    assert all(user.startswith("simulated-") for user in users)
    assert list(dict.fromkeys(app.users)) == users


def test_as_text_it_is_a_timeline(project: Operated, app: App) -> None:
    app.accesses = as_expected(SCENARIOS["checkout_expires"])
    said = simulate(project, app, "checkout_expires", "--user", "user_1")
    assert (said.code, said.err) == (0, "")
    assert said.out.splitlines() == [
        "checkout_expires of user_1",
        "  step                  event                   answer  access    expected",
        "  a checkout is opened  member.created          202",
        "                        customer.created        202",
        "                        customer.state_changed  202",
        "                        checkout.created        202     no -> no  no",
        "  the card is declined  checkout.updated        202",
        "                        checkout.updated        202     no -> no  no",
        "  the checkout expires  checkout.expired        202     no -> no  no",
        "As expected.",
        "",
        "Played: 1, not as expected: 0, skipped: 0.",
    ]


def test_another_access_than_expected_ends_with_1(project: Operated, app: App) -> None:
    said = simulate(project, app, "buy", "--user", "user_1")
    assert said.code == 1
    assert said.out.splitlines()[-4:] == [
        " " * 30 + "order.updated           202     no -> no  yes",
        "Not as expected.",
        "",
        "Played: 1, not as expected: 1, skipped: 0.",
    ]


def test_an_event_that_the_app_does_not_take_is_not_as_expected(project: Operated, app: App) -> None:
    app.accesses, app.answers = as_expected(SCENARIOS["buy"]), {"order.paid": 503}
    said = simulate(project, app, "buy", "--json")
    (life,) = said.json["scenarios"]
    assert (said.code, life["as_expected"]) == (1, False)
    statuses = {event["type"]: event["status"] for step in life["steps"] for event in step["events"]}
    assert [kind for kind, status in statuses.items() if status == 503] == ["order.paid"]


@pytest.mark.parametrize("days", [0, 7])
def test_the_grace_is_the_projects(project: Operated, app: App, days: int) -> None:
    project.facts["grace_days"] = days
    app.accesses = as_expected(SCENARIOS["past_due"], grace_days=days)
    said = simulate(project, app, "past_due", "--json")
    assert said.code == 0
    assert said.json["scenarios"][0]["steps"][-1]["expected"] is (days > 0)


def test_the_order_is_that_of_the_seed_and_every_event_comes_twice(project: Operated, app: App) -> None:
    def play(*options: str) -> Any:
        app.accesses = iter([False, True])
        said = simulate(project, app, "buy", "--json", *options)
        assert said.code == 0, said.err
        return said.json["scenarios"][0]

    life = play("--duplicates", "--shuffle", "--seed", "7")
    (step,) = life["steps"]
    assert (step["do"], step["expected"]) == ("all of it, in the order of seed 7", True)
    ids = [event["webhook_id"] for event in step["events"]]
    assert {ids.count(each) for each in ids} == {2}
    assert kinds(play("--duplicates", "--shuffle", "--seed", "7")) == kinds(life)
    other = kinds(play("--duplicates", "--shuffle", "--seed", "8"))
    assert sorted(other) == sorted(kinds(life))
    assert other != kinds(life)
    first, unlike = kinds(play("--shuffle")), kinds(play("--shuffle", "--seed", "2"))
    assert first == kinds(play("--shuffle", "--seed", "1")) != unlike


def test_every_event_twice_in_order(project: Operated, app: App) -> None:
    app.accesses = as_expected(SCENARIOS["checkout_expires"])
    (life,) = simulate(project, app, "checkout_expires", "--duplicates", "--json").json["scenarios"]
    ids = [[event["webhook_id"] for event in step["events"]] for step in life["steps"]]
    assert all(each[::2] == each[1::2] for each in ids)
    assert [len(each) for each in ids] == [8, 4, 2]


@pytest.mark.parametrize("kind", ["subscription.past_due", "refund.updated", "product.updated", "discount.deleted"])
def test_a_single_event(project: Operated, app: App, kind: str) -> None:
    said = simulate(project, app, "--event", kind, "--user", "user_1", "--json")
    (life,) = said.json["scenarios"]
    assert (said.code, life["name"], life["user"], kinds(life)) == (0, kind, "user_1", [kind])
    assert [(step["do"], step["expected"]) for step in life["steps"]] == [("a single event", None)]
    assert [event["type"] for event in app.events] == [kind]


def test_what_the_catalogue_lacks_is_skipped(project: Operated, app: App) -> None:
    project.facts = raw_facts(project.runtime, catalogue=catalogue(sold=lambda product: not product["recurring"]))
    said = simulate(project, app, "buy")
    assert said.code == 1
    assert said.out.splitlines() == [
        "buy: skipped, for it needs a paid premium subscription.",
        "",
        "Played: 0, not as expected: 0, skipped: 1.",
    ]
    (life,) = simulate(project, app, "change_prorate", "--json").json["scenarios"]
    wanted = "needs a paid premium subscription and a second paid premium subscription"
    assert life == {"name": "change_prorate", "user": None, "skipped": wanted, "as_expected": None, "steps": []}
    app.accesses = as_expected(SCENARIOS["buy_once"])
    assert simulate(project, app, "buy", "buy_once").code == 0
    said = simulate(project, app, "--event", "subscription.paused")
    assert (said.code, said.err) == (
        1,
        "Error: No scenario that fits the catalogue has an event subscription.paused.\n",
    )
    listed = {each["name"]: each["skipped"] for each in project.run("simulate", "--json").json["scenarios"]}
    assert (listed["buy"], listed["buy_once"]) == ("needs a paid premium subscription", None)


def test_the_scenarios_are_listed_whatever_the_settings_are(project: Operated) -> None:
    project.facts = raw_facts(project.runtime, settings={"problem": "APP_URL: is required."})
    listed = project.run("simulate", "--json")
    assert listed.code == 0
    assert listed.json["scenarios"] == [
        {"name": each.name, "about": each.about, "skipped": None} for each in SCENARIOS.values()
    ]
    lines = project.run("simulate").out.splitlines()
    assert len(lines) == len(SCENARIOS)
    assert lines[0].split(maxsplit=1) == ["buy", "A subscription is bought by checkout."]


@pytest.mark.parametrize(
    ("runtime", "address"), [("worker", "http://127.0.0.1:8787"), ("fastapi", "http://127.0.0.1:8000")]
)
def test_the_address_is_by_default_where_dev_serves(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, runtime: str, address: str
) -> None:
    project = operated(tmp_path, runtime, capsys, monkeypatch)
    assert f"[default: {address}]" in " ".join(project.run("simulate", "--help").out.split())


def test_the_user_of_a_header_is_whoever_is_simulated(project: Operated, app: App) -> None:
    app.cookie = "session="
    app.accesses = as_expected(SCENARIOS["buy"], SCENARIOS["buy_once"])
    said = simulate(project, app, "buy", "buy_once", "--header", "Cookie: session={user}", "--json")
    assert said.code == 0, said.err
    assert list(dict.fromkeys(app.users)) == [life["user"] for life in said.json["scenarios"]]
    app.accesses = as_expected(SCENARIOS["buy"])
    said = simulate(project, app, "buy", "--user", "user_1", "--header", "Cookie: session=marker-session", "--json")
    assert (said.code, set(app.users[-6:])) == (0, {"marker-session"})
    assert "marker-session" not in said.out + said.err
    said = simulate(project, app, "buy", "--user", "user_1", "--header", "Authorization: Bearer marker-token")
    assert said.code == 1
    assert "marker-token" not in said.out + said.err


def test_a_token_is_as_the_settings_want_it(project: Operated, app: App) -> None:
    claimed: list[str] = []
    app.user = lambda headers: claimed.append(headers["Authorization"]) or "somebody"  # type: ignore[method-assign]
    project.facts = raw_facts(project.runtime, settings={"issuer": "https://issuer.example.com", "audience": "app"})
    simulate(project, app, "--event", "order.paid", "--user", "user_1")
    claims = claims_of(claimed[0].removeprefix("Bearer "))
    assert (claims["sub"], claims["iss"], claims["aud"]) == ("user_1", "https://issuer.example.com", "app")


@pytest.mark.parametrize("auth", ["custom", "jwt"])
def test_where_only_the_project_signs_in_the_access_is_not_asked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, app: App, auth: str
) -> None:
    project = operated(tmp_path, "fastapi", capsys, monkeypatch, auth=auth)
    jwt = JWT_SECRET if auth == "custom" else ""
    project.set(POLAR_WEBHOOK_SECRET=WEBHOOK_SECRET, AUTH_JWT_SECRET=jwt)
    said = simulate(project, app, "buy", "--json")
    assert (said.code, app.users) == (0, [])
    assert said.err == "The access cannot be asked: sign the user in with --header and --user.\n"
    assert {step["after"] for step in said.json["scenarios"][0]["steps"]} == {None}
    assert "? -> ?" in simulate(project, app, "buy").out


@pytest.mark.parametrize("presses", [1, 2])
def test_ctrl_c_waits_for_the_scenario_in_hand(project: Operated, app: App, presses: int) -> None:
    app.accesses = as_expected(*SCENARIOS.values())

    def press() -> None:
        if len(app.events) in range(3, 3 + presses):
            os.kill(os.getpid(), signal.SIGINT)

    app.on_event = press
    said = simulate(project, app, "--all", "--json")
    assert said.code == 130
    assert "Stopping after what is in hand; Ctrl-C once more ends it now." in said.err
    if presses == 1:
        assert [(life["name"], life["as_expected"]) for life in said.json["scenarios"]] == [("buy", True)]
        told = f"Stopped after 1 of {len(SCENARIOS)}. What was played stays in the database."
        assert said.err.splitlines()[-1] == told
    else:
        assert said.out == ""
        assert len(app.events) < len(SCENARIOS["buy"].steps) + 10
