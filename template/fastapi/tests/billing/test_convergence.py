"""Any order, any repeats: the same rows, the same access."""

import json
import random
from typing import Any

import pytest
from sqlalchemy import text

from app.billing.account import account_of
from app.billing.tables import metadata
from app.billing.time import DAY, SECOND, to_iso
from app.database import Database
from tests.support.deliveries import (
    CATALOG,
    NOW,
    Delivered,
    apply,
    checkout,
    customer,
    event,
    grant,
    member,
    order,
    rows_of,
    state,
    subscription,
)

STATUSES = ["trialing", "active", "past_due", "active", "paused", "canceled"]
USERS = ["user_1", "user_2", "user_3"]
# When something was received and tried differs, of course.
INCIDENTAL = {"received_us", "processed_us", "attempts", "next_attempt_us", "check_us"}


def history(seed: int) -> list[Delivered]:
    """Return a made-up history of two customers, a team and an id used twice."""
    chance = random.Random(seed)
    old = customer("c1", "user_1")
    gone = old | {"external_id": None, "deleted_at": to_iso(NOW + 50 * SECOND)}
    new = customer("c2", "user_1", created_at=to_iso(NOW + 60 * SECOND))
    team = customer("c3", None)
    linked = team | {"external_id": "user_2", "modified_at": to_iso(NOW)}
    events = [
        event("customer.created", old, 0),
        event("customer.created", new, 60),
        event("customer.created", team, 0),
        event("customer.updated", linked, 30),
        event("customer.deleted", gone, 50),
        event("member.created", member("m3", None, "c3"), 0),
        event("member.created", member("m4", "user_3", "c3", role="member"), 5),
        event("checkout.created", checkout(), 1),
        event("checkout.updated", checkout(status="succeeded", customer_id="c1"), 2),
    ]
    for second in range(2, 90, 3):
        buyer = chance.choice([old if second < 50 else gone, new, team if second < 30 else linked])
        changes: dict[str, Any] = {
            "status": chance.choice(STATUSES),
            "cancel_at_period_end": chance.random() < 0.3,
            "past_due_at": to_iso(NOW - DAY) if chance.random() < 0.5 else None,
            "modified_at": to_iso(NOW + chance.randrange(90) * SECOND),  # it does go backwards
        }
        bought = subscription(chance.choice(["pro", "team", "free"]), f"s-{buyer['id']}", buyer, **changes)
        granted = chance.random() < 0.6
        given = grant(
            grant_id=f"g-{buyer['id']}",
            buyer=buyer,
            member_id=chance.choice(["m3", "m4"]) if buyer["id"] == "c3" else None,
            is_granted=granted,
            is_revoked=not granted,
        )
        paid = order(order_id=f"o-{buyer['id']}", buyer=buyer, status=chance.choice(["paid", "refunded", "pending"]))
        events += [
            event("subscription.updated", bought, second),
            event("benefit_grant.updated", given, second + 0.1),
            event("order.updated", paid, second + 0.2),
            event("customer.state_changed", state(buyer), second + 0.3),
        ]
    return events


def picture(database: Database) -> str:
    """Return all that was made of a history."""
    tables = {name: rows_of(database, name) for name in metadata.tables if name != "billing_reactions"}
    rows = {name: [{k: v for k, v in row.items() if k not in INCIDENTAL} for row in tables[name]] for name in tables}
    accounts = [account_of(database, user, NOW + 100 * SECOND, CATALOG) for user in USERS]
    return json.dumps([rows, accounts], default=str, indent=1)


def empty(database: Database) -> None:
    with database.write() as connection:
        for name in metadata.tables:
            connection.execute(text(f"DELETE FROM {name}"))


@pytest.mark.parametrize("seed", range(2))
def test_any_order_with_repeats_gives_the_same(database: Database, seed: int) -> None:
    events = history(seed)
    apply(database, *events)
    expected = picture(database)
    for shuffle in range(3):
        empty(database)
        mixed = events + random.Random(shuffle).choices(events, k=len(events) // 4)
        random.Random(shuffle).shuffle(mixed)
        apply(database, *(reversed(events) if shuffle == 0 else mixed))
        assert picture(database) == expected


def test_with_equal_timestamps_the_order_is_still_the_same(database: Database) -> None:
    one = event("order.updated", order(status="pending"), webhook_id="w1")
    two = event("order.updated", order(status="paid"), webhook_id="w2")
    apply(database, one, two)
    expected = picture(database)
    empty(database)
    apply(database, two, one)
    assert picture(database) == expected
