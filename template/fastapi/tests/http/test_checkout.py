"""POST /billing/checkout: what reaches Polar, and what is refused before."""

from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest

from app.billing import tables
from app.billing.catalog_types import Catalog
from tests.support.app import (
    APP_URL,
    CATALOG,
    FREE,
    LIFETIME,
    MONTHLY,
    NOW,
    SECOND,
    SEVERAL_ALLOWED,
    SUPPORTER,
    YEARLY,
    Shop,
    error_of,
)
from tests.support.polar_api import Answer

CHECKOUTS = ("POST", "/v1/checkouts/")
CUSTOMERS = ("POST", "/v1/customers/")
PATH = "/billing/checkout"


def buy(shop: Shop, product: str = "pro_monthly", **options: Any) -> Any:
    claims = {name: options.pop(name) for name in ("user", "email", "name") if name in options}
    return shop.post(PATH, {"product": product, **options}, **claims)


def test_a_checkout_is_made_for_the_signed_in_user_and_remembered(shop: Shop) -> None:
    answer = buy(shop, locale="fr-CA", email="ann@example.com", name="Ann")

    assert answer.status_code == 201
    assert answer.json() == {"id": answer.json()["id"], "url": f"https://polar.test/checkout/{answer.json()['id']}"}
    assert shop.polar.body_of(*CHECKOUTS) == {
        "products": [MONTHLY.id],
        "external_customer_id": "user_1",
        "metadata": {"app_user_id": "user_1"},
        "success_url": f"{APP_URL}/billing/success?checkout_id={{CHECKOUT_ID}}",
        "return_url": APP_URL,
        "locale": "fr-CA",
    }
    (row,) = shop.rows(tables.checkouts)
    assert (row["id"], row["user_id"], row["product_id"]) == (answer.json()["id"], "user_1", MONTHLY.id)
    assert (row["status"], row["version"]) == ("open", 0)


def test_the_customer_is_made_before_the_checkout(shop: Shop) -> None:
    buy(shop, email="ann@example.com", name="Ann")

    assert [(seen.method, seen.path) for seen in shop.polar.requests] == [CUSTOMERS, CHECKOUTS]
    expected = {"external_id": "user_1", "email": "ann@example.com", "name": "Ann"}
    assert shop.polar.body_of(*CUSTOMERS) == expected
    (row,) = shop.rows(tables.customers)
    assert (row["external_id"], row["email"], row["version"]) == ("user_1", "ann@example.com", 0)


def test_a_known_customer_is_not_made_again(shop: Shop) -> None:
    shop.known_customer()

    assert buy(shop, email="ann@example.com").status_code == 201
    assert not shop.polar.sent(*CUSTOMERS)


def test_a_deleted_customer_is_made_again(shop: Shop) -> None:
    shop.insert(tables.customers, id="gone", external_id="user_1", created_us=NOW, deleted_us=NOW)

    assert buy(shop, email="ann@example.com").status_code == 201
    assert shop.polar.sent(*CUSTOMERS)


def test_without_an_email_polar_asks_the_buyer(shop: Shop) -> None:
    assert buy(shop).status_code == 201
    assert not shop.polar.sent(*CUSTOMERS)
    assert shop.polar.body_of(*CHECKOUTS)["metadata"] == {"app_user_id": "user_1"}


def test_a_customer_that_polar_has_already_is_looked_up_and_kept(shop: Shop) -> None:
    """The portal needs its id, and the event that tells it may be long gone."""
    shop.polar.add_customer("user_1", "old@example.com")

    assert buy(shop, email="new@example.com").status_code == 201
    (row,) = shop.rows(tables.customers)
    assert (row["external_id"], row["email"]) == ("user_1", "old@example.com")


def test_what_polar_takes_for_no_email_is_none(shop: Shop) -> None:
    problem = [{"type": "value_error", "loc": ["body", "email"], "msg": "not an address", "input": "ann@"}]
    shop.polar.refuse(*CUSTOMERS, 422, "RequestValidationError", problem)

    assert buy(shop, email="ann@").status_code == 201
    assert shop.polar.body_of(*CHECKOUTS)["metadata"] == {"app_user_id": "user_1"}


