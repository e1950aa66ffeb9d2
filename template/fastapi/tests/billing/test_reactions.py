"""Reactions run once for every transition, at least once each, and never for old news."""

from typing import Any

import pytest

from app.billing.background import run_background
from app.billing.compare_access import compare_access
from app.billing.outbox import run_reactions
from app.billing.policy_table import RENEWAL_LEEWAY, RENEWAL_LIMIT
from app.billing.reactions import Delivery, Handlers
from app.billing.records import email_of
from app.billing.time import DAY, HOUR, MINUTE, SECOND, to_iso
from app.database import Database
from app.reactions import reactions as own_reactions
from tests.support.deliveries import (
    CATALOG,
    NOW,
    Json,
    apply,
    customer,
    event,
    grant,
    member,
    order,
    rows_of,
    subscription,
)

OUTBOX = "billing_reactions"
END = NOW + 20 * DAY


def ignore(_payload: Any, _delivery: Delivery) -> None:
    """Do nothing."""


ALL: Handlers = {
    "access_granted": ignore,
    "access_ended": ignore,
    "subscription_started": ignore,
    "subscription_cancellation_scheduled": ignore,
    "subscription_ended": ignore,
    "payment_failed": ignore,
    "order_paid": ignore,
    "order_refunded": ignore,
}
PAST_DUE: Json = {"status": "past_due", "past_due_at": to_iso(NOW)}
ENDED: Json = {"status": "canceled", "ended_at": to_iso(NOW), "cancel_at_period_end": True, "canceled_at": to_iso(NOW)}


def keys(database: Database) -> list[str]:
    return [row["key"] for row in rows_of(database, OUTBOX)]


def applied(database: Database, *events: tuple[str, bytes]) -> list[str]:
    apply(database, *events, reactions=ALL)
    return keys(database)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (subscription(), ["subscription_started:s1"]),
        (subscription(status="trialing"), ["subscription_started:s1"]),
        (subscription(**PAST_DUE), [f"payment_failed:s1:{NOW}"]),
        (subscription(**ENDED), [f"subscription_ended:s1:{NOW}"]),
        (subscription(status="paused"), []),
        (subscription(status="incomplete"), []),
        (
            subscription(cancel_at_period_end=True, canceled_at=to_iso(NOW)),
            [f"subscription_cancellation_scheduled:s1:{NOW}", "subscription_started:s1"],
        ),
    ],
)
def test_what_a_subscription_calls_for(database: Database, data: Json, expected: list[str]) -> None:
    assert applied(database, event("subscription.updated", data)) == expected


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (order(status="pending"), []),
        (order(), ["order_paid:o1"]),
        (order(status="partially_refunded", refunded_amount=100), ["order_paid:o1", "order_refunded:o1:100"]),
        (order(status="refunded", refunded_amount=4900), ["order_paid:o1", "order_refunded:o1:4900"]),
        (order(status="void"), []),
    ],
)
def test_what_an_order_calls_for(database: Database, data: Json, expected: list[str]) -> None:
    assert applied(database, event("order.updated", data)) == expected


def test_once_for_a_transition_however_many_events_say_so(database: Database) -> None:
    first = event("subscription.created", subscription(), 0)
    more = [event("subscription.active", subscription(), 1), event("subscription.updated", subscription(amount=5), 2)]
    assert applied(database, first, *more, first) == ["subscription_started:s1"]


def test_old_news_fires_nothing(database: Database) -> None:
    recovered = event("subscription.active", subscription(), 10)
    assert applied(database, recovered, event("subscription.past_due", subscription(**PAST_DUE), 5)) == [
        "subscription_started:s1"
    ]


def test_a_second_decline_fires_again(database: Database) -> None:
    later = subscription(status="past_due", past_due_at=to_iso(NOW + DAY))
    fired = applied(
        database,
        event("subscription.past_due", subscription(**PAST_DUE), 0),
        event("subscription.active", subscription(), 1),
        event("subscription.past_due", later, 2),
    )
    assert [key for key in fired if key.startswith("payment_failed")] == [
        f"payment_failed:s1:{NOW}",
        f"payment_failed:s1:{NOW + DAY}",
    ]


