"""Headers of every answer: pages of allowed origins may read it, and no cache keeps what depends on the user."""

from dataclasses import replace

import pytest
from anyio.from_thread import BlockingPortal
from fastapi import Request
from fastapi.testclient import TestClient

from app.auth.user import User
from app.billing.choices import PREMIUM_PATH
from app.database import Database
from tests.support.app import APP_URL, Shop, a_shop, app_with
from tests.support.polar_api import PolarStandIn

PAGE = "https://www.example.com"


@pytest.fixture
def shop(database: Database, polar: PolarStandIn, event_loop: BlockingPortal) -> Shop:
    return a_shop(database, polar, event_loop, ALLOWED_ORIGINS=PAGE)


def broken(request: Request) -> User:
    raise RuntimeError(f"broken {request.url.path}")


def test_an_unexpected_error_can_be_read_by_a_page(shop: Shop) -> None:
    app = app_with(replace(shop.billing, authenticate=broken))
    client = TestClient(app, raise_server_exceptions=False, base_url=APP_URL)
    answer = client.get("/billing/access", headers={"Origin": PAGE})
    assert (answer.status_code, answer.json()["error"]) == (500, "internal")
    assert answer.headers["Access-Control-Allow-Origin"] == PAGE
    assert answer.headers["Cache-Control"] == "no-store"
    assert "broken" not in answer.text


@pytest.mark.parametrize("user", ["user_1", None])
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/billing/access"),
        ("GET", "/billing/account"),
        ("GET", "/billing/checkout/unknown"),
        ("POST", "/billing/checkout"),
        ("POST", "/billing/portal"),
        ("DELETE", "/billing/access"),
        ("DELETE", "/billing/plans"),
        ("GET", "/billing/unknown"),
        ("GET", f"{PREMIUM_PATH}/hello"),
        ("GET", f"{PREMIUM_PATH}/unknown"),
    ],
)
def test_what_depends_on_the_user_is_kept_by_no_cache(shop: Shop, method: str, path: str, user: str | None) -> None:
    headers = {} if user is None else {"x-test-user": f'{{"id": "{user}"}}'}
    answer = shop.client.request(method, path, headers=headers)
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_plans_may_be_kept(shop: Shop) -> None:
    answer = shop.get("/billing/plans")
    assert "Cache-Control" not in answer.headers
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
