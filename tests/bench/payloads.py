"""Events in full, as the SDK's own types demand them: a renewal of a subscription, and the order for it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable

from tests.catalogues import CATALOGUES
from tests.support.events import Customer, Json, event

CUSTOMERS = 200
PRODUCT = next(product for product in CATALOGUES["shop"]() if product["name"] == "Pro Monthly")
_SUBSCRIPTION: Json = {
    "units": None,
    "customer_cancellation_reason": None,
    "customer_cancellation_comment": None,
    "current_meter_period_start": None,
    "current_meter_period_end": None,
    "discount": None,
}
_ORDER: Json = {
    "billing_reason": "subscription_cycle",
    "billing_name": "A buyer",
    "billing_address": None,
    "invoice_number": "SHOP-0001",
    "is_invoice_generated": False,
    "receipt_number": None,
    "units": None,
    "applied_balance_amount": 0,
    "due_amount": 0,
    "refunded_tax_amount": 0,
    "refundable_amount": 0,
    "refundable_tax_amount": 0,
    "platform_fee_amount": 0,
    "platform_fee_currency": "usd",
    "discount_id": None,
    "discount": None,
    "subscription": None,
    "items": [],
    "description": "A renewal",
}


def bodies(numbers: Iterable[int]) -> list[bytes]:
    """One body for each number: of the same customers over and over, each newer than the one before."""
    now = dt.datetime.now(dt.UTC)
    buyers = [Customer(user(number), now - dt.timedelta(days=1)) for number in range(CUSTOMERS)]
    return [_body(number, buyers[number // 2 % CUSTOMERS], now) for number in numbers]


def user(number: int) -> str:
    """The user that a customer is."""
    return f"user_{number}"


def _body(number: int, buyer: Customer, now: dt.datetime) -> bytes:
    stamp = now + dt.timedelta(microseconds=number)
    common: Json = {"metadata": {"app_user_id": buyer.external_id}}
    subscription = buyer.subscription(PRODUCT, **_SUBSCRIPTION, **common)
    if number % 2 == 0:
        return event("subscription.updated", stamp, subscription)
    order = buyer.order(PRODUCT, number, subscription_id=subscription["id"], **_ORDER, **common)
    return event("order.paid", stamp, order)