def test_only_reactions_with_a_handler_are_written(database: Database) -> None:
    apply(database, event("order.paid", order()), reactions={"order_refunded": ignore})
    assert keys(database) == []


def test_the_payload_says_whose_it_is(database: Database) -> None:
    seen: list[Any] = []
    handlers: Handlers = {"order_paid": lambda payload, delivery: seen.append((payload, delivery))}
    apply(database, event("order.paid", order()), reactions=handlers)
    run_reactions(database, handlers, NOW, 10)
    payload, delivery = seen[0]
    assert (payload["user_id"], payload["customer_id"], payload["amount"]) == ("user_1", "c1", 4900)
    assert delivery == Delivery("order_paid:o1", 1)


def test_a_handler_that_fails_is_tried_ten_times(database: Database) -> None:
    attempts: list[int] = []

    def fail(_payload: Any, delivery: Delivery) -> None:
        attempts.append(delivery.attempt)
        raise RuntimeError("mail server is down")

    handlers: Handlers = {"order_paid": fail}
    apply(database, event("order.paid", order()), reactions=handlers)
    now = NOW
    for _ in range(20):
        run_reactions(database, handlers, now, 10)
        now += 2 * HOUR
    (row,) = rows_of(database, OUTBOX)
    assert attempts == list(range(1, 11))
    assert (row["state"], row["error"]) == ("dead", "RuntimeError: mail server is down")
    assert rows_of(database, "billing_webhook_events")[0]["state"] == "processed"


def test_a_handler_that_failed_once_runs_again_and_is_done(database: Database) -> None:
    attempts: list[str] = []

    def fail_once(_payload: Any, delivery: Delivery) -> None:
        attempts.append(delivery.key)
        if delivery.attempt == 1:
            raise RuntimeError

    handlers: Handlers = {"order_paid": fail_once}
    apply(database, event("order.paid", order()), reactions=handlers)
    run_reactions(database, handlers, NOW, 10)
    run_reactions(database, handlers, NOW + 29 * SECOND, 10)
    assert attempts == ["order_paid:o1"]
    run_reactions(database, handlers, NOW + 31 * SECOND, 10)
    run_reactions(database, handlers, NOW + HOUR, 10)
    assert attempts == ["order_paid:o1"] * 2
    assert rows_of(database, OUTBOX)[0]["state"] == "done"


def test_what_a_process_left_behind_is_taken_over_after_its_lease(database: Database) -> None:
    runs: list[int] = []

    class Killed(BaseException):
        """The process ends here."""

    def die_once(_payload: Any, delivery: Delivery) -> None:
        runs.append(delivery.attempt)
        if delivery.attempt == 1:
            raise Killed

    handlers: Handlers = {"order_paid": die_once}
    apply(database, event("order.paid", order()), reactions=handlers)
    with pytest.raises(Killed):
        run_reactions(database, handlers, NOW, 10)
    run_reactions(database, handlers, NOW + 50 * SECOND, 10)
    assert runs == [1]
    run_reactions(database, handlers, NOW + 2 * MINUTE, 10)
    assert runs == [1, 2]


def compared(database: Database, now: int) -> list[str]:
    compare_access(database, now, 100, ALL, CATALOG)
    return [key for key in keys(database) if key.startswith("access")]


def test_access_is_granted_and_ended_once_each(database: Database) -> None:
    apply(database, event("subscription.active", subscription()))
    assert compared(database, NOW) == ["access_granted:user_1:1"]
    apply(database, event("subscription.updated", subscription(amount=1), 1))
    assert compared(database, NOW + SECOND) == ["access_granted:user_1:1"]
    apply(database, event("subscription.revoked", subscription(**ENDED), 2), now=NOW + 2 * SECOND)
    assert compared(database, NOW + 2 * SECOND) == ["access_ended:user_1:2", "access_granted:user_1:1"]
    apply(database, event("order.paid", order(), 3), now=NOW + 3 * SECOND)
    assert compared(database, NOW + 3 * SECOND)[-1] == "access_granted:user_1:3"


