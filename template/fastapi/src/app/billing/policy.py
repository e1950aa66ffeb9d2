"""Who may use what: one pure function of a user's purchases and an instant.

Access comes through products of the catalogue, never from an amount paid: with a full discount that is 0.
`until` is the first instant at which this policy refuses; None means no end is known.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from app.billing.catalog import catalog as own_catalog
from app.billing.catalog_types import Catalog, Product
from app.billing.policy_table import (
    DISPUTES_WITHOUT_ACCESS,
    ORDER_POLICY,
    PAST_DUE_GRACE,
    RENEWAL_LEEWAY,
    RENEWAL_LIMIT,
    SUBSCRIPTION_POLICY,
)
from app.billing.time import to_iso

Source = Literal["subscription", "order"]

ENDED_REASONS = {"incomplete_expired": "expired"}
UNPAID_ORDER_REASONS = {"refunded": "refunded", "pending": "pending", "draft": "pending", "void": "canceled"}


@dataclass(frozen=True, kw_only=True)
class HeldSubscription:
    """What the policy reads of a subscription."""

    id: str
    customer_id: str
    product_id: str | None
    status: str
    created_us: int
    current_period_start_us: int | None = None
    current_period_end_us: int | None = None
    cancel_at_period_end: bool = False
    ends_us: int | None = None
    past_due_us: int | None = None


@dataclass(frozen=True, kw_only=True)
class HeldOrder:
    """What the policy reads of an order."""

    id: str
    product_id: str | None
    status: str
    created_us: int
    billing_reason: str | None = "purchase"
    subscription_id: str | None = None
    dispute_status: str | None = None  # of its newest dispute


@dataclass(frozen=True, kw_only=True)
class HeldGrant:
    """What the policy reads of a benefit grant, and of the subscription that it came with."""

    benefit_id: str
    is_granted: bool
    is_revoked: bool
    revoked_us: int | None = None
    subscription_status: str | None = None
    past_due_us: int | None = None
    current_period_start_us: int | None = None


@dataclass(frozen=True, kw_only=True)
class Purchases:
    """Everything that counts for one user."""

    subscriptions: tuple[HeldSubscription, ...] = ()
    orders: tuple[HeldOrder, ...] = ()
    grants: tuple[HeldGrant, ...] = ()
    blocked: bool = False


@dataclass(frozen=True)
class ProductAccess:
    """A product that the user has now."""

    key: str
    id: str
    source: Source
    until: int | None


@dataclass(frozen=True)
class BenefitAccess:
    """A benefit that the user has now; the key is None where the catalogue does not know it."""

    key: str | None
    id: str


@dataclass(frozen=True, kw_only=True)
class Decision:
    """What a user may use at one instant, and why."""

    access: bool
    reason: str
    until: int | None = None
    products: tuple[ProductAccess, ...] = ()
    benefits: tuple[BenefitAccess, ...] = ()
    # For the background task: whose renewal is late, and when this decision may change by time alone.
    overdue_customers: tuple[str, ...] = ()
    check_us: int | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the answer of GET /billing/access."""
        return {
            "access": self.access,
            "reason": self.reason,
            "until": to_iso(self.until),
            "products": [
                {"key": held.key, "id": held.id, "source": held.source, "until": to_iso(held.until)}
                for held in self.products
            ],
            "benefits": [{"key": held.key, "id": held.id} for held in self.benefits],
        }


@dataclass(frozen=True, kw_only=True)
class Standing:
    """What one purchase gives, whatever else the user has."""

    source: Source
    id: str
    product_id: str | None
    created_us: int
    open: bool
    reason: str
    until: int | None = None

    def rank(self) -> tuple[float, bool, int, str]:
        """Order standings of open purchases: the one that lasts longest decides, a subscription before an order."""
        end = float("inf") if self.until is None else self.until
        return end, self.source == "subscription", self.created_us, self.id


def decide(purchases: Purchases, now: int, catalog: Catalog = own_catalog) -> Decision:
    """Return what a user with these purchases may use now."""
    if purchases.blocked:
        return Decision(access=False, reason="blocked")
    standings = list(_standings(purchases, now))
    best = _best_by_product(standings)
    premium = [best[product.id] for product in catalog.products if product.premium and product.id in best]
    deciding = max(premium, key=Standing.rank, default=None)
    return Decision(
        access=deciding is not None,
        reason=deciding.reason if deciding else _refusal(standings, catalog),
        until=deciding.until if deciding else None,
        products=tuple(_product_access(p, best[p.id]) for p in catalog.products if p.id in best),
        benefits=_benefits(purchases.grants, now, catalog),
        overdue_customers=tuple(sorted({s.customer_id for s in purchases.subscriptions if is_overdue(s, now)})),
        check_us=_next_check(purchases.subscriptions, standings, now),
    )


def subscription_standing(held: HeldSubscription, now: int) -> Standing:
    """Return what a subscription gives through its product."""
    rule = SUBSCRIPTION_POLICY.get(held.status)
    if rule == "while_renewing":
        return _while_renewing(held, now)
    if rule == "within_grace":
        end = grace_end(held.past_due_us, held.current_period_start_us)
        if end is None:
            return _closed(held, "past_due")
        return _standing(held, end, now, "past_due_grace", "past_due")
    return _closed(held, ENDED_REASONS.get(held.status, held.status) if rule else "unknown_status")


