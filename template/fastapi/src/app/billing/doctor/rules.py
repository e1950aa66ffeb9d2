"""Events and access rules of the code, held against the generated ones by running them."""

from collections.abc import Iterator

from app.billing.catalog import catalog
from app.billing.doctor import generated
from app.billing.doctor.examination import Examination, Found
from app.billing.events import EVENTS
from app.billing.policy import HeldOrder, HeldSubscription, order_standing, subscription_standing
from app.billing.projections import parse_event
from app.billing.time import DAY

STAMP = "2026-01-01T00:00:00Z"
NOW = 20_000 * DAY


def event_unhandled(_x: Examination) -> Iterator[Found]:
    """Read an event of every type as the inbox does."""
    for kind, projection in generated.EVENTS.items():
        if projection is not None and (what := _wrong_with(kind, projection)):
            yield Found(kind, what)


def _wrong_with(kind: str, projection: str) -> str | None:
    name = EVENTS.get(kind)
    if name != projection:
        return f"goes to {name or 'no projection'}, not to {projection}"
    try:
        parse_event("doctor", b"", {"type": kind, "timestamp": STAMP, "data": generated.SAMPLE})
    except Exception:  # whatever the code of the project does
        return "cannot be read"
    return None


def access_table(_x: Examination) -> Iterator[Found]:
    """Let the rules decide about purchases of every status."""
    for status, rule in generated.SUBSCRIPTION_POLICY.items():
        for days, expected in _expectations(rule):
            if subscription_standing(_held(status, days), NOW).open != expected:
                yield Found(f"subscription {status}, {days} day(s) late", _difference(expected))
    for status, expected in generated.ORDER_POLICY.items():
        held = HeldOrder(id="doctor", product_id=None, status=status, created_us=NOW)
        if order_standing(held).open != expected:
            yield Found(f"order {status}", _difference(expected))
    for product in catalog.products:
        expected = generated.PREMIUM.get(product.key, False)
        if product.premium != expected:
            yield Found(f"product {product.key}", _difference(expected))


def _expectations(rule: str) -> Iterator[tuple[int, bool]]:
    """Yield days after the end of the period, and whether there is access then."""
    limits = {"while_renewing": generated.RENEWAL_LIMIT_DAYS, "within_grace": generated.PAST_DUE_GRACE_DAYS}
    limit = limits.get(rule, 0)
    for days in sorted({0, limit - 1, limit} - {-1}):
        yield days, days < limit


def _held(status: str, days: int) -> HeldSubscription:
    end = NOW - days * DAY
    return HeldSubscription(
        id="doctor",
        customer_id="doctor",
        product_id=None,
        status=status,
        created_us=end - DAY,
        current_period_start_us=end - DAY,
        current_period_end_us=end,
        past_due_us=end,
    )


def _difference(expected: bool) -> str:
    return "gives no access; as generated it does" if expected else "gives access; as generated it does not"
