"""The JSON of subscriptions and orders, the same in answers and in reactions."""

from typing import Any, TypedDict

from sqlalchemy import RowMapping

from app.billing.catalog_types import Catalog
from app.billing.time import to_iso


class SubscriptionJson(TypedDict):
    """A subscription; `key` is None for products outside the catalogue."""

    id: str
    product_id: str | None
    key: str | None
    status: str
    amount: int | None
    currency: str | None
    recurring_interval: str | None
    recurring_interval_count: int | None
    current_period_start: str | None
    current_period_end: str | None
    trial_end: str | None
    cancel_at_period_end: bool
    canceled_at: str | None
    started_at: str | None
    ends_at: str | None
    ended_at: str | None
    past_due_at: str | None
    pause_at_period_end: bool
    resumes_at: str | None
    seats: int | None
    pending_product_id: str | None


class OrderJson(TypedDict):
    """An order; its amount is negative where money was credited."""

    id: str
    product_id: str | None
    key: str | None
    status: str
    amount: int | None
    refunded_amount: int
    currency: str | None
    billing_reason: str | None
    subscription_id: str | None
    created_at: str | None


def subscription_shape(row: RowMapping | dict[str, Any], catalog: Catalog) -> SubscriptionJson:
    """Return a row of subscriptions as JSON."""
    return {
        "id": row["id"],
        "product_id": row["product_id"],
        "key": _key(catalog, row["product_id"]),
        "status": row["status"],
        "amount": row["amount"],
        "currency": row["currency"],
        "recurring_interval": row["recurring_interval"],
        "recurring_interval_count": row["recurring_interval_count"],
        "current_period_start": to_iso(row["current_period_start_us"]),
        "current_period_end": to_iso(row["current_period_end_us"]),
        "trial_end": to_iso(row["trial_end_us"]),
        "cancel_at_period_end": row["cancel_at_period_end"],
        "canceled_at": to_iso(row["canceled_us"]),
        "started_at": to_iso(row["started_us"]),
        "ends_at": to_iso(row["ends_us"]),
        "ended_at": to_iso(row["ended_us"]),
        "past_due_at": to_iso(row["past_due_us"]),
        "pause_at_period_end": row["pause_at_period_end"],
        "resumes_at": to_iso(row["resumes_us"]),
        "seats": row["seats"],
        "pending_product_id": row["pending_product_id"],
    }


def order_shape(row: RowMapping | dict[str, Any], catalog: Catalog) -> OrderJson:
    """Return a row of orders as JSON."""
    return {
        "id": row["id"],
        "product_id": row["product_id"],
        "key": _key(catalog, row["product_id"]),
        "status": row["status"],
        "amount": row["amount"],
        "refunded_amount": row["refunded_amount"],
        "currency": row["currency"],
        "billing_reason": row["billing_reason"],
        "subscription_id": row["subscription_id"],
        "created_at": to_iso(row["created_us"]),
    }


def _key(catalog: Catalog, product_id: str | None) -> str | None:
    product = catalog.product_by_id(product_id)
    return product.key if product else None
