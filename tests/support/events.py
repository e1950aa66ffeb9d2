"""Polar's objects and the events that carry them, with the fields that Polar sends about customers and purchases."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import dataclass, field
from typing import Any

from tests.catalogues import ORGANIZATION_ID, identifier
from tests.support.api_version import API_VERSION
from tests.support.polar_runtime import instant

Json = dict[str, Any]


def event(kind: str, at: dt.datetime, data: Json) -> bytes:
    """The body of a delivery."""
    return json.dumps({"type": kind, "timestamp": instant(at), "api_version": API_VERSION, "data": data}).encode()


@dataclass
class Customer:
    """A customer at Polar, and what it bought; each method gives a snapshot as it stands `days` after `start`."""

    external_id: str | None
    start: dt.datetime
    name: str = ""
    fields: Json = field(default_factory=dict)

    @property
    def id(self) -> str:
        return identifier("customer of", self.name or self.external_id)

    def at(self, days: float = 0) -> str:
        return instant(self.start + dt.timedelta(days=days))

    def customer(self, **changes: Any) -> Json:
        return {
            "id": self.id,
            "created_at": self.at(),
            "modified_at": None,
            "metadata": {},
            "external_id": self.external_id,
            "email": f"{self.id[:8]}@example.com",
            "email_verified": False,
            "type": "individual",
            "name": "A buyer",
            "billing_name": "A buyer",
            "billing_address": None,
            "tax_id": None,
            "locale": "en",
            "organization_id": ORGANIZATION_ID,
            "default_payment_method_id": None,
            "deleted_at": None,
            "first_user_event_at": None,
            "avatar_url": None,
            **self.fields,
            **changes,
        }

    def member(self, who: str | None = None, **changes: Any) -> Json:
        """A member: the owner, or with `who` the user of that external id."""
        return {
            "id": identifier("member", self.id, who),
            "created_at": self.at(),
            "modified_at": None,
            "customer_id": self.id,
            "email": f"{who or self.id[:8]}@example.com",
            "name": None,
            "external_id": who or self.external_id,
            "role": "member" if who else "owner",
            **changes,
        }

    def subscription(self, product: Json, number: int = 1, **changes: Any) -> Json:
        return {
            "id": identifier("subscription", self.id, number),
            "created_at": self.at(),
            "modified_at": None,
            "amount": product["prices"][0].get("price_amount", 0),
            "currency": "usd",
            "recurring_interval": product["recurring_interval"],
            "recurring_interval_count": product["recurring_interval_count"],
            "status": "active",
            "current_period_start": self.at(),
            "current_period_end": self.at(30),
            "trial_start": None,
            "trial_end": None,
            "cancel_at_period_end": False,
            "canceled_at": None,
            "started_at": self.at(),
            "ends_at": None,
            "ended_at": None,
            "past_due_at": None,
            "pause_at_period_end": False,
            "paused_at": None,
            "resumes_at": None,
            "customer_id": self.id,
            "product_id": product["id"],
            "discount_id": None,
            "checkout_id": None,
            "seats": None,
            "metadata": {},
            "custom_field_data": {},
            "customer": self.customer(),
            "product": product,
            "prices": product["prices"],
            "meters": [],
            "pending_update": None,
            **changes,
        }

    def order(self, product: Json, number: int = 1, **changes: Any) -> Json:
        amount = product["prices"][0].get("price_amount", 0)
        return {
            "id": identifier("order", self.id, number),
            "created_at": self.at(),
            "modified_at": None,
            "status": "paid",
            "paid": True,
            "subtotal_amount": amount,
            "discount_amount": 0,
            "net_amount": amount,
            "tax_amount": 0,
            "total_amount": amount,
            "refunded_amount": 0,
            "currency": "usd",
            "billing_reason": "purchase",
            "customer_id": self.id,
            "product_id": product["id"],
            "subscription_id": None,
            "checkout_id": None,
            "metadata": {},
            "customer": self.customer(),
            "product": product,
            **changes,
        }

    def grant(self, benefit: Json, number: int = 1, **changes: Any) -> Json:
        return {
            "id": identifier("grant", self.id, number),
            "created_at": self.at(),
            "modified_at": None,
            "granted_at": self.at(),
            "is_granted": True,
            "revoked_at": None,
            "is_revoked": False,
            "subscription_id": None,
            "order_id": None,
            "customer_id": self.id,
            "member_id": None,
            "benefit_id": benefit["id"],
            "error": None,
            "customer": self.customer(),
            "member": None,
            "benefit": benefit,
            "properties": {},
            **changes,
        }
