"""`reconcile`: what differs from Polar, shown or corrected."""

from __future__ import annotations

from typing import Any

from tests.operations.side import Pair, Side

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
