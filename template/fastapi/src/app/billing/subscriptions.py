"""Changing, cancelling and keeping a subscription: the user's own and live ones only."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Depends
from pydantic import Field

from app.auth.user import User
from app.billing import repository
from app.billing.account import live_subscriptions
from app.billing.catalog_types import Catalog, Product
from app.billing.checkout import refuse_blocked
from app.billing.choices import PRORATION
from app.billing.context import Billing, BillingDep, CurrentUser, Now
from app.billing.errors import BillingError
from app.billing.json_body import Body, documented, json_body
from app.billing.log import log_line
from app.billing.plans import is_free_subscription, is_purchasable
from app.billing.polar import PolarApi, PolarApiError
from app.billing.projections import Row, subscription_row
from app.billing.rate_limit import polar_for
from app.billing.read import Json, Unreadable
from app.billing.reconcile import PolarGone
from app.billing.repository import AnyRow
from app.billing.schemas import SubscriptionOut, errors
from app.billing.shapes import subscription_shape
from app.billing.waiting import room


class SubscriptionBody(Body):
    """Which subscription."""

    subscription: str = Field(min_length=1, max_length=100, description="Id of one of the user's live subscriptions.")


class ChangeBody(SubscriptionBody):
    """Which subscription, and what it becomes."""

    product: str = Field(min_length=1, max_length=100, description="Key of the new product, from /billing/plans.")


@dataclass(frozen=True)
class Action:
    """What Polar is asked for, and how a subscription shows that it was done."""

    changes: Mapping[str, Any]
    is_done: Callable[[Row], bool]


# What a user may do with a subscription beside changing the plan; Polar says in which state.
ACTIONS = {
    "cancel": Action({"cancel_at_period_end": True}, lambda row: bool(row["cancel_at_period_end"])),
    "uncancel": Action(
        {"cancel_at_period_end": False}, lambda row: not row["cancel_at_period_end"] and row["ended_us"] is None
    ),
    "resume": Action({"resume": True}, lambda row: row["status"] in {"active", "trialing"}),
    "revoke": Action({"revoke": True}, lambda row: row["ended_us"] is not None),
}
GIVEN = (
    "This plan costs money: end the subscription with POST /billing/subscription/revoke, "
    "then buy with POST /billing/checkout."
)


def change(billing: Billing, user: User, body: ChangeBody, now: int) -> SubscriptionOut:
    """Move the user's own live subscription to another plan.

    Polar's API asks for no card: it would start a paid plan that nobody pays for. So the way from a free plan to one
    that costs money is the checkout.
    """
    plan = _plan(billing.catalog, body.product)
    polar = polar_for(billing, user, "subscription")
    refuse_blocked(billing, user)
    held = _own_live_subscription(billing, user, body)
    if not plan.free and is_free_subscription(held, billing.catalog):
        known = billing.catalog.product_by_id(held.product_id)
        raise BillingError("checkout_required", None if known is None or known.free else GIVEN)
    changes = {"product_id": plan.id, "proration_behavior": PRORATION}
    action = Action(changes, lambda row: plan.id in {row["product_id"], row["pending_product_id"]})
    return _send(billing, polar, held, action, now)


def act(billing: Billing, user: User, body: SubscriptionBody, action: Action, now: int) -> SubscriptionOut:
    """Do something else with the user's own live subscription."""
    polar = polar_for(billing, user, "subscription")
    if action is ACTIONS["resume"]:
        refuse_blocked(billing, user)
    return _send(billing, polar, _own_live_subscription(billing, user, body), action, now)


def _plan(catalog: Catalog, key: str) -> Product:
    """Return the plan to change to: one that is for sale."""
    product = catalog.product_by_key(key)
    if product is None:
        raise BillingError("not_found", "There is no such product.")
    if not is_purchasable(product) or not product.recurring:
        raise BillingError("invalid_body", "product: not a plan to change to.")
    return product


def _own_live_subscription(billing: Billing, user: User, body: SubscriptionBody) -> AnyRow:
    for row in live_subscriptions(billing.database, user.id):
        if row.id == body.subscription:
            return row
    raise BillingError("not_found", "There is no such subscription.")


def _send(billing: Billing, polar: PolarApi, held: AnyRow, action: Action, now: int) -> SubscriptionOut:
    """Ask Polar, and keep the answer as if it was reconciled: any event is newer, and runs the reactions."""
    row = _answer(polar, held, action)
    if any(held._mapping[name] != value for name, value in row.items()):
        with billing.database.write() as connection:
            repository.write_answer(connection, held, row, now)
    return SubscriptionOut.model_validate(subscription_shape(row, billing.catalog))