def order_standing(held: HeldOrder) -> Standing:
    """Return what a one-time purchase gives: a partial refund keeps access, a full one ends it.

    A dispute takes it away until it is won: Polar revokes its benefits at once and gives none back.
    """
    paid = ORDER_POLICY.get(held.status, False)
    disputed = held.dispute_status in DISPUTES_WITHOUT_ACCESS
    reason = "disputed" if disputed else "purchased"
    return Standing(
        source="order",
        id=held.id,
        product_id=held.product_id,
        created_us=held.created_us,
        open=paid and not disputed,
        reason=reason if paid else UNPAID_ORDER_REASONS.get(held.status, "unknown_status"),
    )


def is_overdue(held: HeldSubscription, now: int) -> bool:
    """Whether the renewal is so late that Polar should be asked."""
    late = _overdue_from(held)
    return late is not None and now >= late


def grace_end(past_due_us: int | None, current_period_start_us: int | None) -> int | None:
    """Return when the grace of a declined payment ends."""
    start = current_period_start_us if past_due_us is None else past_due_us
    return None if start is None else start + PAST_DUE_GRACE


def _while_renewing(held: HeldSubscription, now: int) -> Standing:
    period_end = held.current_period_end_us
    if held.cancel_at_period_end:
        return _standing(held, period_end if held.ends_us is None else held.ends_us, now, "canceling", "canceled")
    limit = None if period_end is None else period_end + RENEWAL_LIMIT
    return _standing(held, limit, now, "renewal_overdue" if is_overdue(held, now) else held.status, "renewal_expired")


def _standing(held: HeldSubscription, end: int | None, now: int, opened: str, closed: str) -> Standing:
    if end is not None and now >= end:
        return _closed(held, closed)
    return _of_subscription(held, open=True, reason=opened, until=end)


def _closed(held: HeldSubscription, reason: str) -> Standing:
    return _of_subscription(held, open=False, reason=reason, until=None)


def _of_subscription(held: HeldSubscription, *, open: bool, reason: str, until: int | None) -> Standing:
    return Standing(
        source="subscription",
        id=held.id,
        product_id=held.product_id,
        created_us=held.created_us,
        open=open,
        reason=reason,
        until=until,
    )


def _standings(purchases: Purchases, now: int) -> Iterator[Standing]:
    for subscription in purchases.subscriptions:
        yield subscription_standing(subscription, now)
    for order in purchases.orders:
        if order.subscription_id is None and order.billing_reason == "purchase":
            yield order_standing(order)


def _best_by_product(standings: Iterable[Standing]) -> dict[str, Standing]:
    best: dict[str, Standing] = {}
    for standing in standings:
        if standing.open and standing.product_id is not None:
            known = best.get(standing.product_id)
            if known is None or standing.rank() > known.rank():
                best[standing.product_id] = standing
    return best


def _refusal(standings: list[Standing], catalog: Catalog) -> str:
    """Return why there is no access: the state of the newest premium purchase."""
    premium = {product.id for product in catalog.products if product.premium}
    newest = max((s for s in standings if s.product_id in premium), key=lambda s: (s.created_us, s.id), default=None)
    if newest is not None:
        return newest.reason
    return "not_premium" if any(standing.open for standing in standings) else "none"


def _product_access(product: Product, standing: Standing) -> ProductAccess:
    return ProductAccess(product.key, product.id, standing.source, standing.until)


def _benefits(grants: Iterable[HeldGrant], now: int, catalog: Catalog) -> tuple[BenefitAccess, ...]:
    keys = {benefit.id: benefit.key for benefit in catalog.benefits}
    held = sorted({grant.benefit_id for grant in grants if _has_benefit(grant, now)})
    return tuple(BenefitAccess(keys.get(benefit_id), benefit_id) for benefit_id in held)


def _has_benefit(grant: HeldGrant, now: int) -> bool:
    if grant.is_granted and not grant.is_revoked:
        return True
    return grant.is_revoked and _kept_in_grace(grant, now)


def _kept_in_grace(grant: HeldGrant, now: int) -> bool:
    """Whether a declined payment took the benefit away, as Polar does at once, and our grace keeps it."""
    if SUBSCRIPTION_POLICY.get(grant.subscription_status or "") != "within_grace":
        return False
    if grant.past_due_us is None or grant.revoked_us is None or grant.revoked_us < grant.past_due_us:
        return False
    end = grace_end(grant.past_due_us, grant.current_period_start_us)
    return end is not None and now < end


def _overdue_from(held: HeldSubscription) -> int | None:
    renews = SUBSCRIPTION_POLICY.get(held.status) == "while_renewing" and not held.cancel_at_period_end
    if not renews or held.current_period_end_us is None:
        return None
    return held.current_period_end_us + RENEWAL_LEEWAY + 1


def _next_check(subscriptions: Iterable[HeldSubscription], standings: Iterable[Standing], now: int) -> int | None:
    instants = [*(standing.until for standing in standings), *(_overdue_from(held) for held in subscriptions)]
    return min((instant for instant in instants if instant is not None and instant > now), default=None)
