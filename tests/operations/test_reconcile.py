"""`reconcile`: what differs from Polar, shown or corrected, and going on where it was stopped."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from tests.operations.side import Pair, Side
from tests.polar_server import rate_limited
from tests.support import node
from tests.support.polar_runtime import BROKEN

START = "2026-11-01T00:00:00.000000Z"
EMAIL = "ada@example.com"


def customer_id(number: int) -> str:
    return f"00000000-0000-4000-8000-{number:012}"


def at_polar(side: Side, number: int, external_id: str | None = None, **fields: Any) -> str:
    """A customer with a canceled subscription and an order, which Polar has."""
    own = customer_id(number)
    customer = side.polar.add_customer(external_id, EMAIL, id=own, created_at=START)
    bought = {"customer_id": own, "customer": customer, "product_id": "product", "created_at": START}
    subscription = {**bought, "id": f"s{number}", "status": "canceled", "ended_at": START, "amount": 1900} | fields
    side.polar.subscriptions[subscription["id"]] = subscription
    side.polar.orders[f"o{number}"] = {**bought, "id": f"o{number}", "status": "paid", "total_amount": 1900}
    return own


def here(side: Side, number: int, external_id: str | None = None, email: str = "old@example.com") -> None:
    """The same customer as it was known before: its subscription active, its order unknown, a grant that is lost."""
    own = customer_id(number)
    side.sql(
        "INSERT INTO billing_customers (id, external_id, email, type, created_us) VALUES (?, ?, ?, 'individual', 1)",
        [own, external_id, email],
    )
    side.sql(
        "INSERT INTO billing_subscriptions"
        " (id, customer_id, product_id, status, amount, created_us, cancel_at_period_end)"
        " VALUES (?, ?, 'product', 'active', 1900, 1793491200000000, 1)",
        [f"s{number}", own],
    )
    side.sql(
        "INSERT INTO billing_benefit_grants (id, customer_id, benefit_id, is_granted) VALUES (?, ?, 'b', 1)",
        [f"g{number}", own],
    )


def test_a_dry_run_shows_the_drift_field_by_field_and_writes_nothing(pair: Pair) -> None:
    for side in pair.sides:
        own = at_polar(side, 1, "user_1")
        here(side, 1)
    ran = pair.both("reconcile", "--dry-run", "--json")
    (found,) = ran.json["customers"]
    assert (found["customer"], found["outcome"]) == (own, "differs")
    assert {(item["kind"], item["field"], item["here"], item["polar"]) for item in found["differences"]} == {
        ("customer", "external_id", None, "user_1"),
        ("customer", "email", "(personal)", "(personal)"),
        ("subscription", "status", "active", "canceled"),
        ("subscription", "ended", None, START),
        ("subscription", "cancel_at_period_end", 1, 0),
        ("order", None, None, None),
        ("benefit_grant", "is_granted", 1, 0),
    }
    text = pair.both("reconcile", "--dry-run")
    assert "  subscription s1 status: active, at Polar canceled\n" in text.out
    assert "  order o1 is missing here\n" in text.out
    assert text.out.endswith("Compared: 1 customer(s), 1 differed, 0 failed.\n")
    assert not [line for line in (ran.out + ran.err + text.out).splitlines() if "@example.com" in line]
    assert pair.sql("SELECT status FROM billing_subscriptions") == [{"status": "active"}]
    assert pair.sql("SELECT * FROM billing_audit") == pair.sql("SELECT * FROM billing_access") == []


def test_what_differs_is_corrected_and_no_reaction_runs(pair: Pair) -> None:
    for side in pair.sides:
        own = at_polar(side, 1, "user_1")
        here(side, 1)
        new = at_polar(side, 2, "user_2")  # whose events were all lost
        side.sql("INSERT INTO billing_customers (id, external_id, created_us) VALUES ('gone', 'user_3', 1)")
    ran = pair.both("reconcile", "--json")
    assert ran.json == {
        "compared": 3,
        "customers": [
            {"customer": own, "outcome": "written", "rows": 4},
            {"customer": new, "outcome": "written", "rows": 3},
            {"customer": "gone", "outcome": "gone"},
        ],
        "next": None,
    }
    assert [row["status"] for row in pair.sql("SELECT status FROM billing_subscriptions")] == ["canceled"] * 2
    assert pair.sql("SELECT external_id FROM billing_customers WHERE id = ?", [own]) == [{"external_id": "user_1"}]
    assert pair.sql("SELECT * FROM billing_reactions") == []
    assert not [row for row in pair.sql("SELECT * FROM billing_access") if row["check_us"] is not None]
    assert pair.both("reconcile").out == "Reconciled: 2 customer(s), 0 differed, 0 failed.\n"
    assert [row["subject"] for row in pair.sql("SELECT subject FROM billing_audit")] == ["all", "all"]


def test_one_user_is_found_here_or_at_polar(pair: Pair) -> None:
    for side in pair.sides:
        at_polar(side, 1, 'user/2 é+%"')
        at_polar(side, 2, "user_2")
    ran = pair.both("reconcile", "--user", 'user/2 é+%"', "--json")
    assert [found["customer"] for found in ran.json["customers"]] == [customer_id(1)]
    assert "No customer of this user is known" in pair.both("reconcile", "--user", "--nobody", code=1).err


def test_polars_pace_is_kept_and_a_stopped_run_goes_on(pair: Pair) -> None:
    for side in pair.sides:
        for number in range(1, 6):
            at_polar(side, number)
        side.polar.next_answers = [rate_limited(1)]
        broken = [f"/v1/customers/{customer_id(number)}/state" for number in (2, 3, 4)]
        side.polar.always = lambda call, broken=broken: BROKEN if call.path in broken else None
    ran = pair.both("reconcile", "--json", code=1)
    assert "Polar asks to wait for 1 s." in ran.err
    assert (ran.json["compared"], ran.json["next"]) == (4, customer_id(1))
    assert [found["outcome"] for found in ran.json["customers"]] == ["written", "failed", "failed", "failed"]
    assert f"Stopped after 4 of 5: three in a row failed. Go on with --after {customer_id(1)}" in ran.err
    for side in pair.sides:
        side.polar.always = lambda call: None
    again = pair.both("reconcile", "--after", ran.json["next"], "--json").json
    assert [found["customer"] for found in again["customers"]] == [customer_id(number) for number in (2, 3, 4, 5)]


def test_no_minute_has_more_calls_than_polar_allows(pair: Pair) -> None:
    """The Worker's commands; the FastAPI project has such a test of its own."""
    done = subprocess.run(
        [node.NODE, "--import", "./scripts/resolve.ts", Path(__file__).with_name("pace_in_node.mjs")],
        cwd=pair.worker.project,
        env=node.environment(),
        timeout=60,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    made = json.loads(done.stdout)
    assert made[:80] == [0] * 80, "nobody waits before it must"
    assert all(later - earlier >= 60 for earlier, later in zip(made, made[80:], strict=False))
