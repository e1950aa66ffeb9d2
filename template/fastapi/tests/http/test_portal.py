"""POST /billing/portal: for the signed-in user, whatever a client says."""

from collections.abc import Callable

import pytest

from app.billing import tables
from tests.support.app import APP_URL, MONTHLY, NOW, SECOND, Shop, error_of
from tests.support.polar_api import Answer

PATH = "/billing/portal"
SESSIONS = ("POST", "/v1/customer-sessions/")


@pytest.mark.parametrize("body", [None, {}])
def test_the_users_own_portal_opens(shop: Shop, body: object) -> None:
    shop.known_customer("user_2")
    customer = shop.known_customer("user_1")

    answer = shop.post(PATH, body)

    assert (answer.status_code, answer.json()) == (201, {"url": "https://polar.test/portal?token=1"})
    assert shop.polar.body_of(*SESSIONS) == {"customer_id": customer, "return_url": APP_URL}


def test_no_body_is_fine_too(shop: Shop) -> None:
    shop.known_customer()

    assert shop.client.post(PATH, headers={"x-test-user": '{"id": "user_1"}'}).status_code == 201


@pytest.mark.parametrize("key", ["customer_id", "external_customer_id", "email", "return_url"])
def test_nobody_is_named_by_the_client(shop: Shop, key: str) -> None:
    shop.known_customer()

    answer = shop.post(PATH, {key: "x"})
    assert error_of(answer) == (400, "invalid_body")
    assert key in answer.json()["message"]
    assert not shop.polar.requests


def test_without_a_customer_there_is_no_portal(shop: Shop) -> None:
    shop.insert(tables.customers, id="gone", external_id="user_1", created_us=NOW, deleted_us=NOW)
    shop.known_customer("user_2")

    assert error_of(shop.post(PATH)) == (409, "no_customer")
    assert error_of(shop.post(PATH, user=None)) == (401, "unauthorized")
    assert not shop.polar.requests


def test_purchases_on_anothers_customer_are_named_and_that_portal_stays_closed(shop: Shop) -> None:
    shop.subscription(MONTHLY, user="user_2", app_user_id="user_1")

    assert error_of(shop.post(PATH)) == (409, "customer_mismatch")
    assert not shop.polar.requests


def test_a_customer_deleted_a_moment_ago_is_none(shop: Shop) -> None:
    shop.known_customer()
    problem = [{"type": "value_error", "loc": ["body", "customer_id"], "msg": "Customer does not exist."}]
    shop.polar.refuse(*SESSIONS, 422, "PolarRequestValidationError", problem)

    assert error_of(shop.post(PATH)) == (409, "no_customer")


def test_the_newest_customer_counts(shop: Shop) -> None:
    shop.insert(tables.customers, id="old", external_id="user_1", created_us=NOW - SECOND)
    newest = shop.known_customer()

    shop.post(PATH)
    assert shop.polar.body_of(*SESSIONS)["customer_id"] == newest


@pytest.mark.parametrize("body", [b"{}", b'{"customer_portal_url": 1}', b"<html>"])
def test_an_unreadable_answer_of_polar(shop: Shop, body: bytes) -> None:
    shop.known_customer()
    shop.polar.answer(*SESSIONS, Answer(201, body))

    assert error_of(shop.post(PATH)) == (502, "polar_error")


def test_demo_products_have_no_portal(open_shop: Callable[..., Shop]) -> None:
    assert error_of(open_shop(connected=False).post(PATH)) == (503, "demo_catalogue")


def test_ten_portals_a_minute_and_user_counted_apart_from_checkouts(shop: Shop) -> None:
    shop.known_customer()
    assert [shop.post(PATH).status_code for _ in range(11)] == [201] * 10 + [429]

    assert shop.post("/billing/checkout", {"product": "lifetime"}).status_code == 201
    shop.clock.now += 60 * SECOND
    assert shop.post(PATH).status_code == 201
