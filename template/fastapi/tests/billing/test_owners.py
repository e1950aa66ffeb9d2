"""Whose a purchase is: linked late, deleted, under a used id, bought for somebody else, in a team."""

import itertools
from typing import Any

import pytest

from app.billing.account import account_of, followed_customer, live_subscriptions
from app.billing.projections import subscription_row
from app.billing.shapes import subscription_shape
from app.billing.time import DAY, SECOND, to_iso
from app.database import Database
from tests.support.deliveries import (
    CATALOG,
    NOW,
    Delivered,
    Json,
    apply,
    checkout,
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

DELETED = to_iso(NOW + SECOND)


def benefits(database: Database, user: str = "user_1", now: int = NOW) -> list[str | None]:
    return [benefit.key for benefit in decision_for(database, user, now).benefits]


def test_a_purchase_is_the_customers_users(database: Database) -> None:
    apply(database, event("subscription.active", subscription()), event("order.paid", order()))
    assert [product.key for product in decision_for(database).products] == ["pro", "lifetime"]
    assert not decision_for(database, "user_2").access


def test_a_customer_without_user_can_be_linked_later(database: Database) -> None:
    unlinked = customer(external_id=None)
    apply(
        database,
        event("subscription.active", subscription(buyer=unlinked)),
        event("member.created", member(external_id=None)),
        event("benefit_grant.created", grant(buyer=unlinked, member_id="m1", member=member(external_id=None))),
    )
    assert not decision_for(database).access
    apply(database, event("customer.updated", customer(), 5))
    assert decision_for(database).access
    assert benefits(database) == ["beta"]  # the owner member never says an external id


HISTORY = [
    event("customer.created", customer(), 0),
    event("subscription.active", subscription(), 1),
    event("benefit_grant.created", grant(), 2),
    event("customer.deleted", customer(external_id=None, deleted_at=DELETED), 3),
    event("customer.state_changed", state(customer(external_id=None, deleted_at=DELETED)), 4),
]


@pytest.mark.parametrize("order_", list(itertools.permutations(range(5)))[::7])
def test_after_a_deletion_nothing_is_left_in_any_order(database: Database, order_: tuple[int, ...]) -> None:
    apply(database, *[HISTORY[i] for i in order_])
    assert not decision_for(database).access
    assert benefits(database) == []
    (row,) = rows_of(database, "billing_customers")
    assert (row["email"], row["name"], row["external_id"], row["deleted_us"]) == (None, None, "user_1", NOW + SECOND)
    assert [row["body"] for row in rows_of(database, "billing_webhook_events")] == [None] * 5


def test_the_members_of_a_deleted_customer_are_forgotten(database: Database) -> None:
    deleted = customer(deleted_at=DELETED)
    apply(database, event("member.created", member()), event("customer.deleted", deleted, 1))
    apply(database, event("member.updated", member(name="Again"), 2))
    (row,) = rows_of(database, "billing_members")
    assert (row["email"], row["name"]) == (None, None)


NEW = customer("c2", created_at=to_iso(NOW + 2 * SECOND))
REUSED = [
    event("subscription.active", subscription(), 0),
    event("customer.deleted", customer(external_id=None, deleted_at=DELETED), 1),
    event("customer.created", NEW, 2),
    event("subscription.active", subscription("team", "s2", NEW), 3),
    event("subscription.updated", subscription(buyer=customer(external_id=None, deleted_at=DELETED)), 4),
]


@pytest.mark.parametrize("order_", list(itertools.permutations(range(5)))[::7])
def test_a_used_id_follows_the_new_customer_in_any_order(database: Database, order_: tuple[int, ...]) -> None:
    apply(database, *[REUSED[i] for i in order_])
    assert [product.key for product in decision_for(database).products] == ["team"]
    followed = followed_customer(database, "user_1")
    assert followed is not None
    assert followed.id == "c2"


def test_of_two_living_customers_the_newest_is_followed(database: Database) -> None:
    apply(database, event("subscription.active", subscription()), event("customer.created", NEW))
    assert not decision_for(database).access


def test_a_purchase_that_landed_on_somebody_else_is_the_buyers(database: Database) -> None:
    other = customer(external_id="user_2")
    meant: Json = {"metadata": {"app_user_id": "user_1"}}
    apply(database, event("order.paid", order(buyer=other, **meant)))
    apply(database, event("subscription.active", subscription("team", buyer=other, **meant)))
    assert [product.key for product in decision_for(database).products] == ["team", "lifetime"]
    assert not decision_for(database, "user_2").access
    apply(database, event("customer.deleted", other | {"deleted_at": DELETED}, 9))
    assert not decision_for(database).access


@pytest.mark.parametrize("odd", ["", "x" * 256, 7, None, ["user_2"]])
def test_odd_metadata_names_nobody(database: Database, odd: object) -> None:
    apply(database, event("order.paid", order(metadata={"app_user_id": odd})))
    assert decision_for(database).access


@pytest.mark.parametrize("external_id", ["user/2 é+%", "' OR 1=1 --", "x" * 255])
def test_any_user_id_works(database: Database, external_id: str) -> None:
    apply(database, event("order.paid", order(buyer=customer(external_id=external_id))))
    assert decision_for(database, external_id).access


class TestMembers:
    """A grant with a member is the member's, not the buyer's."""

    team = customer("c9", "boss")

    def grant_of(self, member_id: str | None, **fields: Any) -> Delivered:
        """Return a grant of a member, sent with nothing but the member's id."""
        return event("benefit_grant.created", grant(buyer=self.team, member_id=member_id, **fields), 1)

    def test_the_member_has_it(self, database: Database) -> None:
        apply(database, self.grant_of("m2"), event("member.created", member("m2", "user_2", "c9", role="member")))
        assert benefits(database, "user_2") == ["beta"]
        assert benefits(database, "boss") == []
        assert not decision_for(database, "user_2").access

    def test_the_owner_falls_together_with_the_customer(self, database: Database) -> None:
        apply(database, self.grant_of("m1"), event("member.created", member("m1", "boss", "c9")))
        assert benefits(database, "boss") == ["beta"]

    def test_of_an_unknown_member_nobody_has_it(self, database: Database) -> None:
        apply(database, self.grant_of("m3"))
        assert benefits(database, "boss") == []

    def test_without_member_the_customer_has_it(self, database: Database) -> None:
        apply(database, self.grant_of(None))
        assert benefits(database, "boss") == ["beta"]

    @pytest.mark.parametrize("deleted_first", [True, False])
    def test_a_deleted_member_has_nothing(self, database: Database, deleted_first: bool) -> None:
        events = [
            event("member.created", member("m2", "user_2", "c9", role="member"), 0),
            event("member.deleted", member("m2", "user_2", "c9", role="member"), 2),
        ]
        apply(database, self.grant_of("m2"), *(reversed(events) if deleted_first else events))
        assert benefits(database, "user_2") == []

    def test_with_the_teams_deletion_it_ends(self, database: Database) -> None:
        apply(database, self.grant_of("m2"), event("member.created", member("m2", "user_2", "c9", role="member")))
        apply(database, event("customer.deleted", self.team | {"deleted_at": DELETED}, 3))
        assert benefits(database, "user_2") == []

    def test_a_team_past_due_keeps_its_members_benefits(self, database: Database) -> None:
        past_due: Json = {"status": "past_due", "past_due_at": to_iso(NOW)}
        revoked: Json = {"is_granted": False, "is_revoked": True, "revoked_at": to_iso(NOW + SECOND)}
        apply(
            database,
            event("member.created", member("m2", "user_2", "c9", role="member")),
            event("subscription.past_due", subscription("team", buyer=self.team, **past_due)),
            self.grant_of("m2", **revoked),
        )
        kept = decision_for(database, "boss").reason == "past_due_grace"
        assert benefits(database, "user_2", NOW + SECOND) == (["beta"] if kept else [])


def test_a_blocked_user_has_nothing_on_any_customer(database: Database) -> None:
    apply(database, event("subscription.active", subscription()))
    with database.write() as connection:
        connection.exec_driver_sql(f"UPDATE billing_customers SET blocked_us = {NOW}")
    apply(database, event("customer.created", NEW), event("order.paid", order(buyer=NEW)))
    decision = decision_for(database)
    assert (decision.access, decision.reason) == (False, "blocked")


def test_the_account(database: Database) -> None:
    old = subscription("free", "s0", status="canceled", created_at=to_iso(NOW - 40 * DAY), ended_at=to_iso(NOW - DAY))
    apply(database, event("subscription.revoked", old), event("subscription.active", subscription()))
    apply(database, event("order.refunded", order(total_amount=-300, status="partially_refunded", refunded_amount=100)))
    account = account_of(database, "user_1", NOW, CATALOG)
    assert account["customer"] == {
        "id": "c1",
        "external_id": "user_1",
        "email": None,
        "name": None,
    }
    assert [(s["id"], s["key"], s["status"]) for s in account["subscriptions"]] == [
        ("s1", "pro", "active"),
        ("s0", "free", "canceled"),
    ]
    assert account["subscriptions"][0] == subscription_shape(subscription_row(subscription()), CATALOG)
    assert account["orders"] == [
        {
            "id": "o1",
            "product_id": "product-lifetime",
            "key": "lifetime",
            "status": "partially_refunded",
            "amount": -300,
            "refunded_amount": 100,
            "currency": "usd",
            "billing_reason": "purchase",
            "subscription_id": None,
            "created_at": "2026-01-26T12:00:00.000000Z",
        }
    ]
    assert account["access"] == decision_for(database).to_json()
    assert [row.id for row in live_subscriptions(database, "user_1")] == ["s1"]


def test_of_nobody_there_is_an_empty_account(database: Database) -> None:
    account = account_of(database, "nobody", NOW, CATALOG)
    assert (account["customer"], account["subscriptions"], account["orders"]) == (None, [], [])


def test_a_checkout_keeps_its_user(database: Database) -> None:
    apply(database, event("checkout.created", checkout(metadata={})), event("checkout.updated", checkout(), 1))
    apply(database, event("checkout.updated", checkout(metadata={"app_user_id": "user_2"}, status="succeeded"), 2))
    (row,) = rows_of(database, "billing_checkouts")
    assert (row["user_id"], row["status"]) == ("user_1", "succeeded")
