"""`reconcile`: what differs from Polar, shown or corrected, and going on where it was stopped."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.operations.polar_operations import PolarOperations
from tests.tool.conftest import Tool
from tests.tool.fake_bridge import Failure, broken, rate_limited

EMAIL = "ada@example.com"
STOPPING = "Stopping after what is in hand; Ctrl-C once more ends it now."


def customer_id(number: int) -> str:
    return f"00000000-0000-4000-8000-{number:012}"


def difference(kind: str, column: str | None = None, here: object = None, polar: object = None) -> dict[str, Any]:
    return {"kind": kind, "id": f"{kind[0]}1", "column": column, "here": here, "polar": polar}


def written(customer: str) -> dict[str, Any]:
    return {"outcome": "written", "rows": 2, "calls": 4}


@pytest.fixture
def waited(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long was slept, which takes no time here."""
    slept: list[float] = []
    monkeypatch.setattr(time, "sleep", slept.append)
    return slept


def test_a_dry_run_shows_the_drift_field_by_field_and_writes_nothing(tool: Tool, polar: PolarOperations) -> None:
    tool.bridge.add("customers", id=customer_id(1))
    differences = [
        difference("customer", "external_id", None, "user_1"),
        difference("customer", "email", "(personal)", "(personal)"),
        difference("customer", "name", "Ada", "Ada L."),
        difference("subscription", "status", "active", "canceled"),
        difference("subscription", "ended_us", None, 1793491200000000),
        difference("subscription", "cancel_at_period_end", True, False),
        difference("order"),
        difference("benefit_grant", "is_granted", 1, 0),
    ]
    tool.bridge.scripts["drift"] = lambda customer: {"differences": differences, "calls": 4}
    (found,) = tool.run("reconcile", "--dry-run", "--json").json["customers"]
    assert (found["customer"], found["outcome"]) == (customer_id(1), "differs")
    assert [tuple(item.values()) for item in found["differences"]] == [
        ("customer", "c1", "external_id", None, "user_1"),
        ("customer", "c1", "email", "(personal)", "(personal)"),
        ("customer", "c1", "name", "(personal)", "(personal)"),
        ("subscription", "s1", "status", "active", "canceled"),
        ("subscription", "s1", "ended", None, "2026-11-01T00:00:00.000000Z"),
        ("subscription", "s1", "cancel_at_period_end", 1, 0),
        ("order", "o1", None, None, None),
        ("benefit_grant", "b1", "is_granted", 1, 0),
    ]
    lines = tool.run("reconcile", "--dry-run").out.splitlines()
    assert lines[0] == f"{customer_id(1)} differs"
    assert "  subscription s1 status: active, at Polar canceled" in lines
    assert "  subscription s1 ended: -, at Polar 2026-11-01T00:00:00.000000Z" in lines
    assert "  order o1 is missing here" in lines
    assert lines[-1] == "Compared: 1 customer(s), 1 differed, 0 failed."
    assert tool.bridge.rows("SELECT * FROM billing_audit") == []
    assert tool.bridge.asked("reconcile") == []


def test_what_differs_is_corrected_customer_by_customer(tool: Tool, polar: PolarOperations) -> None:
    for number in (1, 2, 4):
        tool.bridge.add("customers", id=customer_id(number))
    tool.bridge.add("customers", id=customer_id(5), deleted_us=1)
    only_there = polar.add_customer("user_3", EMAIL, id=customer_id(3))["id"]
    answers = {
        customer_id(1): {"outcome": "written", "rows": 4, "calls": 4},
        customer_id(2): {"outcome": "equal", "rows": 0, "calls": 4},
        only_there: {"outcome": "gone", "rows": 1, "calls": 1},
    }
    tool.bridge.scripts["reconcile"] = lambda customer: answers.get(customer, written(customer))
    ran = tool.run("reconcile", "--json")
    assert ran.json == {
        "compared": 4,
        "customers": [
            {"customer": customer_id(1), "outcome": "written", "rows": 4},
            {"customer": only_there, "outcome": "gone"},
            {"customer": customer_id(4), "outcome": "written", "rows": 2},
        ],
        "next": None,
    }
    assert [asked["customer"] for asked in tool.bridge.asked("reconcile")] == [customer_id(n) for n in (1, 2, 3, 4)]
    assert tool.run("reconcile").out.splitlines() == [
        f"{customer_id(1)} written, 4 row(s)",
        f"{only_there} gone",
        f"{customer_id(4)} written, 2 row(s)",
        "Reconciled: 4 customer(s), 3 differed, 0 failed.",
    ]
    assert [row["subject"] for row in tool.bridge.rows("SELECT subject FROM billing_audit")] == ["all", "all"]
    listed = [call for call in polar.calls if call.path == "/v1/customers/"]
    assert [call.query["sorting"] for call in listed] == [["created_at"]] * 2, "what is new shifts no page"


