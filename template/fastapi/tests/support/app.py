"""The app under test: a catalogue of its own, a stand-in for Polar, a clock that stands still, and a simple sign-in."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any
from uuid import uuid4

import httpx2
from anyio.from_thread import BlockingPortal
from fastapi import FastAPI, Request
from fastapi.testclient import TestClient
from sqlalchemy import insert, select, update
from sqlalchemy.sql.schema import Table
from starlette.types import ASGIApp, Receive, Scope, Send

from app.auth.user import User
from app.billing import tables
from app.billing.catalog_types import Benefit, Catalog, Organization, Price, Product
from app.billing.context import Billing
from app.billing.dialect import DIALECT
from app.billing.errors import BillingError
from app.billing.polar import PolarApi
from app.database import Database
from app.main import create_app
from app.settings import Settings
from tests.support.polar_api import TOKEN, PolarStandIn

APP_URL = "https://app.example.com"
NOW = 1_769_860_800_000_000  # 2026-01-31T12:00:00Z
SECOND = 1_000_000
DAY = 86_400 * SECOND

ENVIRONMENT = {
    "POLAR_WEBHOOK_SECRET": "whsec_for_tests_only_0123456789abcdef",
    "POLAR_SERVER": "sandbox",
    "POLAR_ACCESS_TOKEN": TOKEN,
    "APP_URL": APP_URL,
}


def a_price(number: int, **fields: Any) -> Price:
    """Return a fixed price of 19 dollars, or what the fields say."""
    usual: dict[str, Any] = {"type": "fixed", "currency": "usd", "amount": 1900}
    empty: dict[str, Any] = {"minimum": None, "maximum": None, "preset": None, "unit_amount": None}
    return Price(id=f"00000000-0000-4000-8000-000000001{number:03}", **{**empty, **usual, **fields})


def a_product(number: int, key: str, interval: str | None, price: Price, **fields: Any) -> Product:
    """Return a product."""
    usual: dict[str, Any] = {
        "name": key.replace("_", " ").title(),
        "description": None,
        "archived": False,
        "trial_interval": None,
        "trial_interval_count": None,
        "premium": True,
        "free": False,
        "benefits": (),
    }
    return Product(
        key=key,
        id=f"00000000-0000-4000-8000-000000000{number:03}",
        recurring=interval is not None,
        interval=interval,
        interval_count=1 if interval else None,
        prices=(price,),
        **{**usual, **fields},
    )


FREE = a_product(10, "free", "month", a_price(10, amount=0), free=True, premium=False)
MONTHLY = a_product(11, "pro_monthly", "month", a_price(11), benefits=("support",))
YEARLY = a_product(12, "pro_yearly", "year", a_price(12, amount=19000))
LIFETIME = a_product(13, "lifetime", None, a_price(13, amount=49900))
SUPPORTER = a_product(14, "supporter", None, a_price(14, type="custom", amount=None, minimum=500, maximum=10000))
RETIRED = a_product(15, "retired", "month", a_price(15), archived=True)
TEAM = a_product(16, "team", "month", a_price(16, type="seat_based", amount=None))
STARTER = a_product(17, "starter", "month", a_price(17, amount=0), free=True, premium=False)
USAGE = a_product(18, "usage", "month", a_price(18, type="metered_unit", amount=None, unit_amount="2.5"))

CATALOG = Catalog(
    server="sandbox",
    organization=Organization(id="org", name="Shop", default_currency="usd", allow_multiple_subscriptions=False),
    products=(FREE, MONTHLY, YEARLY, LIFETIME, SUPPORTER, RETIRED, TEAM, STARTER, USAGE),
    benefits=(Benefit(key="support", id="benefit", type="feature_flag", description="Support", metadata={"level": 1}),),
)
SEVERAL_ALLOWED = replace(CATALOG, organization=replace(CATALOG.organization, allow_multiple_subscriptions=True))


def sign_in(request: Request) -> User:
    """Believe the test's header."""
    claims = request.headers.get("x-test-user")
    if claims is None:
        raise BillingError("unauthorized")
    return User(**json.loads(claims))


class Clock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> int:
        """Return the instant in microseconds."""
        return self.now