def test_an_email_of_somebody_else_is_refused(shop: Shop) -> None:
    shop.polar.add_customer("somebody_else", "ann@example.com")

    assert error_of(buy(shop, email="ann@example.com")) == (409, "customer_unlinked")
    assert not shop.polar.sent(*CHECKOUTS)


@pytest.mark.parametrize("user", ["user/2", "user/2 é+%", "user 2 é+%?#", "..", "{id}"])
def test_any_user_id_is_found_at_polar(shop: Shop, user: str) -> None:
    """The e-mail is refused although the customer is the user's own: two requests at once, or a lost event."""
    shop.polar.add_customer(user, "ann@example.com")
    problem = [{"type": "value_error", "loc": ["body", "email"], "msg": "exists", "input": "ann@example.com"}]
    shop.polar.refuse(*CUSTOMERS, 422, "PolarRequestValidationError", problem)

    assert buy(shop, user=user, email="ann@example.com").status_code == 201
    by_path = [seen.path for seen in shop.polar.requests if seen.path.startswith("/v1/customers/external/")]
    reachable = "/" not in user and user != ".."
    assert by_path == ([f"/v1/customers/external/{quote(user, safe='')}"] if reachable else [])
    assert shop.polar.body_of(*CHECKOUTS)["external_customer_id"] == user


def test_a_similar_id_with_a_slash_is_not_the_user(shop: Shop) -> None:
    shop.polar.add_customer("user/22", "ann@example.com")

    assert error_of(buy(shop, user="user/2", email="ann@example.com")) == (409, "customer_unlinked")


@pytest.mark.parametrize(
    ("path", "landing"),
    [
        ("/thanks", "/thanks?checkout_id={CHECKOUT_ID}"),
        ("/thanks?plan=a", "/thanks?plan=a&checkout_id={CHECKOUT_ID}"),
        ("/thanks?", "/thanks?checkout_id={CHECKOUT_ID}"),
        ("/thanks#top", "/thanks?checkout_id={CHECKOUT_ID}#top"),
        ("/été à", "/%C3%A9t%C3%A9%20%C3%A0?checkout_id={CHECKOUT_ID}"),
        ("/@evil.example", "/@evil.example?checkout_id={CHECKOUT_ID}"),
    ],
)
def test_the_client_may_choose_a_path(shop: Shop, path: str, landing: str) -> None:
    assert buy(shop, path=path).status_code == 201
    assert shop.polar.body_of(*CHECKOUTS)["success_url"] == APP_URL + landing


@pytest.mark.parametrize(
    "path",
    [
        "",
        "thanks",
        "//evil.example",
        "/\\evil.example",
        "\\\\evil.example",
        "https://evil.example",
        ".evil.example",
        "@evil.example",
        ":8080",
        " /x",
        "\t//evil.example",
        "/\t/evil.example",
        "/\n/evil.example",
        "/x\x00",
        "/" + "x" * 512,
        "javascript:alert(1)",
    ],
)
def test_the_client_cannot_send_the_buyer_elsewhere(shop: Shop, path: str) -> None:
    assert error_of(buy(shop, path=path)) == (400, "invalid_body")
    assert not shop.polar.requests


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({}, "product"),
        ({"product": ""}, "product"),
        ({"product": 1}, "product"),
        ({"product": "pro_monthly", "customer_email": "x@example.com"}, "customer_email"),
        ({"product": "pro_monthly", "success_url": "https://evil.example"}, "success_url"),
        ({"product": "pro_monthly", "discount_id": "x", "metadata": {}}, "discount_id"),
        ({"product": "pro_monthly", "locale": "../x"}, "locale"),
        ({"product": "pro_monthly", "amount": 500}, "amount"),
        ({"product": "supporter", "amount": 499}, "amount"),
        ({"product": "supporter", "amount": 10001}, "amount"),
        ({"product": "supporter", "amount": "600"}, "amount"),
        ({"product": "supporter", "amount": 600.5}, "amount"),
        ({"product": "supporter", "amount": True}, "amount"),
        ({"product": "retired"}, "product"),
        ({"product": "team"}, "product"),
        ([], ""),
        ("x", ""),
        (None, ""),
    ],
)
def test_a_wrong_body_is_refused_and_says_where(shop: Shop, body: object, named: str) -> None:
    answer = shop.client.post(PATH, json=body, headers={"x-test-user": '{"id": "user_1"}'})

    assert error_of(answer) == (400, "invalid_body")
    assert named in answer.json()["message"]
    assert not shop.polar.requests


