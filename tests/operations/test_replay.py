"""`replay`: what the app makes of stored events that are applied once more."""

from __future__ import annotations

import json
from typing import Any

from tests.operations.side import Pair, Side, now_us

START = "2026-11-01T00:00:00Z"
END = "2099-12-01T00:00:00Z"


def customer(customer_id: str = "c1", external_id: str | None = "user_1") -> dict[str, Any]:
    return {"id": customer_id, "external_id": external_id, "email": "ada@example.com", "created_at": START}


def subscription(side: Side, **fields: Any) -> dict[str, Any]:
    """An active subscription to the shop's first premium product."""
    product = next(p for p in side.polar.products.values() if p["is_recurring"] and p["prices"][0].get("price_amount"))
    usual = {"id": "s1", "customer_id": "c1", "customer": customer(), "product_id": product["id"], "status": "active"}
    return {**usual, "created_at": START, "current_period_start": START, "current_period_end": END, **fields}


def store(side: Side, webhook_id: str, kind: str, data: object, state: str = "processed", **fields: Any) -> None:
    """An event in the inbox, as it came."""
    body = data if isinstance(data, bytes) else json.dumps({"type": kind, "timestamp": START, "data": data}).encode()
    row = {"webhook_id": webhook_id, "type": kind, "state": state, "attempts": 1, "received_us": 1, "body": body}
    row |= fields
    side.sql(
        f"INSERT INTO billing_webhook_events ({', '.join(row)}) VALUES ({', '.join('?' * len(row))})",
        list(row.values()),
    )


def test_without_a_choice_those_that_failed_are_replayed(pair: Pair) -> None:
    for side in pair.sides:
        store(side, "wh_1", "subscription.active", subscription(side), "dead", received_us=1)
        store(side, "wh_2", "", b"{", "failed", received_us=2)
        store(side, "wh_3", "benefit.created", {}, received_us=3)
    ran = pair.both("replay", "--json", code=1)
    assert ran.json["events"] == [
        {"webhook_id": "wh_1", "type": "subscription.active", "outcome": "processed"},
        {"webhook_id": "wh_2", "type": "", "outcome": "failed"},
    ]
    assert pair.both("replay", code=1).out == "wh_2 failed\nReplayed: 1 event(s), 1 failed.\n"
    assert [row["status"] for row in pair.sql("SELECT status FROM billing_subscriptions")] == ["active"]
    rows = pair.sql("SELECT state, attempts FROM billing_webhook_events ORDER BY webhook_id")
    assert rows == [
        {"state": "processed", "attempts": 2},
        {"state": "failed", "attempts": 3},
        {"state": "processed", "attempts": 1},
    ]
    assert [row["subject"] for row in pair.sql("SELECT subject FROM billing_audit")] == ["failed", "failed"]


def test_no_reaction_runs_unless_asked_for_also_not_later(pair: Pair) -> None:
    for side in pair.sides:
        store(side, "wh_1", "subscription.active", subscription(side))
    pair.both("replay", "wh_1")
    assert pair.sql("SELECT * FROM billing_reactions") == []
    rows = pair.sql("SELECT user_id, access, changes, check_us > 1 AS later FROM billing_access")
    assert rows == [{"user_id": "user_1", "access": 1, "changes": 1, "later": 1}]
    assert all(row["check_us"] > now_us() for side in pair.sides for row in side.sql("SELECT * FROM billing_access"))


def test_a_user_whom_an_event_waits_for_is_left_to_the_reactions(pair: Pair) -> None:
    for side in pair.sides:
        side.sql("INSERT INTO billing_access (user_id, check_us) VALUES ('user_1', 5)")
        store(side, "wh_1", "subscription.active", subscription(side))
    pair.both("replay", "wh_1")
    assert all(row["check_us"] <= now_us() for side in pair.sides for row in side.sql("SELECT * FROM billing_access"))
    assert pair.sql("SELECT access, changes FROM billing_access") == [{"access": 0, "changes": 0}]


def test_reactions_run_when_asked_for_and_only_once(pair: Pair) -> None:
    for side in pair.sides:
        store(side, "wh_1", "subscription.active", subscription(side))
    pair.both("replay", "wh_1")
    assert "no terminal to ask on" in pair.both("replay", "wh_1", "--reactions", code=1).err
    assert pair.sql("SELECT * FROM billing_reactions") == []
    for _ in range(2):
        pair.both("replay", "wh_1", "--reactions", "--yes")
        written = pair.sql("SELECT key, user_id, state FROM billing_reactions")
        assert len({row["key"] for row in written}) == len(written)
        assert {row["user_id"] for row in written} <= {"user_1"}


def test_an_event_that_is_not_there_is_told(pair: Pair) -> None:
    hostile = "nobody'; DROP TABLE billing_webhook_events"
    for side in pair.sides:
        store(side, "wh_1", "benefit.created", b"", body=None)
    ran = pair.both("replay", hostile, "wh_1", "--json", code=1)
    assert ran.json["events"] == [{"webhook_id": name, "type": "", "outcome": "missing"} for name in (hostile, "wh_1")]


def test_what_was_applied_and_cannot_be_now_stays_as_it_was(pair: Pair) -> None:
    for side in pair.sides:
        store(side, "wh_1", "order.paid", {"id": "o1"})
    assert pair.both("replay", "wh_1", "--json", code=1).json["events"][0]["outcome"] == "failed"
    assert pair.sql("SELECT state, attempts, error FROM billing_webhook_events") == [
        {"state": "processed", "attempts": 1, "error": None}
    ]
