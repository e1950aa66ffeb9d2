"""Changing, cancelling and keeping a subscription: the user's own and live ones only."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends
from pydantic import Field

from app.auth.user import User
from app.billing.account import live_subscriptions, subscription_json
from app.billing.catalog_types import Catalog, Product
from app.billing.choices import PRORATION
from app.billing.context import Billing, BillingDep, CurrentUser
from app.billing.errors import BillingError
from app.billing.json_body import Body, documented, json_body
from app.billing.plans import is_free_subscription, is_purchasable
from app.billing.polar import PolarApi, PolarApiError
from app.billing.read import Unreadable
from app.billing.reconcile import PolarGone
from app.billing.repository import AnyRow
from app.billing.schemas import SubscriptionOut, errors


class SubscriptionBody(Body):
    """Which subscription."""

    subscription: str = Field(min_length=1, max_length=100, description="Id of one of the user's live subscriptions.")


class ChangeBody(SubscriptionBody):
    """Which subscription, and what it becomes."""

    product: str = Field(min_length=1, max_length=100, description="Key of the new product, from /billing/plans.")


def change(billing: Billing, user: User, body: ChangeBody) -> SubscriptionOut:
    """Move the user's own live subscription to another plan.

    Polar's API asks for no card: it would start a paid plan that nobody pays for. So the way from a free plan to one
    that costs money is the checkout.
    """
    plan = _plan(billing.catalog, body.product)
    polar = billing.connected_polar()
    held = _own_live_subscription(billing, user, body)
    if not plan.free and is_free_subscription(held.product_id, held.amount, billing.catalog):
        raise BillingError("checkout_required")
    return _send(billing, polar, held.id, {"product_id": plan.id, "proration_behavior": PRORATION})


def cancel(billing: Billing, user: User, body: SubscriptionBody) -> SubscriptionOut:
    """Let the subscription end with its current period."""
    return _update(billing, user, body, {"cancel_at_period_end": True})


def uncancel(billing: Billing, user: User, body: SubscriptionBody) -> SubscriptionOut:
    """Keep a subscription that was to end."""
    return _update(billing, user, body, {"cancel_at_period_end": False})


def _plan(catalog: Catalog, key: str) -> Product:
    """Return the plan to change to: one that is for sale."""
    product = catalog.product_by_key(key)
    if product is None:
        raise BillingError("not_found", "There is no such product.")
    if not is_purchasable(product) or not product.recurring:
        raise BillingError("invalid_body", "product: not a plan to change to")
    return product


def _update(billing: Billing, user: User, body: SubscriptionBody, changes: dict[str, Any]) -> SubscriptionOut:
    polar = billing.connected_polar()
    return _send(billing, polar, _own_live_subscription(billing, user, body).id, changes)


def _own_live_subscription(billing: Billing, user: User, body: SubscriptionBody) -> AnyRow:
    for row in live_subscriptions(billing.database, user.id):
        if row.id == body.subscription:
            return row
    raise BillingError("not_found", "There is no such subscription.")


def _send(billing: Billing, polar: PolarApi, subscription_id: str, changes: dict[str, Any]) -> SubscriptionOut:
    try:
        answer = polar.update_subscription(subscription_id, changes)
        return SubscriptionOut.model_validate(subscription_json(billing.catalog, answer))
    except PolarApiError as error:
        raise _refused(error) from error
    except Unreadable as error:
        raise BillingError("polar_error") from error


def _refused(error: PolarApiError) -> Exception:
    """Say why Polar does not do it: the card, or the subscription's state. Any other failure stays what it is."""
    if error.status == 402:
        return BillingError("payment_failed")
    if isinstance(error, PolarGone):
        return BillingError("not_found", "There is no such subscription.")
    # 403 is also what a token without the scope gets; that is no matter of the subscription.
    if error.status in {409, 422} or (error.status == 403 and "Subscription" in error.error):
        return BillingError("subscription_state")
    return error


OneSubscription = Annotated[SubscriptionBody, Depends(json_body(SubscriptionBody))]

router = APIRouter(prefix="/billing/subscription", tags=["billing"])
RESPONSES = errors(
    "invalid_body",
    "unauthorized",
    "payment_failed",
    "not_found",
    "checkout_required",
    "subscription_state",
    "body_too_large",
    "polar_error",
    "unavailable",
    "demo_catalogue",
)
EXAMPLE_ID = "b3a1f0a4-52a4-4a53-9d5b-5a2a1a0c7e11"


@router.post(
    "/change",
    summary="Change the plan",
    responses=RESPONSES,
    openapi_extra=documented(ChangeBody, {"subscription": EXAMPLE_ID, "product": "pro_yearly"}),
)
def change_route(
    billing: BillingDep, user: CurrentUser, body: Annotated[ChangeBody, Depends(json_body(ChangeBody))]
) -> SubscriptionOut:
    """Move one of the user's subscriptions to another product."""
    return change(billing, user, body)


@router.post(
    "/cancel",
    summary="Cancel at the end of the period",
    responses=RESPONSES,
    openapi_extra=documented(SubscriptionBody, {"subscription": EXAMPLE_ID}),
)
def cancel_route(billing: BillingDep, user: CurrentUser, body: OneSubscription) -> SubscriptionOut:
    """Let one of the user's subscriptions end with its current period."""
    return cancel(billing, user, body)


@router.post(
    "/uncancel",
    summary="Take a cancellation back",
    responses=RESPONSES,
    openapi_extra=documented(SubscriptionBody, {"subscription": EXAMPLE_ID}),
)
def uncancel_route(billing: BillingDep, user: CurrentUser, body: OneSubscription) -> SubscriptionOut:
    """Keep one of the user's subscriptions that was to end."""
    return uncancel(billing, user, body)