def test_an_unknown_product_is_not_found(shop: Shop) -> None:
    assert error_of(buy(shop, "nothing")) == (404, "not_found")


@pytest.mark.parametrize("amount", [500, 1234, 10000])
def test_the_buyer_chooses_the_amount_where_the_price_allows_it(shop: Shop, amount: int) -> None:
    assert buy(shop, "supporter", amount=amount).status_code == 201
    body = shop.polar.body_of(*CHECKOUTS)
    assert (body["products"], body["amount"]) == ([SUPPORTER.id], amount)


def test_null_is_left_out_and_a_whole_number_may_have_a_point(shop: Shop) -> None:
    assert buy(shop, "supporter", amount=600.0, locale=None, path=None).status_code == 201
    body = shop.polar.body_of(*CHECKOUTS)
    assert (body["amount"], "locale" in body) == (600, False)


def test_a_customer_without_an_id_is_no_customer(shop: Shop) -> None:
    shop.polar.answer(*CUSTOMERS, Answer(201, b'{"email": "ann@example.com"}'))

    assert error_of(buy(shop, email="ann@example.com")) == (502, "polar_error")
    assert not shop.polar.sent(*CHECKOUTS)


def test_a_live_paid_subscription_stands_in_the_way_of_a_second(shop: Shop) -> None:
    shop.subscription(MONTHLY)

    assert error_of(buy(shop, "pro_yearly")) == (409, "has_subscription")
    assert not shop.polar.requests
    assert buy(shop, "lifetime").status_code == 201
    assert buy(shop, "pro_yearly", user="user_2").status_code == 201


def test_a_second_subscription_is_fine_where_the_organization_allows_it(open_shop: Callable[..., Shop]) -> None:
    shop = open_shop(catalog=SEVERAL_ALLOWED)
    shop.subscription(MONTHLY)

    assert buy(shop, "pro_yearly").status_code == 201
    assert "subscription_id" not in shop.polar.body_of(*CHECKOUTS)


@pytest.mark.parametrize("status", ["canceled", "unpaid", "incomplete_expired"])
def test_a_subscription_that_is_over_stands_in_no_way(shop: Shop, status: str) -> None:
    shop.subscription(MONTHLY, status=status)

    assert buy(shop, "pro_yearly").status_code == 201


def test_nobody_buys_a_second_one_beside_a_paused_one(shop: Shop) -> None:
    """Both would run when it resumes."""
    shop.subscription(MONTHLY, status="paused")

    answer = buy(shop, "pro_yearly")
    assert error_of(answer) == (409, "has_subscription")
    assert "resume" in answer.json()["message"]
    assert not shop.polar.requests


def test_what_polar_does_not_upgrade_stands_in_the_way(shop: Shop) -> None:
    """It was free when its last event came."""
    shop.subscription(FREE, amount=0)
    problem = [{"type": "value_error", "loc": ["body", "subscription_id"], "msg": "Only free subscriptions …"}]
    shop.polar.refuse(*CHECKOUTS, 422, "PolarRequestValidationError", problem)

    assert error_of(buy(shop)) == (409, "has_subscription")


@pytest.mark.parametrize(("product", "amount"), [(FREE, 0), ("not-in-the-catalogue", 0)])
def test_a_live_free_subscription_is_upgraded(shop: Shop, product: Any, amount: int) -> None:
    free = shop.subscription(product, amount=amount)

    assert buy(shop, "pro_monthly").status_code == 201
    assert shop.polar.body_of(*CHECKOUTS)["subscription_id"] == free


