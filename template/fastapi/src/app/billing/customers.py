"""A user's customer at Polar. It is created before the checkout.

Otherwise a checkout in which the buyer types the e-mail address of another customer would land on that other customer.
"""

from app.auth.user import User
from app.billing import records
from app.billing.account import followed_customer
from app.billing.errors import BillingError
from app.billing.polar import PolarApi, PolarApiError
from app.billing.read import Json
from app.billing.reconcile import PolarGone
from app.database import Database

MAX_NAME_LENGTH = 256


def ensure_customer(database: Database, polar: PolarApi, user: User) -> None:
    """Make sure that Polar knows the user, as far as we can: without a verified e-mail address Polar asks the buyer."""
    if user.email is None or followed_customer(database, user.id) is not None:
        return
    customer = _create(polar, user)
    if customer is not None:
        with database.write() as connection:
            records.add_customer(connection, customer, user.id)


def _create(polar: PolarApi, user: User) -> Json | None:
    """Create the customer, or return the one that exists already, or None where Polar has it and does not show it."""
    body = {"external_id": user.id, "email": user.email}
    if user.name:
        body["name"] = user.name[:MAX_NAME_LENGTH]
    try:
        return polar.create_customer(body)
    except PolarApiError as error:
        fields = error.locations() if error.status == 422 else set()
        if not fields & {"external_id", "email"}:
            raise
        existing = _existing(polar, user)
        malformed = error.error == "RequestValidationError"  # no e-mail address at all, rather than somebody else's
        if existing is None and "external_id" not in fields and not malformed:
            raise BillingError("customer_unlinked") from error
        return existing


def _existing(polar: PolarApi, user: User) -> Json | None:
    try:
        return polar.external_customer(user.id)
    except PolarGone:
        return None
