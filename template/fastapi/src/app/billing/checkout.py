"""Checkouts: only what the user may choose comes from the client, all else is set here."""

import re
from typing import ClassVar
from urllib.parse import quote, urlsplit

from pydantic import BaseModel, Field, field_validator
from pydantic.config import JsonDict

from app.auth.user import User
from app.billing import records
from app.billing.account import live_subscriptions
from app.billing.catalog_types import Catalog, Price, Product
from app.billing.context import Billing
from app.billing.customers import ensure_customer
from app.billing.errors import BillingError
from app.billing.json_body import Body
from app.billing.plans import is_free_subscription, is_purchasable, is_upgradable
from app.billing.polar import PolarApi, PolarApiError
from app.billing.rate_limit import polar_for
from app.billing.read import Json

DEFAULT_PATH = "/billing/success"
PATH_RULE = "must be a path of this app, such as /thanks."
MAX_AMOUNT = 99_999_999  # the largest that Polar takes, in minor units
AMOUNT: JsonDict = {"minimum": 0, "maximum": MAX_AMOUNT}
MAX_SAFE_INTEGER = 2**53 - 1  # of JSON's numbers, as most clients have them
URL_CHARACTERS = "/?=&%:@!$'()*+,;~-._[]"
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


class CheckoutBody(Body):
    """What the client may choose."""

    rules: ClassVar = {
        "locale": "must be a language tag such as en or fr-CA.",
        "amount": "must be a whole number of minor units.",
        "path": PATH_RULE,
    }
    product: str = Field(min_length=1, max_length=100, description="Key of the product, from /billing/plans.")
    locale: str | None = Field(default=None, pattern=r"^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*$", max_length=35)
    amount: int | None = Field(default=None, description="For pay-what-you-want prices only.", json_schema_extra=AMOUNT)
    path: str | None = Field(default=None, max_length=512, description="Where to land in the app after paying.")

    @field_validator("amount", mode="before")
    @classmethod
    def _whole(cls, value: object) -> object:
        # JSON has one kind of number: 500, 500.0 and 5e2 are the same, and above this not every one exists.
        if isinstance(value, int | float) and abs(value) > MAX_SAFE_INTEGER:
            raise ValueError("not exact")
        return int(value) if isinstance(value, float) and value.is_integer() else value

    @field_validator("path")
    @classmethod
    def _own_path(cls, value: str | None) -> str | None:
        if value is not None and (not re.match(r"/(?![/\\])", value) or CONTROL.search(value)):
            raise ValueError(PATH_RULE)
        return value


class CheckoutOut(BaseModel):
    """A checkout: send the browser to `url`."""

    id: str = Field(examples=["0c3a0b9c-5a0e-4f4e-9a55-6f2d1b7c8e90"])
    url: str = Field(examples=["https://polar.sh/checkout/polar_c_123"])


PAUSED = "There is a paused subscription: resume it with POST /billing/subscription/resume, or end it with /revoke."
GIVEN = (
    "There is a live subscription that costs nothing: end it with POST /billing/subscription/revoke, then buy this one."
)


def create_checkout(billing: Billing, user: User, body: CheckoutBody, ip: str | None, now: int) -> CheckoutOut:
    """Create a checkout for the user."""
    product = _product_to_buy(billing.catalog, body)
    polar = polar_for(billing, user, "checkout")
    refuse_blocked(billing, user)
    upgraded = _free_subscription_to_upgrade(billing, user, product)
    ensure_customer(billing.database, polar, user)
    answer = _create(polar, _request(billing, user, product, body, ip, upgraded))
    checkout = CheckoutOut(id=_text(answer, "id"), url=_text(answer, "url"))
    with billing.database.write() as connection:
        records.add_checkout(connection, answer, user.id, product.id, now)
    return checkout


def refuse_blocked(billing: Billing, user: User) -> None:
    """Answer 403 to a user who is blocked."""
    with billing.database.read() as connection:
        if records.is_blocked(connection, user.id):
            raise BillingError("blocked")


