"""What the tables say: events, reactions and customers that want a look."""

from collections.abc import Callable, Iterator
from functools import partial

from sqlalchemy import Connection, text

from app.billing.catalog import catalog
from app.billing.doctor.checks import RECORDS
from app.billing.doctor.examination import Examination, Found
from app.billing.doctor.skipped import Skipped
from app.billing.read import Json, Unreadable, objects

HELD = """
SELECT product_id, COUNT(*) AS number FROM (
  SELECT product_id FROM billing_subscriptions WHERE status IN ('active', 'trialing', 'past_due', 'paused')
  UNION ALL
  SELECT product_id FROM billing_orders
  WHERE subscription_id IS NULL AND billing_reason = 'purchase' AND status IN ('paid', 'partially_refunded')
) AS held WHERE product_id IS NOT NULL GROUP BY product_id ORDER BY product_id
"""

SAMPLE = """
SELECT id FROM billing_customers WHERE deleted_us IS NULL ORDER BY version DESC, id LIMIT 20
"""
LIVE = """
SELECT 'subscription ' || id || ' ' || status FROM billing_subscriptions
WHERE customer_id = :customer AND status IN ('active', 'trialing')
UNION ALL SELECT 'grant ' || id FROM billing_benefit_grants
WHERE customer_id = :customer AND is_granted AND NOT is_revoked
"""


def look(check_id: str) -> Callable[[Examination], Iterator[Found]]:
    """Return the check that runs the SQL of that id."""
    return partial(_found, RECORDS[check_id])


def products_unknown(x: Examination) -> Iterator[Found]:
    """Report products that customers hold and the catalogue does not have."""
    with x.reading() as connection:
        for row in connection.execute(text(HELD)):
            if catalog.product_by_id(row.product_id) is None:
                yield Found(f"product {row.product_id}", f"held {row.number} time(s)")


def projection_drift(x: Examination) -> Iterator[Found]:
    """Compare the customers that changed last with Polar's own view of them."""
    with x.reading() as connection:
        sample = list(connection.scalars(text(SAMPLE)))
        ours = {customer_id: _live_here(connection, customer_id) for customer_id in sample}
    for customer_id in sample:
        there = _live_at_polar(x, customer_id)
        missing, surplus = sorted(there - ours[customer_id]), sorted(ours[customer_id] - there)
        if missing or surplus:
            what = f"only at Polar: {', '.join(missing) or 'nothing'}; only here: {', '.join(surplus) or 'nothing'}"
            yield Found(f"customer {customer_id}", what)


def _live_here(connection: Connection, customer_id: str) -> set[str]:
    return set(connection.scalars(text(LIVE), {"customer": customer_id}))


def _live_at_polar(x: Examination, customer_id: str) -> set[str]:
    state = x.polar.customer_state(customer_id)
    try:
        return set() if state is None else set(_live_in(state))
    except Unreadable:
        raise Skipped("Polar's answer cannot be read.") from None


def _live_in(state: Json) -> Iterator[str]:
    for subscription in objects(state, "active_subscriptions"):
        yield f"subscription {subscription.get('id')} {subscription.get('status')}"
    for grant in objects(state, "granted_benefits"):
        yield f"grant {grant.get('id')}"


def _found(sql: str, x: Examination) -> Iterator[Found]:
    values = {"now": x.billing.clock()} if ":now" in sql else {}
    with x.reading() as connection:
        for row in connection.execute(text(sql), values):
            yield Found(row.place, row.what)
