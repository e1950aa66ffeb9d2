"""The access policy, row by row, at the instants where it changes."""

from typing import Any

import pytest

from app.billing.policy import HeldGrant, HeldOrder, HeldSubscription, Purchases, decide
from app.billing.policy_table import ORDER_POLICY, PAST_DUE_GRACE, RENEWAL_LEEWAY, RENEWAL_LIMIT, SUBSCRIPTION_POLICY
from app.billing.time import DAY
from tests.support.deliveries import CATALOG, NOW

END = NOW + 20 * DAY
PAST_DUE = NOW - DAY


def held(key: str = "pro", **fields: Any) -> HeldSubscription:
    usual: dict[str, Any] = {
        "id": "s1",
        "customer_id": "c1",
        "product_id": f"product-{key}",
        "status": "active",
        "created_us": NOW,
        "current_period_start_us": NOW,
        "current_period_end_us": END,
    }
    return HeldSubscription(**usual | fields)


def bought(key: str = "lifetime", **fields: Any) -> HeldOrder:
    usual: dict[str, Any] = {"id": "o1", "product_id": f"product-{key}", "status": "paid", "created_us": NOW}
    return HeldOrder(**usual | fields)


def decided(now: int, *subscriptions: HeldSubscription, orders: tuple[HeldOrder, ...] = ()) -> tuple[bool, str]:
    decision = decide(Purchases(subscriptions=subscriptions, orders=orders), now, CATALOG)
    assert decision.until is None or now < decision.until
    return decision.access, decision.reason


@pytest.mark.parametrize("status", ["active", "trialing"])
@pytest.mark.parametrize(
    ("now", "access", "reason"),
    [
        (END - 1, True, None),
        (END + RENEWAL_LEEWAY, True, None),
        (END + RENEWAL_LEEWAY + 1, True, "renewal_overdue"),
        (END + RENEWAL_LIMIT - 1, True, "renewal_overdue"),
        (END + RENEWAL_LIMIT, False, "renewal_expired"),
    ],
)
def test_while_renewing(status: str, now: int, access: bool, reason: str | None) -> None:
    assert decided(now, held(status=status)) == (access, reason or status)


@pytest.mark.parametrize("status", ["active", "trialing"])
@pytest.mark.parametrize("ends_us", [None, END - DAY])
def test_a_cancelled_subscription_ends_without_leeway(status: str, ends_us: int | None) -> None:
    canceling = held(status=status, cancel_at_period_end=True, ends_us=ends_us)
    end = ends_us or END
    assert decided(end - 1, canceling) == (True, "canceling")
    assert decided(end, canceling) == (False, "canceled")


def test_a_period_without_end_has_no_limit() -> None:
    assert decided(NOW + 9999 * DAY, held(current_period_end_us=None)) == (True, "active")


@pytest.mark.parametrize("start", [{"past_due_us": PAST_DUE}, {"current_period_start_us": PAST_DUE}])
def test_within_grace(start: dict[str, Any]) -> None:
    late = held(status="past_due", **start)
    assert decided(PAST_DUE + PAST_DUE_GRACE, late) == (False, "past_due")
    if PAST_DUE_GRACE:
        assert decided(PAST_DUE + PAST_DUE_GRACE - 1, late) == (True, "past_due_grace")


def test_past_due_since_nobody_knows_when_has_no_grace() -> None:
    assert decided(NOW, held(status="past_due", current_period_start_us=None)) == (False, "past_due")


REASONS = {"incomplete_expired": "expired", "brand_new_status": "unknown_status"}
NEVER = [status for status, rule in SUBSCRIPTION_POLICY.items() if rule == "never"]


@pytest.mark.parametrize("status", [*NEVER, "brand_new_status"])
def test_never(status: str) -> None:
    assert decided(NOW, held(status=status)) == (False, REASONS.get(status, status))


ORDER_REASONS = {"refunded": "refunded", "pending": "pending", "draft": "pending", "void": "canceled"}


@pytest.mark.parametrize("status", [*ORDER_POLICY, "brand_new_status"])
def test_one_time_purchases(status: str) -> None:
    paid = ORDER_POLICY.get(status, False)
    reason = "purchased" if paid else ORDER_REASONS.get(status, "unknown_status")
    assert decided(NOW, orders=(bought(status=status),)) == (paid, reason)


@pytest.mark.parametrize("other", [{"subscription_id": "s1"}, {"billing_reason": "subscription_cycle"}])
def test_an_order_of_a_subscription_is_no_purchase(other: dict[str, Any]) -> None:
    assert decided(NOW, orders=(bought(**other),)) == (False, "none")