def test_one_user_is_found_here_or_at_polar(tool: Tool, polar: PolarOperations) -> None:
    user = 'user/2 é+%"'
    polar.add_customer(user, EMAIL, id=customer_id(1))
    polar.add_customer("user_2", "2@example.com", id=customer_id(2))
    tool.bridge.add("customers", id=customer_id(3), external_id=user)
    tool.run("reconcile", "--user", user)
    assert [asked["customer"] for asked in tool.bridge.asked("reconcile")] == [customer_id(1), customer_id(3)]
    assert [row["subject"] for row in tool.bridge.rows("SELECT subject FROM billing_audit")] == [user]
    told = "Error: No customer of this user is known, here or at Polar."
    assert tool.run("reconcile", "--user", "--nobody", code=1).error == told


def test_three_failures_in_a_row_stop_and_it_goes_on_from_there(tool: Tool, polar: PolarOperations) -> None:
    for number in range(1, 6):
        tool.bridge.add("customers", id=customer_id(number))

    def answer(customer: str) -> dict[str, Any]:
        if customer == customer_id(3):
            raise Failure("unreadable", "created_at is no instant")
        if customer in (customer_id(2), customer_id(4)):
            raise broken()
        return written(customer)

    tool.bridge.scripts["reconcile"] = answer
    ran = tool.run("reconcile", "--json", code=1)
    assert (ran.json["compared"], ran.json["next"]) == (4, customer_id(1))
    assert [found["outcome"] for found in ran.json["customers"]] == ["written", "failed", "failed", "failed"]
    assert f"{customer_id(2)}: Polar answered 500 InternalServerError" in ran.err
    assert f"{customer_id(3)}: created_at is no instant" in ran.err
    assert ran.error == f"Stopped after 4 of 5: three in a row failed. Go on with --after {customer_id(1)}"
    tool.bridge.scripts["reconcile"] = written
    again = tool.run("reconcile", "--after", ran.json["next"], "--json").json
    assert [found["customer"] for found in again["customers"]] == [customer_id(number) for number in (2, 3, 4, 5)]


def test_where_all_fail_there_is_nowhere_to_go_on(tool: Tool, polar: PolarOperations) -> None:
    for number in range(1, 6):
        tool.bridge.add("customers", id=customer_id(number))

    def answer(customer: str) -> None:
        raise broken()

    tool.bridge.scripts["reconcile"] = answer
    ran = tool.run("reconcile", "--json", code=1)
    assert (ran.json["compared"], ran.json["next"]) == (3, None)
    assert ran.error == "Stopped after 3 of 5: three in a row failed. Run it again."
    after = tool.run("reconcile", "--after", customer_id(1), "--json", code=1)
    assert (after.json["compared"], after.json["next"]) == (3, customer_id(1))


def test_a_store_that_refuses_ends_it(tool: Tool, polar: PolarOperations) -> None:
    tool.bridge.add("customers", id=customer_id(1))

    def answer(customer: str) -> None:
        raise Failure("store", "The database refused: OperationalError.")

    tool.bridge.scripts["reconcile"] = answer
    assert tool.run("reconcile", code=1).error == "Error: The database refused: OperationalError."