def _product_to_buy(catalog: Catalog, body: CheckoutBody) -> Product:
    product = catalog.product_by_key(body.product)
    if product is None:
        raise BillingError("not_found", "There is no such product.")
    if not is_purchasable(product):
        raise BillingError("invalid_body", "product: not for sale.")
    if body.amount is not None:
        _check_amount(product, body.amount)
    return product


def _check_amount(product: Product, amount: int) -> None:
    """Refuse an amount that no currency of the product allows; which one counts is decided by Polar."""
    custom = [price for price in product.prices if price.type == "custom"]
    if not custom:
        raise BillingError("invalid_body", "amount: only for products whose price the buyer chooses.")
    if not any(_allows(price, amount) for price in custom):
        raise BillingError("invalid_body", "amount: outside the limits of the product.")


def _allows(price: Price, amount: int) -> bool:
    return (price.minimum or 0) <= amount <= (MAX_AMOUNT if price.maximum is None else price.maximum)


def _create(polar: PolarApi, request: dict[str, object]) -> Json:
    try:
        return polar.create_checkout(request)
    except PolarApiError as error:
        # "Only free subscriptions can be upgraded.": it has become a paid one, or costs nothing only by a discount.
        if error.status == 422 and "subscription_id" in error.locations():
            raise BillingError("has_subscription", GIVEN) from error
        raise


def _free_subscription_to_upgrade(billing: Billing, user: User, product: Product) -> str | None:
    """Return the live free subscription that this purchase replaces; refuse a second paid one where one may live.

    Polar would refuse it too, but only at the very end. It would sell one beside a paused one, and both would run when
    that resumes.
    """
    if not product.recurring:
        return None
    several = billing.catalog.organization.allow_multiple_subscriptions
    free = []
    for row in live_subscriptions(billing.database, user.id):
        is_free = is_upgradable(row, billing.catalog)
        if is_free and row.status != "paused" and row.product_id != product.id:
            free.append(row.id)
        elif not several and row.status == "paused":
            raise BillingError("has_subscription", PAUSED)
        elif not several and not is_free and is_free_subscription(row, billing.catalog):
            raise BillingError("has_subscription", GIVEN)
        elif not several or (is_free and row.product_id == product.id):
            raise BillingError("has_subscription")
    return free[0] if free else None


def _request(
    billing: Billing, user: User, product: Product, body: CheckoutBody, ip: str | None, upgraded: str | None
) -> dict[str, object]:
    app_url = billing.settings.app_url
    with billing.database.read() as connection:
        has_had_trial = product.recurring and records.had_trial(connection, user.id)
    optional = {
        "allow_trial": False if has_had_trial else None,
        "customer_ip_address": ip,
        "locale": body.locale,
        "amount": body.amount,
        "subscription_id": upgraded,
    }
    return {
        "products": [product.id],
        "external_customer_id": user.id,
        "metadata": {"app_user_id": user.id},
        "success_url": landing_url(app_url, body.path or DEFAULT_PATH),
        "return_url": app_url,
        **{name: value for name, value in optional.items() if value is not None},
    }


def landing_url(app_url: str, path: str) -> str:
    """Return the address to come back to; Polar puts the checkout's id in."""
    base, hash_mark, fragment = path.partition("#")
    base = base.removesuffix("?")
    query = f"{'&' if '?' in base else '?'}checkout_id={{CHECKOUT_ID}}"
    url = f"{app_url}{quote(base, safe=URL_CHARACTERS)}{query}{hash_mark}{quote(fragment, safe=URL_CHARACTERS)}"
    target, own = urlsplit(url), urlsplit(app_url)
    if (target.scheme, target.netloc) != (own.scheme, own.netloc):
        raise BillingError("invalid_body", f"path: {PATH_RULE}")
    return url


def _text(answer: Json, name: str) -> str:
    value = answer.get(name)
    if not isinstance(value, str) or not value:
        raise BillingError("polar_error")
    return value
