"""Limits per user and of the whole app: all users share what Polar allows us, and one of them must not use it up.

Polar allows 500 requests a minute in production, and 100 in the sandbox. Of these the background takes up to
`reconcile_calls`, half of the rest is for all calls but checkouts, and the other half is for checkouts.
"""

from sqlalchemy import Connection

from app.auth.user import User
from app.billing import records
from app.billing.context import Billing
from app.billing.errors import BillingError
from app.billing.polar import PolarApi
from app.settings import Settings

REQUESTS_PER_MINUTE = 10
POLAR_ALLOWS = {"production": 500, "sandbox": 100}
LEAST_CALLS = 10
APP_KEY = "polar:app"
RETRY = {"Retry-After": "60"}


def polar_for(billing: Billing, user: User, group: str) -> PolarApi:
    """Return Polar's API for one request; every route that calls Polar gets it here.

    Answers 429 when the user made too many of this group, 503 when all users together did.
    """
    polar = billing.connected_polar()
    now = billing.clock()
    with billing.database.write() as connection:
        of_user = records.count_request(connection, f"{group}:{user.id}", now)
        spare = of_user > REQUESTS_PER_MINUTE or group == "checkout" or has_calls_left(connection, billing, now)
    if of_user > REQUESTS_PER_MINUTE:
        raise BillingError("rate_limited", headers=RETRY)
    if not spare:
        raise BillingError("unavailable", headers=RETRY)
    return polar


def may_poll(connection: Connection, billing: Billing, user: User, now: int) -> bool:
    """Count a question about a checkout. Whether Polar may be asked: who polls is answered in any case."""
    of_user = records.count_request(connection, f"polling:{user.id}", now)
    return of_user <= REQUESTS_PER_MINUTE and has_calls_left(connection, billing, now)


def has_calls_left(connection: Connection, billing: Billing, now: int) -> bool:
    """Count a call that is not a checkout, for the whole app in all its processes."""
    return records.count_request(connection, APP_KEY, now) <= app_calls(billing.settings)


def app_calls(settings: Settings) -> int:
    """Return how many calls that are no purchase the whole app may make in a minute."""
    allowed = POLAR_ALLOWS.get(settings.polar_server, POLAR_ALLOWS["sandbox"])
    return max(LEAST_CALLS, (allowed - settings.reconcile_calls) // 2)
