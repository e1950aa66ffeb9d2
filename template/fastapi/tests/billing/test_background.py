"""What is done in the background besides: retention, and customer states that disagree with our rows."""

from typing import Any

import pytest
from sqlalchemy import Connection

from app.billing import access, background
from app.billing import compare_access as comparing
from app.billing.account import account_of
from app.billing.background import Background, run_background
from app.billing.compare_access import compare_access
from app.billing.monitor import report_stuck
from app.billing.policy import Decision
from app.billing.reactions import Delivery, Handlers
from app.billing.tables import reactions as outbox
from app.billing.tables import webhook_events
from app.billing.time import DAY, MINUTE
from app.database import Database
from tests.support.deliveries import (
    CATALOG,
    NOW,
    Json,
    apply,
    customer,
    event,
    grant,
    order,
    rows_of,
    state,
    subscription,
)


def mark(database: Database) -> int | None:
    (row,) = rows_of(database, "billing_customers")
    marked: int | None = row["reconcile_us"]
    return marked


def work(database: Database, now: int) -> None:
    run_background(Background(database, None, {}), now)


def live(data: Json) -> Json:
    return {"id": data["id"], "status": data["status"], "product_id": data["product_id"]}


def test_it_says_when_more_is_due_than_it_does_at_a_time(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background, "BATCH", 2)
    buyers = [customer(f"c{n}", f"user_{n}") for n in range(3)]
    apply(database, *[event("order.paid", order(order_id=f"o{n}", buyer=buyer)) for n, buyer in enumerate(buyers)])
    assert [run_background(Background(database, None, {}), NOW) for _ in range(2)] == [True, False]
    assert all(row["check_us"] is None for row in rows_of(database, "billing_access"))


class TestDisagreement:
    """A state that our rows contradict for more than a minute has Polar asked."""

    def test_a_lost_event_is_noticed_after_a_minute(self, database: Database) -> None:
        apply(database, event("customer.state_changed", state(live=[live(subscription())])))
        work(database, NOW + MINUTE - 1)
        assert mark(database) is None
        work(database, NOW + MINUTE)
        assert mark(database) == NOW + MINUTE

    def test_an_event_that_was_only_late_is_none(self, database: Database) -> None:
        apply(database, event("customer.state_changed", state(live=[live(subscription())])))
        apply(database, event("subscription.active", subscription(), -1))
        work(database, NOW + MINUTE)
        assert mark(database) is None

    def test_a_lost_end_is_noticed(self, database: Database) -> None:
        apply(database, event("subscription.active", subscription(), -9), event("customer.state_changed", state()))
        work(database, NOW + MINUTE)
        assert mark(database) is not None

    def test_a_lost_grant_is_noticed(self, database: Database) -> None:
        apply(database, event("customer.state_changed", state(granted=[grant()])))
        work(database, NOW + MINUTE)
        assert mark(database) is not None

    def test_what_moved_after_the_state_is_no_contradiction(self, database: Database) -> None:
        apply(database, event("customer.state_changed", state()), event("subscription.active", subscription(), 5))
        work(database, NOW + MINUTE)
        assert mark(database) is None

    def test_of_a_deleted_customer_nothing_is_asked(self, database: Database) -> None:
        gone = customer(deleted_at="2026-01-31T12:00:00Z")
        apply(database, event("customer.state_changed", state(gone, live=[live(subscription())])))
        work(database, NOW + MINUTE)
        assert mark(database) is None

    def test_a_state_is_compared_once(self, database: Database) -> None:
        apply(database, event("customer.state_changed", state(live=[live(subscription())])))
        work(database, NOW + MINUTE)
        with database.write() as connection:
            connection.exec_driver_sql("UPDATE billing_customers SET reconcile_us = NULL")
        work(database, NOW + 2 * MINUTE)
        assert mark(database) is None

    def test_a_state_never_writes_purchases(self, database: Database) -> None:
        apply(database, event("customer.state_changed", state(live=[live(subscription())], granted=[grant()])))
        assert rows_of(database, "billing_subscriptions") == []
        assert rows_of(database, "billing_benefit_grants") == []


