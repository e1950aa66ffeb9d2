"""Polar's customer portal: invoices, payment methods, cancelling. For the signed-in user, and nobody else."""

from pydantic import BaseModel, Field

from app.auth.user import User
from app.billing.account import followed_customer, has_purchases
from app.billing.context import Billing
from app.billing.errors import BillingError
from app.billing.json_body import Body
from app.billing.polar import PolarApi, PolarApiError
from app.billing.rate_limit import polar_for
from app.billing.read import Json


class PortalBody(Body):
    """An empty body: the portal is the signed-in user's."""


class PortalOut(BaseModel):
    """The address of the portal; it works for an hour."""

    url: str = Field(examples=["https://polar.sh/shop/portal?customer_session_token=polar_cst_123"])


def open_portal(billing: Billing, user: User) -> PortalOut:
    """Return the address of the user's portal."""
    polar = polar_for(billing, user, "portal")
    customer = followed_customer(billing.database, user.id)
    if customer is None:
        # The buyer typed in the e-mail address of another customer: the purchase lies there.
        raise BillingError("customer_mismatch" if has_purchases(billing.database, user.id) else "no_customer")
    session = _session(polar, customer.id, billing.settings.app_url)
    url = session.get("customer_portal_url")
    if not isinstance(url, str):
        raise BillingError("polar_error")
    return PortalOut(url=url)


def _session(polar: PolarApi, customer_id: str, return_url: str) -> Json:
    try:
        return polar.create_customer_session({"customer_id": customer_id, "return_url": return_url})
    except PolarApiError as error:
        # Deleted at Polar a moment ago, and the event is still on its way.
        if error.status == 422 and "customer_id" in error.locations():
            raise BillingError("no_customer") from error
        raise