def test_a_paid_plan_outside_the_catalogue_counts_as_paid(shop: Shop) -> None:
    shop.subscription("not-in-the-catalogue", amount=100)

    assert error_of(buy(shop)) == (409, "has_subscription")


def test_a_one_time_purchase_upgrades_nothing(shop: Shop) -> None:
    shop.subscription(FREE, amount=0)

    assert buy(shop, "lifetime").status_code == 201
    body = shop.polar.body_of(*CHECKOUTS)
    assert (body["products"], body.get("subscription_id")) == ([LIFETIME.id], None)


@pytest.mark.parametrize("catalog", [CATALOG, SEVERAL_ALLOWED], ids=["one", "several"])
def test_the_same_free_plan_is_not_taken_twice(open_shop: Callable[..., Shop], catalog: Catalog) -> None:
    shop = open_shop(catalog=catalog)
    shop.subscription(FREE, amount=0)

    assert error_of(buy(shop, "free")) == (409, "has_subscription")


def test_demo_products_are_not_sold(open_shop: Callable[..., Shop]) -> None:
    shop = open_shop(connected=False)

    assert error_of(buy(shop)) == (503, "demo_catalogue")
    assert error_of(buy(shop, "nothing")) == (404, "not_found")


def test_ten_checkouts_a_minute_and_user(shop: Shop) -> None:
    assert [buy(shop).status_code for _ in range(10)] == [201] * 10

    refused = buy(shop)
    assert error_of(refused) == (429, "rate_limited")
    assert refused.headers["retry-after"] == "60"
    assert buy(shop, user="user_2").status_code == 201
    shop.clock.now += 60 * SECOND
    assert buy(shop).status_code == 201


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (Answer(500, b"oops"), (502, "polar_error")),
        (Answer(422, b'{"error": "PolarRequestValidationError", "detail": []}'), (502, "polar_error")),
        (Answer(401, b'{"error": "invalid_token"}'), (502, "polar_error")),
        (Answer(404, b'{"detail": "Not Found"}'), (502, "polar_error")),
        (Answer(307, b"", {"location": "https://evil.example"}), (502, "polar_error")),
        (Answer(201, b"<html>sorry</html>", {"content-type": "text/html"}), (502, "polar_error")),
        (Answer(201, b"[]"), (502, "polar_error")),
        (Answer(201, b'{"id": 1}'), (502, "polar_error")),
        (Answer(201, b"[" * 100_000), (502, "polar_error")),
        (Answer(429, b"", {"retry-after": "17"}), (503, "unavailable")),
    ],
)
def test_what_polar_answers_badly_is_told_without_details(
    shop: Shop, answer: Answer, expected: tuple[int, str]
) -> None:
    shop.polar.answer(*CHECKOUTS, answer)

    told = buy(shop)
    assert error_of(told) == expected
    assert told.headers.get("retry-after") == answer.headers.get("retry-after")
    assert not shop.rows(tables.checkouts)


def test_a_slow_polar_is_given_up(open_shop: Callable[..., Shop]) -> None:
    shop = open_shop(timeout=0.2)
    shop.polar.answer(*CHECKOUTS, Answer(201, b"{}", delay=1.0))

    assert error_of(buy(shop)) == (502, "polar_error")


def test_the_event_may_come_before_the_answer(shop: Shop) -> None:
    """checkout.created was applied while Polar's answer was on its way: what it knows stays, the owner is added."""
    checkout = {"id": "11111111-1111-4111-8111-111111111111", "url": "https://polar.test/c", "status": "open"}
    shop.polar.answer(*CHECKOUTS, Answer(201, repr(checkout).replace("'", '"').encode()))
    shop.insert(tables.checkouts, id=checkout["id"], status="confirmed", version=5, product_id=YEARLY.id)

    assert buy(shop).status_code == 201
    (row,) = shop.rows(tables.checkouts)
    assert (row["user_id"], row["status"], row["version"]) == ("user_1", "confirmed", 5)


def test_only_users_buy(shop: Shop) -> None:
    """Who is not signed in learns nothing about the body."""
    assert error_of(shop.post(PATH, {"nonsense": 1}, user=None)) == (401, "unauthorized")