def test_free_and_foreign_products_give_no_premium_access() -> None:
    assert decided(NOW) == (False, "none")
    assert decided(NOW, held("free")) == (False, "not_premium")
    assert decided(NOW, held("of_another_app")) == (False, "not_premium")
    assert decided(NOW, held("of_another_app", product_id=None)) == (False, "not_premium")


def test_what_lasts_longest_decides() -> None:
    ending = held(cancel_at_period_end=True, ends_us=NOW + DAY)
    decision = decide(Purchases(subscriptions=(ending, held("team", id="s2")), orders=(bought(),)), NOW, CATALOG)
    assert (decision.access, decision.reason, decision.until) == (True, "purchased", None)
    assert [(p.key, p.source, p.until) for p in decision.products] == [
        ("pro", "subscription", NOW + DAY),
        ("team", "subscription", END + RENEWAL_LIMIT),
        ("lifetime", "order", None),
    ]


def test_the_same_product_twice_is_listed_once() -> None:
    endless = held(current_period_end_us=None)
    decision = decide(Purchases(subscriptions=(held(), endless), orders=(bought("pro"),)), NOW, CATALOG)
    assert [(p.key, p.source, p.until) for p in decision.products] == [("pro", "subscription", None)]


def test_the_newest_purchase_says_why_there_is_no_access() -> None:
    old, new = held(status="canceled", created_us=NOW - DAY), held("team", id="s2", status="paused")
    assert decided(NOW, new, old, held("free", id="s3", created_us=NOW + 1)) == (False, "paused")


def test_who_is_blocked_has_nothing() -> None:
    grant = HeldGrant(benefit_id="benefit-beta", is_granted=True, is_revoked=False)
    decision = decide(Purchases(subscriptions=(held(),), grants=(grant,), blocked=True), NOW, CATALOG)
    assert (decision.access, decision.reason, decision.products, decision.benefits) == (False, "blocked", (), ())


def kept(now: int, **fields: Any) -> bool:
    usual: dict[str, Any] = {
        "benefit_id": "benefit-beta",
        "is_granted": False,
        "is_revoked": True,
        "revoked_us": PAST_DUE,
        "subscription_status": "past_due",
        "past_due_us": PAST_DUE,
    }
    return bool(decide(Purchases(grants=(HeldGrant(**usual | fields),)), now, CATALOG).benefits)


def test_benefits_that_a_declined_payment_took_are_kept_for_the_grace() -> None:
    assert kept(PAST_DUE + max(PAST_DUE_GRACE - 1, 0)) is (PAST_DUE_GRACE > 0)
    assert not kept(PAST_DUE + PAST_DUE_GRACE)
    assert not kept(PAST_DUE, revoked_us=PAST_DUE - 1)  # taken before, for another reason
    assert not kept(PAST_DUE, subscription_status="canceled")
    assert kept(PAST_DUE + PAST_DUE_GRACE, is_granted=True, is_revoked=False)
    assert not kept(NOW, is_granted=False, is_revoked=False, subscription_status="active")


def test_benefits_are_listed_once_and_known_by_key() -> None:
    ids = ["benefit-other", "benefit-beta", "benefit-beta"]
    grants = tuple(HeldGrant(benefit_id=i, is_granted=True, is_revoked=False) for i in ids)
    decision = decide(Purchases(grants=grants), NOW, CATALOG)
    assert [(b.key, b.id) for b in decision.benefits] == [("beta", "benefit-beta"), (None, "benefit-other")]


def test_the_next_check_is_when_time_alone_changes_something() -> None:
    decision = decide(Purchases(subscriptions=(held(),)), NOW, CATALOG)
    assert decision.check_us == END + RENEWAL_LEEWAY + 1
    assert decision.overdue_customers == ()
    late = decide(Purchases(subscriptions=(held(),)), END + RENEWAL_LEEWAY + 1, CATALOG)
    assert (late.overdue_customers, late.check_us) == (("c1",), END + RENEWAL_LIMIT)


def test_the_json_of_a_decision() -> None:
    purchases = Purchases(subscriptions=(held(cancel_at_period_end=True, ends_us=NOW),), orders=(bought(),))
    assert decide(purchases, NOW - 1, CATALOG).to_json() == {
        "access": True,
        "reason": "purchased",
        "until": None,
        "products": [
            {"key": "pro", "id": "product-pro", "source": "subscription", "until": "2026-01-31T12:00:00.000000Z"},
            {"key": "lifetime", "id": "product-lifetime", "source": "order", "until": None},
        ],
        "benefits": [],
    }
