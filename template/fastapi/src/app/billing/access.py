"""What a user may use now: one indexed query, one pure function."""

from collections.abc import Iterable

from sqlalchemy import Connection

from app.billing import repository
from app.billing.catalog import catalog as own_catalog
from app.billing.catalog_types import Catalog
from app.billing.policy import Decision, HeldGrant, HeldOrder, HeldSubscription, Purchases, decide
from app.billing.repository import AnyRow
from app.database import Database

__all__ = ["Decision", "access_of", "decide_for"]


def access_of(db: Database, user_id: str, now: int, catalog: Catalog = own_catalog) -> Decision:
    """Return what the user may use. Reads the projection only: Polar is never asked."""
    with db.read() as connection:
        return decide_for(connection, user_id, now, catalog)


def decide_for(connection: Connection, user_id: str, now: int, catalog: Catalog = own_catalog) -> Decision:
    """Return the same within a transaction."""
    return decide(purchases_from(repository.purchases_of(connection, user_id)), now, catalog)


def purchases_from(rows: Iterable[AnyRow]) -> Purchases:
    """Return what the policy reads, from the rows of the query."""
    subscriptions, orders, grants = [], [], []
    blocked = False
    for row in rows:
        if row.kind == "subscription":
            subscriptions.append(_subscription(row))
        elif row.kind == "order":
            orders.append(_order(row))
        elif row.kind == "grant":
            grants.append(_grant(row))
        else:
            blocked = True
    return Purchases(subscriptions=tuple(subscriptions), orders=tuple(orders), grants=tuple(grants), blocked=blocked)


def _subscription(row: AnyRow) -> HeldSubscription:
    return HeldSubscription(
        id=row.id,
        customer_id=row.customer_id,
        product_id=row.product_id,
        status=row.status,
        created_us=row.created_us,
        current_period_start_us=row.current_period_start_us,
        current_period_end_us=row.current_period_end_us,
        cancel_at_period_end=row.cancel_at_period_end,
        ends_us=row.ends_us,
        past_due_us=row.past_due_us,
    )


def _order(row: AnyRow) -> HeldOrder:
    return HeldOrder(
        id=row.id,
        product_id=row.product_id,
        status=row.status,
        created_us=row.created_us,
        billing_reason=row.billing_reason,
        subscription_id=row.subscription_id,
        dispute_status=row.dispute_status,
    )


def _grant(row: AnyRow) -> HeldGrant:
    return HeldGrant(
        benefit_id=row.benefit_id,
        is_granted=row.is_granted,
        is_revoked=row.is_revoked,
        revoked_us=row.revoked_us,
        subscription_status=row.status,
        past_due_us=row.past_due_us,
        current_period_start_us=row.current_period_start_us,
    )
