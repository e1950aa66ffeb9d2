"""From the JSON of an event, or of an answer of Polar's API, to the rows that we keep.

Every event carries a whole snapshot of its object, so a row is simply the newest snapshot.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from app.billing.events import EVENTS, Projection
from app.billing.read import Json, Unreadable, flag, instant, integer, mapping, objects, required_text, text

Row = dict[str, Any]

MAX_USER_ID_LENGTH = 255


@dataclass(frozen=True, kw_only=True)
class CustomerIdentity:
    """What any payload may tell about a customer, in any order: each of it is written once and stays.

    After a deletion all payloads say `external_id: null`, also those that arrive first.
    """

    id: str
    external_id: str | None = None
    created_us: int = 0
    deleted_us: int | None = None


@dataclass(frozen=True, kw_only=True)
class MemberIdentity:
    """The same for a member: an employee of a customer that is a team, or the customer itself (role owner)."""

    id: str
    customer_id: str | None
    external_id: str | None = None
    role: str | None = None
    deleted_us: int | None = None


@dataclass(frozen=True, kw_only=True)
class Event:
    """One verified event, as far as we read it."""

    webhook_id: str
    type: str
    body: bytes
    version: int = 0
    modified_us: int = 0
    projection: Projection | None = None
    customer_id: str | None = None
    customer: CustomerIdentity | None = None
    member: MemberIdentity | None = None
    row: Row = field(default_factory=dict)


def parse_event(webhook_id: str, body: bytes, payload: object) -> Event:
    """Read an event. One of a type without projection is only kept; one that lacks what it needs is `Unreadable`."""
    if not isinstance(payload, dict):
        raise Unreadable("the body is no object")
    kind = required_text(payload, "type")
    data = mapping(payload, "data")
    projection = EVENTS.get(kind)
    if projection is None:
        return Event(webhook_id=webhook_id, type=kind, body=body, customer_id=mentioned_customer(kind, data))
    version = instant(payload, "timestamp")
    if version is None:
        raise Unreadable("timestamp is missing")
    required_text(data, "id")
    deleted_us = version if kind in {"customer.deleted", "member.deleted"} else None
    customer = _customer_of(projection, data, deleted_us)
    return Event(
        webhook_id=webhook_id,
        type=kind,
        body=body,
        version=version,
        modified_us=instant(data, "modified_at") or 0,
        projection=projection,
        customer_id=customer.id if customer else None,
        customer=customer,
        member=_member_of(projection, data, deleted_us),
        row=ROWS[projection](data),
    )


def mentioned_customer(kind: str, data: Json) -> str | None:
    """Return whom an event is about, whatever its type: a deletion empties all bodies about them."""
    if kind.startswith("customer."):
        return text(data, "id")
    return text(data, "customer_id") or text(mapping(data, "customer"), "id")


def customer_row(data: Mapping[str, Any]) -> Row:
    """Return the columns of a customer that follow its newest snapshot."""
    return {name: text(data, name) for name in ("email", "name", "type")} | {"id": required_text(data, "id")}


def customer_state_row(data: Mapping[str, Any]) -> Row:
    """Return what a customer state says is live: enough to tell whether our rows agree with it."""
    live = [
        {"id": required_text(item, "id"), "status": text(item, "status"), "product_id": text(item, "product_id")}
        for item in objects(data, "active_subscriptions")
    ]
    granted = [
        {"id": required_text(item, "id"), "benefit_id": text(item, "benefit_id")}
        for item in objects(data, "granted_benefits")
    ]
    body = json.dumps({"subscriptions": live, "benefits": granted}, separators=(",", ":"))
    return {"customer_id": required_text(data, "id"), "body": body}


def member_row(data: Mapping[str, Any]) -> Row:
    """Return the columns of a member that follow its newest snapshot."""
    return {name: text(data, name) for name in ("customer_id", "email", "name", "role")} | {
        "id": required_text(data, "id")
    }


def subscription_row(data: Mapping[str, Any]) -> Row:
    """Return a subscription. `pending_update` is a change that takes effect with the next period."""
    return {
        "id": required_text(data, "id"),
        "customer_id": required_text(data, "customer_id"),
        "product_id": text(data, "product_id"),
        "app_user_id": _app_user_id(data),
        "status": required_text(data, "status"),
        "amount": integer(data, "amount"),
        "currency": text(data, "currency"),
        "recurring_interval": text(data, "recurring_interval"),
        "recurring_interval_count": integer(data, "recurring_interval_count"),
        "current_period_start_us": instant(data, "current_period_start"),
        "current_period_end_us": instant(data, "current_period_end"),
        "trial_end_us": instant(data, "trial_end"),
        "cancel_at_period_end": flag(data, "cancel_at_period_end"),
        "canceled_us": instant(data, "canceled_at"),
        "started_us": instant(data, "started_at"),
        "ends_us": instant(data, "ends_at"),
        "ended_us": instant(data, "ended_at"),
        "past_due_us": instant(data, "past_due_at"),
        "pause_at_period_end": flag(data, "pause_at_period_end"),
        "resumes_us": instant(data, "resumes_at"),
        "seats": integer(data, "seats"),
        "pending_product_id": text(mapping(data, "pending_update"), "product_id"),
        "checkout_id": text(data, "checkout_id"),
        "discount_basis_points": integer(mapping(data, "discount"), "basis_points"),
        "created_us": instant(data, "created_at") or 0,
    }


def order_row(data: Mapping[str, Any]) -> Row:
    """Return an order. Its amount is negative where money was credited."""
    return {
        "id": required_text(data, "id"),
        "customer_id": required_text(data, "customer_id"),
        "product_id": text(data, "product_id"),
        "subscription_id": text(data, "subscription_id"),
        "checkout_id": text(data, "checkout_id"),
        "app_user_id": _app_user_id(data),
        "status": required_text(data, "status"),
        "billing_reason": text(data, "billing_reason"),
        "amount": integer(data, "total_amount"),
        "refunded_amount": integer(data, "refunded_amount") or 0,
        "currency": text(data, "currency"),
        "created_us": instant(data, "created_at") or 0,
    }


def benefit_grant_row(data: Mapping[str, Any]) -> Row:
    """Return a benefit grant. Polar uses the same grant again when the benefit comes back."""
    return {
        "id": required_text(data, "id"),
        "customer_id": required_text(data, "customer_id"),
        "member_id": text(data, "member_id"),
        "benefit_id": required_text(data, "benefit_id"),
        "benefit_type": text(mapping(data, "benefit"), "type"),
        "subscription_id": text(data, "subscription_id"),
        "order_id": text(data, "order_id"),
        "is_granted": flag(data, "is_granted"),
        "is_revoked": flag(data, "is_revoked"),
        "granted_us": instant(data, "granted_at"),
        "revoked_us": instant(data, "revoked_at"),
        "error": text(mapping(data, "error"), "type"),
        "created_us": instant(data, "created_at") or 0,
    }


def checkout_row(data: Mapping[str, Any]) -> Row:
    """Return a checkout; the user is whom our own server made it for."""
    return {
        "id": required_text(data, "id"),
        "user_id": _app_user_id(data),
        "customer_id": text(data, "customer_id"),
        "product_id": text(data, "product_id"),
        "subscription_id": text(data, "subscription_id"),
        "status": required_text(data, "status"),
        "expires_us": instant(data, "expires_at"),
        "created_us": instant(data, "created_at") or 0,
    }


def customer_identity(data: Mapping[str, Any], deleted_us: int | None = None) -> CustomerIdentity:
    """Return what a customer object tells for good. `deleted_us` is used where the object does not say when."""
    told = instant(data, "deleted_at")
    return CustomerIdentity(
        id=required_text(data, "id"),
        external_id=text(data, "external_id") or None,
        created_us=instant(data, "created_at") or 0,
        deleted_us=deleted_us if told is None else told,
    )


def grant_member(data: Mapping[str, Any]) -> MemberIdentity | None:
    """Return the member that a benefit grant shows with it."""
    member = mapping(data, "member")
    return _member_identity(member, None) if text(member, "id") else None


def _member_identity(data: Mapping[str, Any], deleted_us: int | None) -> MemberIdentity:
    return MemberIdentity(
        id=required_text(data, "id"),
        customer_id=text(data, "customer_id"),
        external_id=text(data, "external_id") or None,
        role=text(data, "role"),
        deleted_us=deleted_us,
    )


def _customer_of(projection: Projection, data: Json, deleted_us: int | None) -> CustomerIdentity | None:
    """Return the customer that a payload names: itself, the one embedded in it, or just an id."""
    if projection in {"customer", "customer_state"}:
        return customer_identity(data, deleted_us)
    customer_id = text(data, "customer_id")
    if not customer_id:
        return None
    embedded = mapping(data, "customer")
    if text(embedded, "id") == customer_id:
        return customer_identity(embedded)
    return CustomerIdentity(id=customer_id)


def _member_of(projection: Projection, data: Json, deleted_us: int | None) -> MemberIdentity | None:
    if projection == "member":
        return _member_identity(data, deleted_us)
    return grant_member(data) if projection == "benefit_grant" else None


def _app_user_id(data: Mapping[str, Any]) -> str | None:
    """Return the user that our server made the checkout for: Polar copies a checkout's metadata to what is bought."""
    user_id = text(mapping(data, "metadata"), "app_user_id")
    return user_id if user_id and len(user_id) <= MAX_USER_ID_LENGTH else None


ROWS: dict[Projection, Callable[[Mapping[str, Any]], Row]] = {
    "checkout": checkout_row,
    "customer": customer_row,
    "customer_state": customer_state_row,
    "member": member_row,
    "order": order_row,
    "subscription": subscription_row,
    "benefit_grant": benefit_grant_row,
}
