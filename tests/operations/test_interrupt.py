"""Ctrl-C: a command ends after what is in hand, says how far it came, and goes on from there when told to."""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest

from tests.operations.side import Pair, Ran, Side
from tests.operations.test_reconcile import at_polar, customer_id
from tests.operations.test_replay import store
from tests.polar_server import Answer
from tests.support.polar_runtime import Call

HAND = 1.5  # seconds that Polar takes for what is in hand, so that Ctrl-C comes in between
STOPPING = "Stopping after what is in hand; Ctrl-C once more ends it now."


def slow(side: Side, path: str) -> threading.Event:
    """Have Polar take its time for a path; the event says that it was asked."""
    asked = threading.Event()

    def wait(call: Call) -> Answer | None:
        if call.path == path:
            asked.set()
            time.sleep(HAND)
        return None

    side.polar.always = wait
    return asked


def left_over(side: Side) -> list[str]:
    """The processes that still work on the store of a side."""
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            found.append(file.read_text(errors="replace").replace("\0", " "))
    return [arguments for arguments in found if str(side.folder) in arguments]


def both(pair: Pair, path: str, *command: str, presses: int = 1) -> tuple[Ran, Ran]:
    """Interrupt a command in one runtime after the other."""
    worker, fastapi = (side.interrupted(slow(side, path), *command, presses=presses) for side in pair.sides)
    assert [left_over(side) for side in pair.sides] == [[], []]
    return worker, fastapi


def test_reconciling_ends_after_the_customer_in_hand_and_goes_on_from_there(pair: Pair) -> None:
    for side in pair.sides:
        for number in range(1, 6):
            at_polar(side, number)
    for ran in both(pair, f"/v1/customers/{customer_id(2)}/state", "reconcile", "--json"):
        assert ran.code == 130, ran.err
        assert (ran.json["compared"], ran.json["next"]) == (2, customer_id(2))
        assert [found["outcome"] for found in ran.json["customers"]] == ["written", "written"]
        assert STOPPING in ran.err
        assert ran.err.splitlines()[-1] == f"Stopped after 2 of 5. Go on with --after {customer_id(2)}"
    assert [row["id"] for row in pair.sql("SELECT id FROM billing_subscriptions ORDER BY id")] == ["s1", "s2"]
    for side in pair.sides:
        side.polar.always = lambda call: None
    rest = pair.both("reconcile", "--after", customer_id(2), "--json").json
    assert [found["customer"] for found in rest["customers"]] == [customer_id(number) for number in (3, 4, 5)]
    assert pair.both("reconcile", "--json").json == {"compared": 5, "customers": [], "next": None}


def test_the_last_customer_in_hand_is_the_end_as_usual(pair: Pair) -> None:
    for side in pair.sides:
        at_polar(side, 1)
    for ran in both(pair, f"/v1/customers/{customer_id(1)}/state", "reconcile"):
        assert (ran.code, ran.out.splitlines()[-1]) == (0, "Reconciled: 1 customer(s), 1 differed, 0 failed."), ran.err


def test_pressed_twice_it_ends_at_once(pair: Pair) -> None:
    for side in pair.sides:
        for number in (1, 2):
            at_polar(side, number)
    for ran in both(pair, f"/v1/customers/{customer_id(1)}/state", "reconcile", presses=2):
        assert ran.code in (130, -2), ran.err  # a shell says 130 of a process that the signal ended
        assert (ran.out, "Traceback" in ran.err) == ("", False)
    assert pair.sql("SELECT * FROM billing_subscriptions") == []
    assert pair.both("reconcile", "--json").json["compared"] == 2


def test_replaying_ends_after_the_event_in_hand(pair: Pair) -> None:
    for side in pair.sides:
        for number in (1, 2, 3):
            side.polar.add_delivery(f"wh_{number}", "order.paid", 503)
        store(side, "wh_2", "benefit.created", {})
    path = "/v1/webhooks/events/wh_2/redeliver"
    for ran in both(pair, path, "replay", "--from-polar", "wh_1", "wh_2", "wh_3", "--json"):
        assert ran.code == 130, ran.err
        assert [event["webhook_id"] for event in ran.json["events"]] == ["wh_1", "wh_2"]
        assert ran.err.splitlines()[-1] == "Stopped after 2 of 3. Run it again: nothing is applied twice."
    assert [side.polar.redelivered for side in pair.sides] == [["wh_1", "wh_2"]] * 2


@pytest.mark.parametrize("command", [("catalog", "diff"), ("endpoint", "sync", "--url", "https://app.example.com/x")])
def test_what_only_asks_ends_at_once(pair: Pair, command: tuple[str, ...]) -> None:
    path = "/v1/products/" if command[0] == "catalog" else "/v1/webhooks/endpoints"
    for side in pair.sides:
        ran = side.interrupted(slow(side, path), *command, stored=command[0] != "catalog")
        assert ran.code in (130, -2), ran.err
        assert (ran.out, "Traceback" in ran.err) == ("", False)
