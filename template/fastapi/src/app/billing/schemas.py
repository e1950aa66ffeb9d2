"""The JSON of the answers. Instants are `YYYY-MM-DDTHH:MM:SS.ffffffZ`, amounts are minor units (cents)."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from app.billing.errors import ERRORS

INSTANT = "2026-01-31T12:00:00.000000Z"
PRODUCT_ID = "6f1f6d0a-2f5e-4f0e-8a55-0f6d6f1b2c3d"


class ErrorOut(BaseModel):
    """Any error; `upgrade_url` only on premium routes."""

    error: str
    message: str
    upgrade_url: str | None = None


class ReceivedOut(BaseModel):
    """Stored: Polar need not send it again."""

    received: Literal[True] = True


class HealthOut(BaseModel):
    """All is well."""

    status: Literal["ok"] = "ok"


class HeldProductOut(BaseModel):
    """A product that the user has now."""

    key: str
    id: str
    source: Literal["subscription", "order"]
    until: str | None


class HeldBenefitOut(BaseModel):
    """A benefit that the user has now; `key` is null for benefits outside the catalogue."""

    key: str | None
    id: str


class AccessOut(BaseModel):
    """Whether the user has access, why, and until when."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "access": True,
                "reason": "active",
                "until": INSTANT,
                "products": [{"key": "pro_monthly", "id": PRODUCT_ID, "source": "subscription", "until": INSTANT}],
                "benefits": [],
            }
        }
    )

    access: bool
    reason: str
    until: str | None
    products: list[HeldProductOut]
    benefits: list[HeldBenefitOut]


class CustomerOut(BaseModel):
    """The user's customer at Polar."""

    id: str = Field(examples=["9a7d1c2e-3b4f-4c5d-8e6f-7a8b9c0d1e2f"])
    external_id: str | None = Field(examples=["user_1"])
    email: str | None = Field(examples=["ann@example.com"])
    name: str | None = Field(examples=["Ann"])


class SubscriptionOut(BaseModel):
    """A subscription; `key` is null for products outside the catalogue."""

    id: str = Field(examples=["b3a1f0a4-52a4-4a53-9d5b-5a2a1a0c7e11"])
    product_id: str | None = Field(examples=[PRODUCT_ID])
    key: str | None = Field(examples=["pro_monthly"])
    status: str = Field(examples=["active"])
    amount: int | None = Field(examples=[1900])
    currency: str | None = Field(examples=["usd"])
    recurring_interval: str | None = Field(examples=["month"])
    recurring_interval_count: int | None = Field(examples=[1])
    current_period_start: str | None = Field(examples=[INSTANT])
    current_period_end: str | None = Field(examples=[INSTANT])
    trial_end: str | None = Field(examples=[None])
    cancel_at_period_end: bool = Field(examples=[False])
    canceled_at: str | None = Field(examples=[None])
    started_at: str | None = Field(examples=[INSTANT])
    ends_at: str | None = Field(examples=[None])
    ended_at: str | None = Field(examples=[None])
    past_due_at: str | None = Field(examples=[None])
    pause_at_period_end: bool = Field(examples=[False])
    resumes_at: str | None = Field(examples=[None])
    seats: int | None = Field(examples=[None])
    pending_product_id: str | None = Field(examples=[None])


class OrderOut(BaseModel):
    """An order; its amount is negative when money was credited."""

    id: str = Field(examples=["5d0e7c1f-7f0a-4a4f-8d53-3a1b2c4d5e6f"])
    product_id: str | None = Field(examples=[PRODUCT_ID])
    key: str | None = Field(examples=["pro_monthly"])
    status: str = Field(examples=["paid"])
    amount: int | None = Field(examples=[1900])
    refunded_amount: int = Field(examples=[0])
    currency: str | None = Field(examples=["usd"])
    billing_reason: str | None = Field(examples=["subscription_create"])
    subscription_id: str | None = Field(examples=["b3a1f0a4-52a4-4a53-9d5b-5a2a1a0c7e11"])
    created_at: str | None = Field(examples=[INSTANT])


class AccountOut(BaseModel):
    """Everything that billing knows about the user; newest first."""

    access: AccessOut
    customer: CustomerOut | None
    subscriptions: list[SubscriptionOut]
    orders: list[OrderOut]


def errors(*codes: str) -> dict[int | str, dict[str, Any]]:
    """Describe the errors that a route can answer."""
    described: dict[int | str, dict[str, Any]] = {"default": {"model": ErrorOut, "description": "Any other error."}}
    for code in codes:
        kind = ERRORS[code]
        entry = described.setdefault(kind.status, {"model": ErrorOut, "description": kind.message, "content": {}})
        json = entry["content"].setdefault("application/json", {"examples": {}})
        json["examples"][code] = {"value": {"error": code, "message": kind.message}}
    return described