@pytest.mark.parametrize(("asked", "seconds"), [(2, 2), (None, 60), (300, 300), ("soon", 60)])
def test_polar_is_asked_again_after_the_wait_it_asks_for(
    tool: Tool, polar: PolarOperations, waited: list[float], asked: float | None, seconds: float
) -> None:
    tool.bridge.add("customers", id=customer_id(1))
    answers: list[Callable[[], Any]] = [lambda: rate_limited(asked)] * 2

    def answer(customer: str) -> dict[str, Any]:
        if answers:
            raise answers.pop()()
        return written(customer)

    tool.bridge.scripts["reconcile"] = answer
    ran = tool.run("reconcile", "--json")
    assert ran.err.count(f"Polar asks to wait for {seconds} s.") == 2
    assert [wait for wait in waited if wait] == [seconds] * 2
    assert ran.json["customers"][0]["outcome"] == "written"


@pytest.mark.parametrize(("asked", "waits"), [(301, 0), (1, 5)])
def test_waiting_has_an_end(tool: Tool, polar: PolarOperations, waited: list[float], asked: float, waits: int) -> None:
    tool.bridge.add("customers", id=customer_id(1))

    def answer(customer: str) -> None:
        raise rate_limited(asked)

    tool.bridge.scripts["reconcile"] = answer
    ran = tool.run("reconcile", "--json", code=1)
    assert ran.json["customers"] == [{"customer": customer_id(1), "outcome": "failed"}]
    assert len(tool.bridge.asked("reconcile")) == waits + 1
    assert [wait for wait in waited if wait] == [asked] * waits


def test_the_calls_that_the_app_makes_are_counted_in_the_pace(
    tool: Tool, polar: PolarOperations, waited: list[float]
) -> None:
    for number in range(1, 6):
        tool.bridge.add("customers", id=customer_id(number))
    tool.bridge.scripts["reconcile"] = lambda customer: {"outcome": "equal", "rows": 0, "calls": 20}
    tool.run("reconcile")
    # One to list the customers, and four times 20 before the last: 81, where 80 may pass in a minute.
    (wait,) = [wait for wait in waited if wait]
    assert 50 < wait <= 60


def pressing(tool: Tool, at: str, presses: int = 1) -> Callable[[str], dict[str, Any]]:
    """Answers for which Ctrl-C comes while one customer is in hand."""

    def answer(customer: str) -> dict[str, Any]:
        for _ in range(presses if customer == at else 0):
            signal.raise_signal(signal.SIGINT)
        return written(customer)

    return answer


def test_ctrl_c_ends_it_after_the_customer_in_hand(tool: Tool, polar: PolarOperations) -> None:
    before = signal.getsignal(signal.SIGINT)
    for number in range(1, 6):
        tool.bridge.add("customers", id=customer_id(number))
    tool.bridge.scripts["reconcile"] = pressing(tool, customer_id(2))
    ran = tool.run("reconcile", "--json", code=130)
    assert (ran.json["compared"], ran.json["next"]) == (2, customer_id(2))
    assert [found["outcome"] for found in ran.json["customers"]] == ["written", "written"]
    assert STOPPING in ran.err
    assert ran.error == f"Stopped after 2 of 5. Go on with --after {customer_id(2)}"
    assert tool.bridge.closed
    assert signal.getsignal(signal.SIGINT) is before


def test_the_last_customer_in_hand_is_the_end_as_usual(tool: Tool, polar: PolarOperations) -> None:
    tool.bridge.add("customers", id=customer_id(1))
    tool.bridge.scripts["reconcile"] = pressing(tool, customer_id(1))
    assert tool.run("reconcile").out.splitlines()[-1] == "Reconciled: 1 customer(s), 1 differed, 0 failed."


def test_pressed_twice_it_ends_at_once(tool: Tool, polar: PolarOperations) -> None:
    for number in (1, 2):
        tool.bridge.add("customers", id=customer_id(number))
    tool.bridge.scripts["reconcile"] = pressing(tool, customer_id(1), presses=2)
    ran = tool.run("reconcile", code=130)
    assert ran.out == ""
    assert tool.bridge.closed
    assert len(tool.bridge.asked("reconcile")) == 1
