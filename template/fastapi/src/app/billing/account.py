"""Everything that billing knows about a user."""

from typing import Any

from app.billing import repository
from app.billing.access import decide_for
from app.billing.catalog import catalog as own_catalog
from app.billing.catalog_types import Catalog
from app.billing.repository import AnyRow
from app.billing.shapes import order_shape, subscription_shape
from app.database import Database

# It runs, is still being paid for, or will go on: a second one is not bought beside it.
LIVE = frozenset({"active", "trialing", "past_due", "paused"})


def account_of(db: Database, user_id: str, now: int, catalog: Catalog = own_catalog) -> dict[str, Any]:
    """Return the answer of GET /billing/account: all of it from one instant."""
    with db.read() as connection:
        decision = decide_for(connection, user_id, now, catalog)
        customer = repository.followed_customer_of(connection, user_id)
        subscriptions = repository.subscriptions_of(connection, user_id)
        orders = repository.orders_of(connection, user_id)
    return {
        "access": decision.to_json(),
        "customer": dict(customer._mapping) if customer else None,
        "subscriptions": [subscription_shape(row._mapping, catalog) for row in subscriptions],
        "orders": [order_shape(row._mapping, catalog) for row in orders],
    }


def followed_customer(db: Database, user_id: str) -> AnyRow | None:
    """Return the customer (id, external_id, email, name) that the user follows: the newest that was not deleted."""
    with db.read() as connection:
        return repository.followed_customer_of(connection, user_id)


def live_subscriptions(db: Database, user_id: str) -> list[AnyRow]:
    """Return the user's subscriptions that are not over, newest first."""
    with db.read() as connection:
        rows = repository.subscriptions_of(connection, user_id)
    return [row for row in rows if row.status in LIVE]