def _answer(polar: PolarApi, held: AnyRow, action: Action) -> Row:
    try:
        return _read(polar.update_subscription(held.id, action.changes), held.id)
    except (PolarApiError, Unreadable) as error:
        if not _may_have_happened(error):
            raise _refused(error) from error
        row = _look_after(polar, held.id, error)
        if row is not None and action.is_done(row) and not action.is_done(dict(held._mapping)):
            return row
        if isinstance(error, PolarApiError) and error.status == 0:
            raise BillingError("unconfirmed") from error  # Polar may still be charging the card
        raise BillingError("polar_error") from error


def _may_have_happened(error: PolarApiError | Unreadable) -> bool:
    """No answer, one that cannot be read, or a server error, which a proxy may have made: Polar may have done it."""
    return isinstance(error, Unreadable) or error.status < 300 or error.status >= 500


def _look_after(polar: PolarApi, subscription_id: str, before: Exception) -> Row | None:
    """Return how the subscription stands now; None where Polar does not say that either."""
    log_line("subscription_unconfirmed", level=logging.WARNING, subscription_id=subscription_id, error=str(before))
    try:
        return _read(polar.subscription(subscription_id), subscription_id)
    except (PolarApiError, Unreadable):
        return None


def _read(answer: Json, subscription_id: str) -> Row:
    row = subscription_row(answer)
    if row["id"] != subscription_id:
        raise Unreadable("another subscription")
    return row


def _refused(error: PolarApiError | Unreadable) -> Exception:
    """Say why Polar does not do it: the card, or the subscription's state. Any other failure stays what it is."""
    if isinstance(error, Unreadable):
        return BillingError("polar_error")
    if error.status == 402:
        return BillingError("payment_failed")
    if isinstance(error, PolarGone):
        return BillingError("not_found", "There is no such subscription.")
    return BillingError("subscription_state") if _is_of_state(error.status, error.error) else error


def _is_of_state(status: int, name: str) -> bool:
    """Say whether a refusal is about the state.

    `AlreadyCanceledSubscription` (403), `NotPausedSubscription` (409), `BadRequest` (400, to keep what does not end),
    `ResourceUnavailable` (410, over), and whatever does not validate. Errors of the token, such as
    `insufficient_scope` (403), have no name of a class.
    """
    if status in {409, 422}:
        return True
    if status == 403:
        return "Subscription" in name
    return status in {400, 410, 423} and name[:1].isupper()


OneSubscription = Annotated[SubscriptionBody, Depends(json_body(SubscriptionBody))]

router = APIRouter(prefix="/billing/subscription", tags=["billing"])
RESPONSES = errors(
    "invalid_body",
    "unauthorized",
    "payment_failed",
    "blocked",
    "not_found",
    "checkout_required",
    "subscription_state",
    "body_too_large",
    "rate_limited",
    "polar_error",
    "unavailable",
    "demo_catalogue",
    "unconfirmed",
)
EXAMPLE_ID = "b3a1f0a4-52a4-4a53-9d5b-5a2a1a0c7e11"


@router.post(
    "/change",
    summary="Change the plan",
    responses=RESPONSES,
    openapi_extra=documented(ChangeBody, {"subscription": EXAMPLE_ID, "product": "pro_yearly"}),
)
async def change_route(
    billing: BillingDep, user: CurrentUser, body: Annotated[ChangeBody, Depends(json_body(ChangeBody))], now: Now
) -> SubscriptionOut:
    """Move one of the user's subscriptions to another product."""
    return await room.wait(user.id, partial(change, billing, user, body, now))


def _add_action(name: str, summary: str, description: str) -> None:
    @router.post(
        f"/{name}",
        name=f"{name}_route",
        summary=summary,
        description=description,
        responses=RESPONSES,
        openapi_extra=documented(SubscriptionBody, {"subscription": EXAMPLE_ID}),
    )
    async def action_route(billing: BillingDep, user: CurrentUser, body: OneSubscription, now: Now) -> SubscriptionOut:
        return await room.wait(user.id, partial(act, billing, user, body, ACTIONS[name], now))


_add_action("cancel", "Cancel at the end of the period", "Let one of the user's subscriptions end with its period.")
_add_action("uncancel", "Take a cancellation back", "Keep one of the user's subscriptions that was to end.")
_add_action("resume", "Resume what is paused", "Let one of the user's paused subscriptions go on, from now.")
_add_action("revoke", "End at once", "End one of the user's subscriptions now, with its access.")