def test_bodies_are_emptied_after_the_retention_and_ids_stay(database: Database) -> None:
    apply(database, event("order.paid", order()), event("refund.created", {"id": "r1"}), ("poison", b"{"))
    work(database, NOW + 90 * DAY)
    assert all(row["body"] for row in rows_of(database, "billing_webhook_events"))
    with database.write() as connection:
        connection.exec_driver_sql("UPDATE billing_webhook_events SET state = 'dead' WHERE state = 'failed'")
    work(database, NOW + 90 * DAY + 1)
    kept = {row["state"]: row["body"] for row in rows_of(database, "billing_webhook_events")}
    assert kept == {"processed": None, "ignored": None, "dead": b"{"}


def test_reactions_that_were_run_are_emptied_after_the_retention_and_never_run_again(database: Database) -> None:
    handlers: Handlers = {"order_paid": lambda payload, delivery: None}
    apply(database, event("order.paid", order()), reactions=handlers)
    work(database, NOW + MINUTE)
    (kept,) = rows_of(database, "billing_reactions")
    assert (kept["user_id"], kept["payload"] != "{}") == ("user_1", True)

    work(database, NOW + 92 * DAY)
    apply(database, event("order.updated", order(), 9), now=NOW + 92 * DAY, reactions=handlers)
    (emptied,) = rows_of(database, "billing_reactions")
    assert emptied == {**kept, "user_id": None, "payload": "{}"}


class TestMonitor:
    """What is stuck is told in the log, for an alarm to listen to."""

    def test_nothing_is_told_when_all_is_well(self, database: Database, caplog: pytest.LogCaptureFixture) -> None:
        apply(database, event("order.paid", order()))
        report_stuck(database)
        assert "inbox" not in caplog.text

    def test_events_and_reactions_that_are_stuck_are_counted(
        self, database: Database, caplog: pytest.LogCaptureFixture
    ) -> None:
        apply(database, ("failed", b"{"), ("dead", b"{"))
        apply(database, event("order.paid", order()), reactions={"order_paid": ignore})
        with database.write() as connection:
            dead = webhook_events.c.webhook_id == "dead"
            connection.execute(webhook_events.update().where(dead).values(state="dead"))
            connection.execute(outbox.update().values(state="dead"))
        caplog.clear()
        report_stuck(database)
        assert [record.message for record in caplog.records] == [
            '{"event":"inbox","failed":1,"dead":1,"dead_reactions":1}'
        ]


def ignore(_payload: object, _delivery: Delivery) -> None:
    """Do nothing."""


def test_a_plan_for_life_ends_in_the_year_9999(database: Database) -> None:
    end = "9999-12-31T23:59:59.999999Z"
    apply(database, event("subscription.active", subscription(current_period_end=end)))

    assert account_of(database, "user_1", NOW, CATALOG)["subscriptions"][0]["current_period_end"] == end
    assert account_of(database, "user_1", NOW, CATALOG)["access"]["until"] == end
    assert compare_access(database, NOW, 10, {}, CATALOG) == 1


def test_a_user_who_cannot_be_compared_holds_up_no_other(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    apply(database, event("subscription.active", subscription()))
    apply(database, event("subscription.active", subscription("pro", "s2", customer("c2", "user_2")), 1))
    decide = access.decide_for

    def fail_for_one(connection: Connection, user_id: str, *rest: Any) -> Decision:
        if user_id == "user_1":
            raise OverflowError
        return decide(connection, user_id, *rest)

    monkeypatch.setattr(comparing, "decide_for", fail_for_one)
    assert compare_access(database, NOW, 10, {}, CATALOG) == 2
    compare_access(database, NOW + MINUTE, 10, {}, CATALOG)
    failed, other = rows_of(database, "billing_access")
    assert (failed["check_failures"], failed["check_us"]) == (2, NOW + 3 * MINUTE)
    assert (other["access"], other["check_failures"]) == (True, 0)
    monkeypatch.undo()
    compare_access(database, NOW + 3 * MINUTE, 10, {}, CATALOG)
    settled = rows_of(database, "billing_access")[0]
    assert (settled["access"], settled["check_failures"]) == (True, 0)
