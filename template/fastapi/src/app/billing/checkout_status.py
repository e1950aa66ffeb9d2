"""How a checkout stands: from our own tables, and from Polar while the answer can still change."""

import logging
import re
from typing import Literal, Protocol

from pydantic import BaseModel, Field

from app.auth.user import User
from app.billing import records
from app.billing.access import access_of
from app.billing.context import Billing
from app.billing.errors import BillingError
from app.billing.log import log_line
from app.billing.polar import PolarApi, PolarApiError
from app.billing.rate_limit import may_poll
from app.billing.read import Json
from app.database import Database

ASK_POLAR_EVERY_US = 2_000_000
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")

State = Literal["pending", "confirmed", "succeeded", "failed", "expired"]

# Polar's statuses and ours. One that is not listed may still change.
STATES: dict[str, State] = {
    "open": "pending",
    "confirmed": "confirmed",
    "succeeded": "succeeded",
    "failed": "failed",
    "expired": "expired",
}
FINAL = {"succeeded", "failed", "expired"}


class CheckoutStateOut(BaseModel):
    """How a checkout stands, and whether the user has access by now."""

    state: State = Field(examples=["succeeded"], description="`succeeded` only with the purchase: then it is here.")
    access: bool = Field(examples=[True])


class CheckoutReader(Protocol):
    """What is asked about a checkout."""

    def checkout(self, checkout_id: str) -> Json:
        """Return a checkout as Polar has it."""


def checkout_state(billing: Billing, user: User, checkout_id: str, now: int, *, ask: bool = True) -> CheckoutStateOut:
    """Return how the user's checkout stands; Polar is asked only while that can change, and not too often.

    It is `succeeded` only with the purchase: until that has come, what was paid is `confirmed`.
    """
    if UUID.fullmatch(checkout_id) is None:
        raise BillingError("not_found")
    status, bought = _own(billing, user, checkout_id)
    if (
        ask
        and status not in FINAL
        and billing.polar is not None
        and _asked(billing, billing.polar, user, checkout_id, now)
    ):
        status, bought = _own(billing, user, checkout_id)
    access = access_of(billing.database, user.id, now, billing.catalog).access
    state = STATES.get(status, "pending")
    if state == "succeeded" and not access and not bought:
        state = "confirmed"
    return CheckoutStateOut(state=state, access=access)


def ask_open_checkouts(db: Database, polar: CheckoutReader, now: int, limit: int) -> int:
    """Ask Polar about own checkouts that nobody polls, a few times each; return how many were asked about.

    Their events may be lost, and nothing else finds a buyer whose customer is unknown here. If Polar fails, what was
    due stays due.
    """
    with db.read() as connection:
        due = records.checkouts_to_ask(connection, now, limit)
    for count, (checkout_id, asked_us) in enumerate(due):
        with db.write() as connection:
            claim = records.claim_checkout(connection, checkout_id, now, asked_us)
        if claim is None:
            continue
        try:
            _adopt(db, polar.checkout(checkout_id), checkout_id, claim, now)
        except PolarApiError as error:
            log_line("checkout_status", level=logging.WARNING, status=error.status, error=error.error)
            if not _is_about_it(error):
                with db.write() as connection:
                    records.give_checkout_back(connection, checkout_id, now, asked_us)
                return count
    return len(due)


def _own(billing: Billing, user: User, checkout_id: str) -> tuple[str, bool]:
    with billing.database.read() as connection:
        found = records.checkout_of(connection, checkout_id, user.id)
    if found is None:
        raise BillingError("not_found")
    return found


def _asked(billing: Billing, polar: PolarApi, user: User, checkout_id: str, now: int) -> bool:
    """Ask Polar, unless someone did a moment ago or too often. When Polar fails, what we know stands."""
    db = billing.database
    with db.write() as connection:
        claim = records.claim_checkout(connection, checkout_id, now, now - ASK_POLAR_EVERY_US)
        may_ask = claim is not None and may_poll(connection, billing, user, now)
    if claim is None or not may_ask:
        return False
    try:
        _adopt(db, polar.checkout(checkout_id), checkout_id, claim, now)
    except PolarApiError as error:
        log_line("checkout_status", level=logging.WARNING, status=error.status, error=error.error)
    return True


def _adopt(db: Database, answer: Json, checkout_id: str, claim: tuple[str, int], now: int) -> None:
    """Keep what Polar answered, and have the customer reconciled whose purchase has not come."""
    status = answer.get("status")
    if not isinstance(status, str) or status not in STATES:
        return
    with db.write() as connection:
        records.move_checkout(connection, checkout_id, claim, status)
        if status == "succeeded":
            records.reconcile_if_missing(connection, checkout_id, answer.get("customer_id"), now)


def _is_about_it(error: PolarApiError) -> bool:
    """Say whether a failure is about this checkout: then the next one is asked about."""
    return 400 <= error.status < 500 and error.status not in {401, 403, 429}
