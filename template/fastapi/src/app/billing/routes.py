"""The routes of billing: thin; what they do is in the modules beside."""

from asyncio import get_running_loop
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response
from fastapi.concurrency import run_in_threadpool

from app.billing import inbox
from app.billing.access import access_of
from app.billing.account import account_of
from app.billing.checkout import CheckoutBody, CheckoutOut, create_checkout
from app.billing.checkout_status import CheckoutStateOut, checkout_state
from app.billing.context import BillingDep, ClientIp, CurrentUser, Now, billing_of
from app.billing.errors import BillingError
from app.billing.health import check_health
from app.billing.json_body import documented, json_body, read_bounded
from app.billing.plans import PlansOut, plans_of
from app.billing.portal import PortalBody, PortalOut, open_portal
from app.billing.schemas import INSTANT, AccessOut, AccountOut, HealthOut, ReceivedOut, errors
from app.billing.waiting import NoPlace, room
from app.reactions import reactions

MAX_WEBHOOK_BYTES = 1024 * 1024

SIGNED_EVENT: dict[str, Any] = {
    "parameters": [
        {"name": name, "in": "header", "required": True, "schema": {"type": "string"}, "example": example}
        for name, example in {
            "webhook-id": "5d0e7c1f-7f0a-4a4f-8d53-3a1b2c4d5e6f",
            "webhook-timestamp": "1769860800",
            "webhook-signature": "v1,K5oZfzN95Z9UVu1EsfQmfVNQhnkZ2pj9o9NDN/H/pI4=",
        }.items()
    ],
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {"type": "object"},
                "example": {"type": "order.paid", "timestamp": INSTANT, "data": {"id": "…", "customer_id": "…"}},
            }
        },
    },
}

RECEIVED = ReceivedOut().model_dump_json()

# Their own, and few: a burst of webhooks keeps no other route waiting, and more threads only stand in each other's way.
_webhook_threads = ThreadPoolExecutor(8, thread_name_prefix="webhook")

router = APIRouter()

Checkout = Annotated[CheckoutBody, Depends(json_body(CheckoutBody))]
Portal = Annotated[PortalBody, Depends(json_body(PortalBody, optional=True))]


@router.post(
    "/webhooks/polar",
    status_code=202,
    tags=["webhooks"],
    summary="Receive an event of Polar",
    response_model=ReceivedOut,
    responses=errors("invalid_signature", "body_too_large", "unavailable"),
    openapi_extra=SIGNED_EVENT,
)
@router.post("/webhooks/polar/", status_code=202, include_in_schema=False)
async def polar_webhook(request: Request) -> Response:
    """Verify, store and apply the event, then answer: Polar does not send it again after a 202."""
    if not inbox.may_be_signed(request.headers):
        raise BillingError("invalid_signature", headers={"Connection": "close"})
    body = await read_bounded(request, MAX_WEBHOOK_BYTES)
    # By hand, as the answer below: what FastAPI does for a route takes as long as all of the database's work.
    billing = await billing_of(request)
    secrets = [secret.get_secret_value() for secret in billing.settings.polar_webhook_secret]
    arguments = (billing.database, secrets, request.headers, body, billing.clock(), reactions)
    outcome = await get_running_loop().run_in_executor(_webhook_threads, inbox.receive, *arguments)
    if outcome is inbox.Outcome.REFUSED:
        raise BillingError("invalid_signature")
    if outcome is inbox.Outcome.UNAVAILABLE:
        raise BillingError("unavailable", headers={"Retry-After": "5"})
    return Response(RECEIVED, status_code=202, media_type="application/json")


@router.head("/billing/plans", include_in_schema=False)
@router.get("/billing/plans", tags=["billing"], summary="What is for sale")
async def plans(billing: BillingDep) -> PlansOut:
    """Return the products, with their prices by currency and their benefits."""
    return plans_of(billing.catalog)


@router.post(
    "/billing/checkout",
    status_code=201,
    tags=["billing"],
    summary="Buy a product",
    responses=errors(
        "invalid_body",
        "unauthorized",
        "blocked",
        "not_found",
        "has_subscription",
        "customer_unlinked",
        "body_too_large",
        "rate_limited",
        "polar_error",
        "unavailable",
        "demo_catalogue",
    ),
    openapi_extra=documented(CheckoutBody, {"product": "pro_monthly", "path": "/thanks"}),
)
async def checkout(billing: BillingDep, user: CurrentUser, body: Checkout, ip: ClientIp, now: Now) -> CheckoutOut:
    """Create a checkout at Polar; send the browser to its `url`."""
    return await room.wait(user.id, partial(create_checkout, billing, user, body, ip, now))


@router.get(
    "/billing/checkout/{checkout_id}",
    tags=["billing"],
    summary="How a checkout stands",
    responses=errors("unauthorized", "not_found"),
)
async def checkout_status(billing: BillingDep, user: CurrentUser, checkout_id: str, now: Now) -> CheckoutStateOut:
    """Return the state of one of the user's checkouts; poll it where the buyer lands after paying."""
    state = partial(checkout_state, billing, user, checkout_id, now)
    try:
        return await room.wait(user.id, state)
    except NoPlace:
        return await run_in_threadpool(state, ask=False)


@router.post(
    "/billing/portal",
    status_code=201,
    tags=["billing"],
    summary="Open Polar's customer portal",
    responses=errors(
        "invalid_body",
        "unauthorized",
        "no_customer",
        "customer_mismatch",
        "rate_limited",
        "polar_error",
        "unavailable",
        "demo_catalogue",
    ),
    openapi_extra=documented(PortalBody, {}, optional=True),
)
async def portal(billing: BillingDep, user: CurrentUser, _body: Portal) -> PortalOut:
    """Return the address of the signed-in user's portal: invoices, payment methods, cancelling."""
    return await room.wait(user.id, partial(open_portal, billing, user))


@router.get("/billing/access", tags=["billing"], summary="What the user may use", responses=errors("unauthorized"))
def access(billing: BillingDep, user: CurrentUser, now: Now) -> AccessOut:
    """Return whether the user has access, through which products, and until when."""
    return AccessOut.model_validate(access_of(billing.database, user.id, now, billing.catalog).to_json())


@router.get("/billing/account", tags=["billing"], summary="All of the user's billing", responses=errors("unauthorized"))
def account(billing: BillingDep, user: CurrentUser, now: Now) -> AccountOut:
    """Return access, customer, subscriptions and orders of the user."""
    return AccountOut.model_validate(account_of(billing.database, user.id, now, billing.catalog))


@router.head("/healthz", include_in_schema=False)
@router.get("/healthz", tags=["operations"], summary="Whether the app works", responses=errors("unavailable"))
async def healthz(billing: BillingDep) -> HealthOut:
    """Answer ok when the database is reachable and up to date."""
    await check_health(billing.database)
    return HealthOut()
