"""The premium routes: for users with access, by the products of this project."""

from collections.abc import Callable

import pytest

from app.billing import tables
from app.billing.catalog import catalog as own_catalog
from app.billing.catalog_types import Product
from app.billing.choices import PREMIUM_PATH
from tests.support.app import APP_URL, DAY, NOW, Shop, error_of

HELLO = f"{PREMIUM_PATH}/hello"
PREMIUM = [product for product in own_catalog.products if product.premium]
OTHER = [product for product in own_catalog.products if not product.premium]


@pytest.fixture
def shop(open_shop: Callable[..., Shop]) -> Shop:
    return open_shop(catalog=own_catalog)


def hold(shop: Shop, product_id: str, recurring: bool) -> None:
    """Give user_1 a product, as its events would have."""
    customer_id = shop.known_customer()
    row = {"id": "purchase", "customer_id": customer_id, "product_id": product_id, "created_us": NOW, "amount": 1900}
    if recurring:
        shop.insert(tables.subscriptions, **row, status="active", current_period_end_us=NOW + DAY)
    else:
        shop.insert(tables.orders, **row, status="paid", billing_reason="purchase")


@pytest.mark.parametrize("product", PREMIUM, ids=lambda product: product.key)
def test_a_premium_product_opens_them(shop: Shop, product: Product) -> None:
    hold(shop, product.id, product.recurring)

    answer = shop.get(HELLO)
    assert (answer.status_code, answer.json()) == (200, {"message": "Hello user_1, thank you for subscribing."})
    access = shop.get("/billing/access").json()
    assert access["access"] is True
    assert [held["key"] for held in access["products"]] == [product.key]


def test_who_has_nothing_is_shown_where_to_buy(shop: Shop) -> None:
    answer = shop.get(HELLO)

    assert error_of(answer) == (403, "no_access")
    assert answer.json()["upgrade_url"] == f"{APP_URL}/pricing"


def test_who_is_not_signed_in_is_shown_where_to_buy(shop: Shop) -> None:
    answer = shop.get(HELLO, user=None)

    assert error_of(answer) == (401, "unauthorized")
    assert answer.json()["upgrade_url"] == f"{APP_URL}/pricing"
    assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("product_id", ["not-in-the-catalogue", *(product.id for product in OTHER)])
def test_other_products_do_not_open_them(shop: Shop, product_id: str) -> None:
    hold(shop, product_id, recurring=True)

    assert error_of(shop.get(HELLO)) == (403, "no_access")


def test_another_users_purchase_does_not_open_them(shop: Shop) -> None:
    hold(shop, PREMIUM[0].id, PREMIUM[0].recurring)

    assert error_of(shop.get(HELLO, user="user_2")) == (403, "no_access")


@pytest.mark.parametrize("path", [PREMIUM_PATH, f"{PREMIUM_PATH}/", f"{PREMIUM_PATH}/nothing", f"{HELLO}/more"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_only_users_with_access_learn_what_is_not_there(shop: Shop, method: str, path: str) -> None:
    signed_in = {"x-test-user": '{"id": "user_1"}'}
    stranger, user = shop.client.request(method, path), shop.client.request(method, path, headers=signed_in)
    assert (error_of(stranger), error_of(user)) == ((401, "unauthorized"), (403, "no_access"))
    assert {stranger.json()["upgrade_url"], user.json()["upgrade_url"]} == {f"{APP_URL}/pricing"}

    hold(shop, PREMIUM[0].id, PREMIUM[0].recurring)
    assert error_of(shop.client.request(method, path, headers=signed_in)) == (404, "not_found")
