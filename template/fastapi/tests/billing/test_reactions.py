"""Reactions run once for every transition, at least once each, and never for old news."""

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from app.billing.background import Background, run_background
from app.billing.compare_access import compare_access
from app.billing.inbox import MAX_ATTEMPTS
from app.billing.outbox import AT_ONCE_PER_NAME, LEASE, Limits, ReactionRunner, run_reactions
from app.billing.policy_table import RENEWAL_LEEWAY, RENEWAL_LIMIT
from app.billing.reactions import Delivery, Handlers
from app.billing.records import email_of
from app.billing.repository import claim_reaction
from app.billing.time import DAY, HOUR, SECOND, to_iso
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
    handlers: Handlers = {"order_paid": lambda payload, delivery: runs.append(delivery.attempt)}
    apply(database, event("order.paid", order()), reactions=handlers)
    with database.write() as connection:  # a process claims it and ends
        claim_reaction(connection, NOW, NOW + LEASE, MAX_ATTEMPTS)
    run_reactions(database, handlers, NOW + LEASE - SECOND, 10)
    assert runs == []
    run_reactions(database, handlers, NOW + LEASE, 10)
    assert runs == [2]


def test_one_whose_process_ended_ten_times_is_dead_when_it_would_be_tried_again(database: Database) -> None:
    apply(database, event("order.paid", order()), reactions=ALL)
    with database.write() as connection:
        connection.exec_driver_sql("UPDATE billing_reactions SET attempts = 10")
    run_reactions(database, {"order_paid": never}, NOW, 10)
    (row,) = rows_of(database, OUTBOX)
    assert (row["state"], row["attempts"]) == ("dead", 10)


def test_one_whose_handler_was_removed_is_done_and_raises_no_alarm(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    apply(database, event("order.paid", order()), reactions=ALL)
    caplog.clear()
    run_reactions(database, {}, NOW, 10)
    assert rows_of(database, OUTBOX)[0]["state"] == "done"
    assert caplog.text == ""


class TestAHandlerThatHangs:
    """It costs its owner only its own reaction."""

    LIMITS = Limits(handler_seconds=0.05, run_seconds=5)

    @pytest.fixture
    def end(self) -> Iterator[threading.Event]:
        end = threading.Event()
        yield end
        end.set()

    def test_its_time_is_limited_and_the_results_of_others_are_kept(
        self, database: Database, end: threading.Event
    ) -> None:
        counted: list[str] = []
        handlers: Handlers = {
            "order_paid": hanging_until(end),
            "subscription_started": lambda payload, delivery: counted.append(delivery.key),
        }
        apply(database, event("order.paid", order()), event("subscription.active", subscription()), reactions=handlers)
        for hour in range(20):
            run_reactions(database, handlers, NOW + hour * HOUR, 10, self.LIMITS)
        found = {row["reaction"]: (row["state"], row["attempts"], row["error"]) for row in rows_of(database, OUTBOX)}
        assert found == {
            "order_paid": ("dead", 10, "HandlerTimeout: The handler took longer than 0.05 seconds."),
            "subscription_started": ("done", 1, None),
        }
        assert counted == ["subscription_started:s1"]

    def test_many_of_them_leave_room_for_the_others_and_few_threads_behind(
        self, database: Database, end: threading.Event
    ) -> None:
        counted: list[str] = []
        handlers: Handlers = {
            "order_paid": hanging_until(end),
            "subscription_started": lambda payload, delivery: counted.append(delivery.key),
        }
        orders = [event("order.paid", order(order_id=f"o{number}")) for number in range(40)]
        apply(database, *orders, event("subscription.active", subscription()), reactions=handlers)
        runner = ReactionRunner(database, handlers, self.LIMITS)
        before = threading.active_count()
        for minute in range(3):
            runner.run(NOW + minute, 100)
        assert counted == ["subscription_started:s1"]
        assert threading.active_count() - before <= AT_ONCE_PER_NAME

    def test_a_late_result_counts_for_nothing_and_makes_room_again(
        self, database: Database, end: threading.Event
    ) -> None:
        handlers: Handlers = {"order_paid": hanging_until(end)}
        apply(database, event("order.paid", order()), reactions=handlers)
        runner = ReactionRunner(database, handlers, self.LIMITS)
        runner.run(NOW, 10)
        end.set()
        wait_for_no_thread("billing-reaction-order_paid")
        assert rows_of(database, OUTBOX)[0]["state"] == "pending"
        runner.run(NOW + HOUR, 10)
        assert rows_of(database, OUTBOX)[0]["state"] == "done"


def test_a_handler_that_exits_ends_itself_alone(database: Database) -> None:
    def leave(_payload: Any, _delivery: Delivery) -> None:
        raise SystemExit(3)

    apply(database, event("order.paid", order()), reactions=ALL)
    run_reactions(database, {"order_paid": leave}, NOW, 10)
    assert rows_of(database, OUTBOX)[0]["error"] == "SystemExit: 3"


def wait_for_no_thread(name: str) -> None:
    for thread in threading.enumerate():
        if thread.name == name:
            thread.join(10)


def hanging_until(end: threading.Event) -> Callable[[Any, Delivery], None]:
    """Return a handler that hangs."""

    def hang(_payload: Any, _delivery: Delivery) -> None:
        end.wait(60)

    return hang


def never(_payload: Any, _delivery: Delivery) -> None:
    raise AssertionError("it must not run")


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
    run_background(Background(database, None, own_reactions), NOW)
    assert {row["state"] for row in rows_of(database, OUTBOX)} == {"done"}


def test_a_handler_can_look_up_the_address_but_not_of_a_deleted_customer(database: Database) -> None:
    found: list[str | None] = []

    def look(_payload: object, delivery: Delivery) -> None:
        found.append(delivery.email())

    handlers: Handlers = {"order_paid": look, "access_granted": look}
    apply(database, event("customer.created", customer(email="ada@example.com")))
    apply(database, event("order.paid", order()), reactions=handlers)
    run_background(Background(database, None, handlers), NOW)
    apply(database, event("customer.deleted", customer(deleted_at=to_iso(NOW)), 1))
    apply(database, event("order.paid", order(order_id="o2"), 2), reactions=handlers)
    run_background(Background(database, None, handlers), NOW)
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
    run_background(Background(database, None, {"order_paid": refuse}), NOW)
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
