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
    return Product(
        key=key,
        id=f"product-{key}",
        name=key,
        description=None,
        archived=False,
        recurring=True,
        interval="month",
        interval_count=1,
        trial_interval=None,
        trial_interval_count=None,
        premium=premium,
        free=not premium,
        prices=(),
        benefits=(),
    )


CATALOG = Catalog(
    server="sandbox",
    organization=Organization(id="org", name="Shop", default_currency="usd", allow_multiple_subscriptions=False),
    products=(product("free", premium=False), product("pro"), product("team"), product("lifetime")),
    benefits=(Benefit(key="beta", id="benefit-beta", type="feature_flag", description="Beta", metadata={}),),
)


def customer(customer_id: str = "c1", external_id: str | None = "user_1", **fields: Any) -> Json:
    """Return a customer."""
    usual = {
        "id": customer_id,
        "external_id": external_id,
        "email": f"{customer_id}@example.com",
        "name": "Ada",
        "type": "individual",
        "created_at": to_iso(NOW - 90 * DAY),
        "modified_at": None,
        "deleted_at": None,
    }
    return usual | fields


def subscription(key: str = "pro", subscription_id: str = "s1", buyer: Json | None = None, **fields: Any) -> Json:
    """Return an active subscription in the middle of its period."""
    buyer = buyer or customer()
    usual = {
        "id": subscription_id,
        "customer_id": buyer["id"],
        "customer": buyer,
        "product_id": f"product-{key}",
        "status": "active",
        "amount": 1900,
        "currency": "usd",
        "recurring_interval": "month",
        "recurring_interval_count": 1,
        "current_period_start": to_iso(NOW - 10 * DAY),
        "current_period_end": to_iso(NOW + 20 * DAY),
        "cancel_at_period_end": False,
        "started_at": to_iso(NOW - 10 * DAY),
        "created_at": to_iso(NOW - 10 * DAY),
        "modified_at": None,
        "metadata": {},
    }
    return usual | fields


def order(key: str = "lifetime", order_id: str = "o1", buyer: Json | None = None, **fields: Any) -> Json:
    """Return a paid one-time purchase."""
    buyer = buyer or customer()
    usual = {
        "id": order_id,
        "customer_id": buyer["id"],
        "customer": buyer,
        "product_id": f"product-{key}",
        "subscription_id": None,
        "status": "paid",
        "billing_reason": "purchase",
        "total_amount": 4900,
        "refunded_amount": 0,
        "currency": "usd",
        "created_at": to_iso(NOW - 5 * DAY),
        "modified_at": None,
        "metadata": {},
    }
    return usual | fields


def member(member_id: str = "m1", external_id: str | None = "user_1", customer_id: str = "c1", **fields: Any) -> Json:
    """Return a member of a customer; the owner by default."""
    usual = {
        "id": member_id,
        "customer_id": customer_id,
        "external_id": external_id,
        "email": f"{member_id}@example.com",
        "name": "Ada",
        "role": "owner",
        "created_at": to_iso(NOW - 90 * DAY),
        "modified_at": None,
    }
    return usual | fields


def grant(benefit: str = "beta", grant_id: str = "g1", buyer: Json | None = None, **fields: Any) -> Json:
    """Return a benefit that was granted."""
    buyer = buyer or customer()
    usual = {
        "id": grant_id,
        "customer_id": buyer["id"],
        "customer": buyer,
        "member_id": None,
        "benefit_id": f"benefit-{benefit}",
        "benefit": {"id": f"benefit-{benefit}", "type": "feature_flag"},
        "subscription_id": "s1",
        "order_id": None,
        "is_granted": True,
        "is_revoked": False,
        "granted_at": to_iso(NOW - 10 * DAY),
        "revoked_at": None,
        "error": None,
        "created_at": to_iso(NOW - 10 * DAY),
        "modified_at": None,
    }
    return usual | fields


def checkout(checkout_id: str = "k1", **fields: Any) -> Json:
    """Return an open checkout that our server made."""
    usual = {
        "id": checkout_id,
        "status": "open",
        "customer_id": None,
        "product_id": "product-pro",
        "subscription_id": None,
        "expires_at": to_iso(NOW + DAY),
        "created_at": to_iso(NOW),
        "modified_at": None,
        "metadata": {"app_user_id": "user_1"},
    }
    return usual | fields


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