def test_access_that_ends_by_time_alone_is_noticed(database: Database) -> None:
    apply(database, event("subscription.canceled", subscription(cancel_at_period_end=True, ends_at=to_iso(END))))
    assert compared(database, END - 1) == ["access_granted:user_1:1"]
    assert compared(database, END) == ["access_ended:user_1:2", "access_granted:user_1:1"]


def test_a_late_renewal_has_polar_asked_once_and_then_ends(database: Database) -> None:
    apply(database, event("subscription.active", subscription()))
    compared(database, NOW)
    compared(database, END + RENEWAL_LEEWAY)
    assert rows_of(database, "billing_customers")[0]["reconcile_us"] is None
    late = END + RENEWAL_LEEWAY + SECOND
    compared(database, late)
    assert rows_of(database, "billing_customers")[0]["reconcile_us"] == late
    assert compared(database, END + RENEWAL_LIMIT) == ["access_ended:user_1:2", "access_granted:user_1:1"]


def test_a_deletion_ends_access(database: Database) -> None:
    apply(database, event("subscription.active", subscription()))
    compared(database, NOW)
    apply(database, event("customer.deleted", customer(external_id=None, deleted_at=to_iso(NOW)), 1))
    assert compared(database, NOW)[0] == "access_ended:user_1:2"


def test_the_own_handlers_run(database: Database) -> None:
    apply(database, event("order.paid", order()), event("subscription.active", subscription()), reactions=own_reactions)
    run_background(database, None, own_reactions, 90, NOW)
    assert {row["state"] for row in rows_of(database, OUTBOX)} == {"done"}


def test_a_handler_can_look_up_the_address_but_not_of_a_deleted_customer(database: Database) -> None:
    found: list[str | None] = []

    def look(_payload: object, delivery: Delivery) -> None:
        found.append(delivery.email())

    handlers: Handlers = {"order_paid": look, "access_granted": look}
    apply(database, event("customer.created", customer(email="ada@example.com")))
    apply(database, event("order.paid", order()), reactions=handlers)
    run_background(database, None, handlers, 90, NOW)
    apply(database, event("customer.deleted", customer(deleted_at=to_iso(NOW)), 1))
    apply(database, event("order.paid", order(order_id="o2"), 2), reactions=handlers)
    run_background(database, None, handlers, 90, NOW)
    assert found == ["ada@example.com", None]


def test_the_address_of_a_user_is_the_newest_customers_or_the_members(database: Database) -> None:
    old, new = (customer(name, email=f"{name}@example.com", created_at=to_iso(NOW + n)) for n, name in enumerate("ab"))
    apply(database, event("customer.created", new), event("customer.created", old))
    apply(database, event("member.created", member(external_id="user_2", email="member@example.com")))
    with database.read() as connection:
        found = [email_of(connection, None, user) for user in ("user_1", "user_2", "user_3")]
    assert found == ["b@example.com", "member@example.com", None]


def test_the_log_names_the_error_of_a_handler_and_not_its_message(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(_payload: object, _delivery: Delivery) -> None:
        raise ValueError("ada@example.com was refused")

    apply(database, event("order.paid", order()), reactions={"order_paid": refuse})
    run_background(database, None, {"order_paid": refuse}, 90, NOW)
    assert '"event":"reaction_failed"' in caplog.text
    assert '"error":"ValueError"' in caplog.text
    assert "ada@example.com" not in caplog.text


def test_who_shares_a_purchase_is_looked_at_when_it_changes(database: Database) -> None:
    guest = member("m2", "guest")
    apply(database, event("subscription.active", subscription()), event("member.created", guest))
    apply(database, event("benefit_grant.created", grant(member_id="m2", member=guest)))
    compare_access(database, NOW, 10, ALL, CATALOG)
    assert {row["user_id"]: row["check_us"] for row in rows_of(database, "billing_access")}["guest"] is None
    apply(database, event("subscription.past_due", subscription(**PAST_DUE), 5))
    assert {row["user_id"]: row["check_us"] for row in rows_of(database, "billing_access")}["guest"] == NOW