@dataclass
class Shop:
    """The app, and what is around it."""

    client: TestClient
    database: Database
    polar: PolarStandIn
    clock: Clock
    billing: Billing

    def get(self, path: str, user: str | None = "user_1", **headers: str) -> httpx2.Response:
        """Ask as a user."""
        return self.client.get(path, headers={**_as(user), **headers})

    def post(self, path: str, body: object = None, user: str | None = "user_1", **claims: str) -> httpx2.Response:
        """Ask for a change as a user."""
        return self.client.post(path, json=body, headers=_as(user, claims))

    def insert(self, table: Table, **row: Any) -> None:
        """Store a row as an event would have."""
        with self.database.write() as connection:
            connection.execute(insert(table).values(row))

    def update(self, table: Table, row_id: str, **row: Any) -> None:
        """Change a row as an event would have."""
        with self.database.write() as connection:
            connection.execute(update(table).where(table.c.id == row_id).values(row))

    def rows(self, table: Table) -> list[Mapping[str, Any]]:
        """Return all rows of a table."""
        with self.database.read() as connection:
            return [dict(row) for row in connection.execute(select(table)).mappings()]

    def known_customer(self, user: str = "user_1") -> str:
        """Store a customer of the user, at Polar and here."""
        customer_id: str = self.polar.add_customer(user, f"{uuid4()}@example.com")["id"]
        self.insert(tables.customers, id=customer_id, external_id=user, created_us=NOW)
        return customer_id

    def subscription(self, product: Product | str, user: str = "user_1", **fields: Any) -> str:
        """Store an active subscription of a new customer of the user, at Polar and here."""
        customer_id, subscription_id = self.known_customer(user), str(uuid4())
        product_id = product if isinstance(product, str) else product.id
        known = {name: fields[name] for name in ("status", "amount", "cancel_at_period_end") if name in fields}
        discount = {"discount": {"basis_points": fields.get("discount_basis_points")}}
        at_polar = fields.get("product_id", product_id)
        self.polar.add_subscription(subscription_id, customer_id, at_polar, **known, **discount)
        usual = {"status": "active", "amount": 1900, "created_us": NOW, "current_period_end_us": NOW + 30 * DAY}
        row = {**usual, "id": subscription_id, "customer_id": customer_id, "product_id": product_id, **fields}
        self.insert(tables.subscriptions, **row)
        return subscription_id


def a_shop(
    database: Database,
    polar: PolarStandIn,
    event_loop: BlockingPortal,
    *,
    catalog: Catalog = CATALOG,
    connected: bool = True,
    timeout: float = 5.0,
    change_timeout: float = 30.0,
    **environment: str,
) -> Shop:
    """Build the app around a database and a stand-in."""
    clock = Clock()
    api = polar_api(polar.url, timeout, change_timeout) if connected else None
    billing = Billing(settings_with(**environment), catalog, database, sign_in, api, clock)
    client = TestClient(app_with(billing), raise_server_exceptions=False, base_url=APP_URL)
    client.portal = event_loop
    return Shop(client, database, polar, clock, billing)


def app_with(billing: Billing) -> ASGIApp:
    """Return the app around a shop of its own.

    Behind it is one app for all tests: what FastAPI prepares when the first request comes takes longer than most tests.
    """
    origins = billing.settings.allowed_origins
    if origins not in _apps:
        _apps[origins] = create_app(billing=billing, background=False)
    app = _apps[origins]

    async def ask(scope: Scope, receive: Receive, send: Send) -> None:
        app.state.billing = billing
        await app(scope, receive, send)

    return ask


_apps: dict[tuple[str, ...], FastAPI] = {}


@cache
def settings_with(**environment: str) -> Settings:
    """Return the settings that an environment gives, read once for all tests."""
    return Settings.model_validate({name.lower(): value for name, value in {**base(), **environment}.items()})


@cache
def polar_api(url: str, timeout: float, change_timeout: float) -> PolarApi:
    """Connect to the stand-in, once for all tests: a client takes longer to make than most tests to run."""
    return PolarApi(TOKEN, environment="sandbox", base_url=url, timeout=timeout, change_timeout=change_timeout)


def base() -> dict[str, str]:
    """Return an environment that is fit to start."""
    signing = {"AUTH_JWT_SECRET": "0123456789abcdefghijklmnopqrstuvwxyz"}
    known = {name.upper() for name in Settings.model_fields}
    extra = {"DATABASE_URL": f"{DIALECT.name}://", **signing}
    return ENVIRONMENT | {name: value for name, value in extra.items() if name in known}


def error_of(response: httpx2.Response) -> tuple[int, str]:
    """Return status and code of an error, which has its form and no more."""
    body = response.json()
    assert set(body) <= {"error", "message", "upgrade_url"}, body
    assert isinstance(body["message"], str)
    assert body["message"]
    return response.status_code, body["error"]


def _as(user: str | None, claims: Mapping[str, str] | None = None) -> dict[str, str]:
    return {} if user is None else {"x-test-user": json.dumps({"id": user, **(claims or {})})}
