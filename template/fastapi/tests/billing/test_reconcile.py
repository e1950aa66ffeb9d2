"""Reconciling writes what differs from Polar, and nothing when Polar does not answer as it should."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from app.billing import compare_access
from app.billing.background import Background, run_background
from app.billing.reactions import Handlers
from app.billing.read import Unreadable
from app.billing.reconcile import Difference, PolarGone, Report, drift_of, reconcile_customer
from app.billing.tables import metadata
from app.billing.time import DAY, HOUR, MINUTE, SECOND, to_iso
from app.database import Database
from tests.support.deliveries import (
    CATALOG,
    NOW,
    Json,
    apply,
    customer,
    decision_for,
    event,
    grant,
    member,
    order,
    rows_of,
    state,
    subscription,
)


class Polar:
    """Answers as it is told; a value that is an exception is raised."""

    def __init__(self, **answers: Any) -> None:
        nothing: Json = {"subscriptions": [], "orders": [], "grants": [], "disputes": []}
        self.answers: Json = {"state": state(), **nothing} | answers
        self.asked: list[str] = []
        self.meanwhile: Callable[[], object] = lambda: None
        self.anybody = False  # whether the state is of every customer that is asked for

    def customer_state(self, customer_id: str) -> Json:
        """Return the state."""
        self.asked.append(customer_id)
        answer: Json = self._answer("state")
        self.meanwhile()
        return answer | {"id": customer_id} if self.anybody else answer

    def subscriptions(self, customer_id: str) -> Iterator[Json]:
        """Return the subscriptions."""
        yield from self._answer("subscriptions")

    def orders(self, customer_id: str) -> Iterator[Json]:
        """Return the orders."""
        yield from self._answer("orders")

    def grants(self, customer_id: str) -> Iterator[Json]:
        """Return the grants."""
        yield from self._answer("grants")

    def disputes(self, order_id: str) -> list[Json] | None:
        """Return the disputes of an order."""
        self.asked.append(order_id)
        found: list[Json] | None = self._answer("disputes")
        return found

    def _answer(self, name: str) -> Any:
        answer = self.answers[name]
        if isinstance(answer, Exception):
            raise answer
        return answer


FULL: Json = {"subscriptions": [subscription()], "orders": [order()], "grants": [grant()]}


def everything(database: Database) -> dict[str, list[Json]]:
    return {name: rows_of(database, name) for name in metadata.tables}


def mark(database: Database, now: int = NOW) -> None:
    with database.write() as connection:
        connection.exec_driver_sql(f"UPDATE billing_customers SET reconcile_us = {now}")


def test_lost_events_are_made_up_for(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compare_access, "own_catalog", CATALOG)
    report = reconcile_customer(database, Polar(**FULL), "c1", NOW)
    assert report == Report("c1", "written", 4)
    assert [product.key for product in decision_for(database).products] == ["pro", "lifetime"]
    assert [benefit.key for benefit in decision_for(database).benefits] == ["beta"]
    assert rows_of(database, "billing_reactions") == []
    (access,) = rows_of(database, "billing_access")
    assert (access["access"], access["changes"], access["check_us"] > NOW) == (True, 1, True)
    assert reconcile_customer(database, Polar(**FULL), "c1", NOW) == Report("c1", "equal", 0)


def test_a_drift_is_shown_and_nothing_is_written(database: Database) -> None:
    apply(database, event("subscription.active", subscription()), event("benefit_grant.created", grant()))
    before = everything(database)
    polar = Polar(subscriptions=[subscription(status="canceled")], orders=[order()])
    differences = drift_of(database, polar, "c1")
    assert differences is not None
    assert [difference for difference in differences if difference.kind != "customer"] == [
        Difference("subscription", "s1", "status", "active", "canceled"),
        Difference("order", "o1"),
        Difference("benefit_grant", "g1", "is_granted", True, False),
    ]
    assert everything(database) == before
    reconcile_customer(database, polar, "c1", NOW)
    assert drift_of(database, polar, "c1") == []
    assert drift_of(database, Polar(state=PolarGone()), "c1") is None


def test_a_change_is_written_and_later_events_still_win(database: Database) -> None:
    apply(database, event("subscription.active", subscription(), -10))
    canceled = subscription(status="canceled")
    reconcile_customer(database, Polar(subscriptions=[canceled]), "c1", NOW)
    (row,) = rows_of(database, "billing_subscriptions")
    assert (row["status"], row["version"]) == ("canceled", NOW - 10 * SECOND)
    apply(database, event("subscription.active", subscription(), -5))
    assert decision_for(database).access


def test_a_row_that_an_event_wrote_meanwhile_stays(database: Database) -> None:
    apply(database, event("subscription.active", subscription(), -10))
    polar = Polar(subscriptions=[subscription(status="paused")], orders=[order(status="pending")])
    polar.meanwhile = lambda: apply(
        database, event("subscription.updated", subscription(amount=7), -9), event("order.paid", order(), -9)
    )
    reconcile_customer(database, polar, "c1", NOW)
    assert rows_of(database, "billing_subscriptions")[0]["status"] == "active"
    assert rows_of(database, "billing_orders")[0]["status"] == "paid"


def dispute(status: str, second: int = 0) -> Json:
    return {"id": f"d{second}", "status": status, "created_at": to_iso(NOW + second * SECOND), "order_id": "o1"}


TAKEN = grant(subscription_id=None, order_id="o1", is_granted=False, is_revoked=True)


@pytest.mark.parametrize(
    ("disputes", "access"),
    [
        ([dispute("needs_response")], False),
        ([dispute("under_review")], False),
        ([dispute("lost")], False),
        ([dispute("won")], True),
        ([dispute("lost"), dispute("won", 1)], True),
        ([dispute("needs_response", 1), dispute("won")], False),
        ([], True),
        (None, True),
    ],
    ids=str,
)
def test_a_dispute_takes_a_purchase_away_until_it_is_won(
    database: Database, disputes: list[Json] | None, access: bool
) -> None:
    """Its events tell only that the benefits are gone; whoever wins, Polar gives none back."""
    polar = Polar(orders=[order()], grants=[TAKEN], disputes=disputes)
    apply(database, event("order.paid", order()), event("benefit_grant.revoked", TAKEN))
    assert rows_of(database, "billing_customers")[0]["reconcile_us"] == NOW
    run_background(Background(database, polar, {}), NOW)
    decision = decision_for(database)
    assert (bool(decision.products), "o1" in polar.asked) == (access, True)
    apply(database, event("order.updated", order(), 5))
    assert bool(decision_for(database).products) is access


@pytest.mark.parametrize(
    ("bought", "given"),
    [
        (order(), TAKEN | {"is_revoked": False, "is_granted": True}),
        (order(refunded_amount=100), TAKEN),
        (order(status="refunded"), TAKEN),
        (order(), TAKEN | {"order_id": "o2"}),
    ],
)
def test_disputes_are_asked_about_only_where_there_may_be_one(database: Database, bought: Json, given: Json) -> None:
    polar = Polar(orders=[bought], grants=[given])
    reconcile_customer(database, polar, "c1", NOW)
    assert polar.asked == ["c1"]


def test_a_subscription_that_polar_does_not_list_stays(database: Database) -> None:
    apply(database, event("subscription.active", subscription()))
    reconcile_customer(database, Polar(), "c1", NOW)
    assert decision_for(database).access


def test_a_grant_that_polar_has_nowhere_any_more_is_revoked(database: Database) -> None:
    apply(database, event("benefit_grant.created", grant()))
    kept = Polar(state=state(granted=[grant()]))
    reconcile_customer(database, kept, "c1", NOW)
    assert rows_of(database, "billing_benefit_grants")[0]["is_granted"]
    assert reconcile_customer(database, Polar(), "c1", NOW) == Report("c1", "written", 1)
    (row,) = rows_of(database, "billing_benefit_grants")
    assert (row["is_granted"], row["is_revoked"], row["revoked_us"], row["version"]) == (False, True, NOW, NOW)


def test_a_grant_that_came_meanwhile_stays(database: Database) -> None:
    apply(database, event("benefit_grant.created", grant()))
    polar = Polar()
    polar.meanwhile = lambda: apply(
        database,
        event("benefit_grant.updated", grant(), 1),
        event("benefit_grant.created", grant(grant_id="g2"), 1),
    )
    reconcile_customer(database, polar, "c1", NOW)
    assert [row["is_granted"] for row in rows_of(database, "billing_benefit_grants")] == [True, True]


def test_members_come_with_their_grants(database: Database) -> None:
    team = customer("c1", "boss")
    given = grant(buyer=team, member_id="m2", member=member("m2", "user_2", "c1", role="member"))
    reconcile_customer(database, Polar(state=state(team), grants=[given]), "c1", NOW)
    assert [benefit.key for benefit in decision_for(database, "user_2").benefits] == ["beta"]
    assert {row["user_id"] for row in rows_of(database, "billing_access")} == {"boss", "user_2"}


def test_a_link_made_at_polar_is_learnt(database: Database) -> None:
    apply(database, event("order.paid", order(buyer=customer(external_id=None))))
    reconcile_customer(database, Polar(), "c1", NOW)
    assert decision_for(database).access


def test_gone_is_gone(database: Database) -> None:
    apply(database, event("subscription.active", subscription()), event("customer.created", customer()))
    assert reconcile_customer(database, Polar(state=PolarGone()), "c1", NOW).outcome == "gone"
    assert not decision_for(database).access
    (row,) = rows_of(database, "billing_customers")
    assert (row["deleted_us"], row["email"], row["reconcile_us"]) == (NOW, None, None)


def test_a_stranger_that_is_gone_leaves_no_trace(database: Database) -> None:
    reconcile_customer(database, Polar(state=PolarGone()), "unknown", NOW)
    assert rows_of(database, "billing_customers") == []


BAD: list[Json] = [
    {"state": RuntimeError("401")},
    {"state": TimeoutError()},
    {"state": {}},
    {"state": customer()},
    {"state": state() | {"active_subscriptions": None}},
    {"state": state() | {"granted_benefits": [{"benefit_id": "b1"}]}},
    {"state": state(customer("c2"))},
    {"subscriptions": RuntimeError("500")},
    {"subscriptions": [subscription(), {"id": "s2", "status": "active"}]},
    {"subscriptions": [subscription() | {"status": None}]},
    {"subscriptions": [subscription(buyer=customer("c2"))]},
    {"orders": RuntimeError("429")},
    {"orders": [{}]},
    {"orders": PolarGone()},
    {"grants": RuntimeError("403")},
    {"grants": [grant() | {"benefit_id": 7}]},
]


@pytest.mark.parametrize("bad", BAD, ids=range(len(BAD)))
def test_a_bad_answer_changes_nothing(database: Database, bad: Json) -> None:
    changed = {"subscriptions": [subscription(status="canceled")], "orders": [order(status="refunded")]}
    apply(database, event("subscription.active", subscription()), event("order.paid", order()))
    before = everything(database)
    with pytest.raises((RuntimeError, OSError, Unreadable, PolarGone)):
        reconcile_customer(database, Polar(**changed | bad), "c1", NOW)
    assert everything(database) == before


@pytest.mark.parametrize("bad", [RuntimeError("500"), Unreadable("x")])
def test_a_customer_that_cannot_be_reconciled_is_tried_again_later(database: Database, bad: Exception) -> None:
    apply(database, event("subscription.active", subscription()))
    mark(database)
    polar = Polar(state=bad)
    for minute in (0, 1, 2, 3, 5, 6, 13, 14):
        run_background(Background(database, polar, {}), NOW + minute * MINUTE)
    assert polar.asked == ["c1"] * 4, "after 2 minutes, 4 more, 8 more"
    polar.answers["state"] = state()
    run_background(Background(database, polar, {}), NOW + HOUR)
    (row,) = rows_of(database, "billing_customers")
    assert (row["reconcile_us"], row["reconciled_us"]) == (None, NOW + HOUR)


def test_a_mark_that_is_set_meanwhile_stays(database: Database) -> None:
    apply(database, event("subscription.active", subscription()))
    polar = Polar()
    polar.meanwhile = lambda: mark(database, NOW + 1)
    reconcile_customer(database, polar, "c1", NOW)
    assert rows_of(database, "billing_customers")[0]["reconcile_us"] == NOW + 1


def test_without_a_mark_a_customer_is_reconciled_once_a_day(database: Database) -> None:
    apply(database, event("customer.created", customer()))
    polar = Polar()
    for now in (NOW, NOW + DAY + SECOND, NOW + DAY + HOUR, NOW + 2 * DAY + 2 * SECOND):
        run_background(Background(database, polar, {}), now)
    assert polar.asked == ["c1", "c1"]


def test_reactions_only_when_asked(database: Database) -> None:
    reconcile_customer(database, Polar(**FULL), "c1", NOW, {"order_paid": lambda payload, delivery: None})
    assert [row["key"] for row in rows_of(database, "billing_reactions")] == ["order_paid:o1"]


def test_what_the_background_finds_is_told_once_per_transition(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compare_access, "own_catalog", CATALOG)
    told: list[str] = []
    handlers: Handlers = {
        "access_granted": lambda payload, delivery: told.append(delivery.key),
        "order_paid": lambda payload, delivery: told.append(delivery.key),
        "subscription_started": lambda payload, delivery: told.append(delivery.key),
    }
    apply(database, event("customer.created", customer()), reactions=handlers)
    mark(database)
    deps = Background(database, Polar(**FULL), handlers)
    for minute in range(3):
        run_background(deps, NOW + minute * MINUTE)
    late = [event("subscription.active", subscription(), 60), event("order.paid", order(), 60)]
    apply(database, *late, reactions=handlers)
    mark(database)
    for minute in range(3, 6):
        run_background(deps, NOW + minute * MINUTE)
    assert sorted(told) == ["access_granted:user_1:1", "order_paid:o1", "subscription_started:s1"]


def test_a_command_finds_the_same_in_silence_then_and_later(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compare_access, "own_catalog", CATALOG)
    told: list[str] = []
    handlers: Handlers = {"access_granted": lambda payload, delivery: told.append(delivery.key)}
    apply(database, event("customer.created", customer()))
    run_background(Background(database, None, handlers), NOW)
    reconcile_customer(database, Polar(**FULL), "c1", NOW)
    run_background(Background(database, None, handlers), NOW + MINUTE)
    assert rows_of(database, "billing_access")[0]["access"]
    assert told == []


def test_calls_to_polar_stay_in_their_budget_of_a_minute_and_waiting_users_come_first(database: Database) -> None:
    for number in range(12):
        apply(database, event("customer.created", customer(f"c{number}", f"user_{number}")))
    broken = order(buyer=customer("c11", "user_11")) | {"id": None}
    apply(database, ("failed", event("order.paid", broken)[1]))
    with database.write() as connection:
        connection.exec_driver_sql("UPDATE billing_customers SET reconcile_us = 1")
    polar = Polar()
    polar.anybody = True
    deps = Background(database, polar, {}, calls_per_minute=23)
    for _ in range(3):  # processes, at the same moment
        run_background(deps, NOW)
    assert len(polar.asked) == 5
    assert polar.asked[0] == "c11"
    run_background(deps, NOW + MINUTE)
    assert len(polar.asked) == 10


def test_three_failures_in_a_row_end_a_run(database: Database) -> None:
    for number in range(12):
        apply(database, event("customer.created", customer(f"c{number}", f"user_{number}")))
    with database.write() as connection:
        connection.exec_driver_sql("UPDATE billing_customers SET reconcile_us = 1")
    polar = Polar(state=OSError("down"))
    run_background(Background(database, polar, {}), NOW)
    assert len(polar.asked) == 3


def test_what_differs_only_in_time_zone_is_equal(database: Database) -> None:
    apply(database, event("subscription.active", subscription()), event("customer.created", customer()))
    same = subscription(current_period_end=str(to_iso(NOW + 20 * DAY)).replace("Z", "+00:00"))
    assert reconcile_customer(database, Polar(subscriptions=[same]), "c1", NOW).outcome == "equal"


def test_what_was_erased_stays_away_until_the_customer_is_deleted(database: Database) -> None:
    apply(database, event("customer.created", customer()), event("member.created", member()))
    with database.write() as connection:
        connection.exec_driver_sql(f"UPDATE billing_customers SET email = NULL, name = NULL, erased_us = {NOW}")
        connection.exec_driver_sql("UPDATE billing_members SET email = NULL, name = NULL")
    assert reconcile_customer(database, Polar(), "c1", NOW).outcome == "equal"
    assert drift_of(database, Polar(), "c1") == []
    apply(database, event("customer.updated", customer(name="Eve"), 5), event("member.updated", member(name="Eve"), 5))
    apply(database, event("subscription.active", subscription(), 6))
    other = member("m2", customer_id="c2", role="member")
    apply(database, event("member.created", other, 7), event("member.created", member("m3", "user_9", "c2"), 8))
    personal = [*rows_of(database, "billing_customers"), *rows_of(database, "billing_members")]
    assert {row["id"]: row["email"] for row in personal if row["email"]} == {"m3": "m3@example.com"}
    stored = [row["body"] for row in rows_of(database, "billing_webhook_events") if row["customer_id"] == "c1"]
    assert stored == [None] * 5
