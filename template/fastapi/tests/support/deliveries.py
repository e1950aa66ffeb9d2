"""Payloads as Polar sends them, cut to what matters, and a few things to do with them."""

import json
from typing import Any
from uuid import uuid4

from sqlalchemy import select

from app.billing.access import access_of
from app.billing.catalog_types import Benefit, Catalog, Organization, Product
from app.billing.inbox import Outcome, store_and_apply
from app.billing.polar_sdk import API_VERSION
from app.billing.policy import Decision
from app.billing.reactions import Handlers
from app.billing.tables import metadata
from app.billing.time import DAY, SECOND, to_iso
from app.database import Database

NOW = 1_769_860_800_000_000  # 2026-01-31T12:00:00Z
Json = dict[str, Any]
Delivered = tuple[str, bytes]


def product(key: str, *, premium: bool = True) -> Product:
    """Return a product of the tests' own catalogue; its id is made of the key."""
    monthly: Json = {"recurring": True, "interval": "month", "interval_count": 1}
    plain: Json = {"trial_interval": None, "trial_interval_count": None, "prices": (), "benefits": ()}
    shown: Json = {"key": key, "id": f"product-{key}", "name": key, "description": None, "archived": False}
    return Product(**shown, **monthly, **plain, premium=premium, free=not premium)


CATALOG = Catalog(
    server="sandbox",
    organization=Organization(id="org", name="Shop", default_currency="usd", allow_multiple_subscriptions=False),
    products=(product("free", premium=False), product("pro"), product("team"), product("lifetime")),
    benefits=(Benefit(key="beta", id="benefit-beta", type="feature_flag", description="Beta", metadata={}),),
)


def customer(customer_id: str = "c1", external_id: str | None = "user_1", **fields: Any) -> Json:
    """Return a customer."""
    person = {"external_id": external_id, "email": f"{customer_id}@example.com", "name": "Ada", "type": "individual"}
    return {**_made(customer_id, 90), **person, "deleted_at": None} | fields


def subscription(key: str = "pro", subscription_id: str = "s1", buyer: Json | None = None, **fields: Any) -> Json:
    """Return an active subscription in the middle of its period."""
    price = {"amount": 1900, "currency": "usd", "recurring_interval": "month", "recurring_interval_count": 1}
    start = to_iso(NOW - 10 * DAY)
    period = {"started_at": start, "current_period_start": start, "current_period_end": to_iso(NOW + 20 * DAY)}
    usual = {"product_id": f"product-{key}", "status": "active", "cancel_at_period_end": False, "metadata": {}}
    return {**_made(subscription_id, 10), **_bought_by(buyer), **usual, **price, **period} | fields


def order(key: str = "lifetime", order_id: str = "o1", buyer: Json | None = None, **fields: Any) -> Json:
    """Return a paid one-time purchase."""
    paid = {"status": "paid", "total_amount": 4900, "refunded_amount": 0, "currency": "usd"}
    usual: Json = {
        "product_id": f"product-{key}",
        "subscription_id": None,
        "billing_reason": "purchase",
        "metadata": {},
    }
    return {**_made(order_id, 5), **_bought_by(buyer), **usual, **paid} | fields


def member(member_id: str = "m1", external_id: str | None = "user_1", customer_id: str = "c1", **fields: Any) -> Json:
    """Return a member of a customer; the owner by default."""
    person = {"external_id": external_id, "email": f"{member_id}@example.com", "name": "Ada", "role": "owner"}
    return {**_made(member_id, 90), "customer_id": customer_id, **person} | fields


def grant(benefit: str = "beta", grant_id: str = "g1", buyer: Json | None = None, **fields: Any) -> Json:
    """Return a benefit that was granted."""
    granted = {"is_granted": True, "is_revoked": False, "granted_at": to_iso(NOW - 10 * DAY), "revoked_at": None}
    given = {"benefit_id": f"benefit-{benefit}", "benefit": {"id": f"benefit-{benefit}", "type": "feature_flag"}}
    usual = {"member_id": None, "subscription_id": "s1", "order_id": None, "error": None}
    return {**_made(grant_id, 10), **_bought_by(buyer), **given, **usual, **granted} | fields


def checkout(checkout_id: str = "k1", **fields: Any) -> Json:
    """Return an open checkout that our server made."""
    usual = {"status": "open", "customer_id": None, "product_id": "product-pro", "subscription_id": None}
    ours = {"expires_at": to_iso(NOW + DAY), "metadata": {"app_user_id": "user_1"}}
    return {**_made(checkout_id, 0), **usual, **ours} | fields


def _made(object_id: str, days_ago: int) -> Json:
    return {"id": object_id, "created_at": to_iso(NOW - days_ago * DAY), "modified_at": None}


def _bought_by(buyer: Json | None) -> Json:
    buyer = buyer or customer()
    return {"customer_id": buyer["id"], "customer": buyer}


def state(buyer: Json | None = None, live: list[Json] | None = None, granted: list[Json] | None = None) -> Json:
    """Return a customer state."""
    return (buyer or customer()) | {
        "active_subscriptions": live or [],
        "granted_benefits": granted or [],
        "active_meters": [],
    }


def event(kind: str, data: Json, second: float = 0, webhook_id: str | None = None) -> Delivered:
    """Return the id and the body of an event, stamped so many seconds after NOW."""
    payload = {"type": kind, "timestamp": to_iso(NOW + int(second * SECOND)), "api_version": API_VERSION, "data": data}
    return webhook_id or str(uuid4()), json.dumps(payload).encode()


def apply(database: Database, *events: Delivered, now: int = NOW, reactions: Handlers | None = None) -> list[Outcome]:
    """Apply verified events, one after the other; reactions are not written unless given."""
    return [store_and_apply(database, *delivered, now, reactions or {}) for delivered in events]


def decision_for(database: Database, user: str = "user_1", now: int = NOW) -> Decision:
    """Return what a user may use, by the tests' catalogue."""
    return access_of(database, user, now, CATALOG)


def rows_of(database: Database, table: str) -> list[Json]:
    """Return all rows of a table, in the order of their keys."""
    with database.read() as connection:
        selected = select(metadata.tables[table])
        rows = [dict(row._mapping) for row in connection.execute(selected)]
    return sorted(rows, key=lambda row: str(next(iter(row.values()))))
