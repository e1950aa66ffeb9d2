"""GET /billing/checkout/{id}: whose it is, when Polar is asked, and what becomes of the answer."""

import json
from collections.abc import Callable

import pytest

from app.billing import tables
from app.billing.background import Background, run_background
from app.billing.time import MINUTE
from tests.support.app import FREE, MONTHLY, NOW, SECOND, Shop, error_of
from tests.support.polar_api import Answer

CHECKOUT = "11111111-1111-4111-8111-111111111111"
PATH = f"/billing/checkout/{CHECKOUT}"
ASKED = ("GET", f"/v1/checkouts/{CHECKOUT}")


def open_checkout(shop: Shop, status: str = "open", **fields: object) -> None:
    row = {"user_id": "user_1", "product_id": MONTHLY.id, "created_us": NOW, **fields}
    shop.insert(tables.checkouts, id=CHECKOUT, status=status, **row)


def at_polar(shop: Shop, status: str, **fields: object) -> None:
    body = {"id": CHECKOUT, "status": status, "customer_id": None, **fields}
    shop.polar.answer(*ASKED, Answer(200, json.dumps(body).encode()))


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ("open", "pending"),
        ("confirmed", "confirmed"),
        ("succeeded", "confirmed"),
        ("failed", "failed"),
        ("expired", "expired"),
        ("something_new", "pending"),
    ],
)
def test_the_state_is_told(open_shop: Callable[..., Shop], status: str, state: str) -> None:
    shop = open_shop(connected=False)
    open_checkout(shop, status)

    assert shop.get(PATH).json() == {"state": state, "access": False}


@pytest.mark.parametrize(
    "checkout_id",
    ["22222222-2222-4222-8222-222222222222", "nothing", "%00", "%2e%2e", CHECKOUT.replace("-", ""), f"{{{CHECKOUT}}}"],
)
def test_an_unknown_checkout_is_not_found(shop: Shop, checkout_id: str) -> None:
    open_checkout(shop)

    assert error_of(shop.get(f"/billing/checkout/{checkout_id}")) == (404, "not_found")


def test_another_users_checkout_is_not_found(shop: Shop) -> None:
    open_checkout(shop)

    assert error_of(shop.get(PATH, user="user_2")) == (404, "not_found")
    assert error_of(shop.get(PATH, user=None)) == (401, "unauthorized")
    assert not shop.polar.requests


def test_a_checkout_without_an_owner_is_nobodys(shop: Shop) -> None:
    open_checkout(shop, user_id=None)

    assert error_of(shop.get(PATH)) == (404, "not_found")


def test_polar_is_asked_at_most_every_two_seconds(shop: Shop) -> None:
    open_checkout(shop)
    at_polar(shop, "open")

    for _ in range(3):
        assert shop.get(PATH).json()["state"] == "pending"
    assert len(shop.polar.sent(*ASKED)) == 1
    shop.clock.now += 2 * SECOND
    shop.get(PATH)
    assert len(shop.polar.sent(*ASKED)) == 2


@pytest.mark.parametrize("status", ["succeeded", "failed", "expired"])
def test_polar_is_not_asked_about_what_is_over(shop: Shop, status: str) -> None:
    open_checkout(shop, status)

    assert shop.get(PATH).json()["state"] == ("confirmed" if status == "succeeded" else status)
    assert not shop.polar.requests


def test_it_is_succeeded_only_with_the_purchase_whatever_that_gives_or_with_access(shop: Shop) -> None:
    open_checkout(shop, "succeeded")
    bought = shop.subscription(FREE, checkout_id=CHECKOUT)

    assert shop.get(PATH).json() == {"state": "succeeded", "access": False}
    shop.update(tables.subscriptions, bought, checkout_id=None)
    assert shop.get(PATH).json() == {"state": "confirmed", "access": False}
    shop.update(tables.subscriptions, bought, product_id=MONTHLY.id)
    assert shop.get(PATH).json() == {"state": "succeeded", "access": True}


def test_polars_answer_is_kept_and_any_event_is_newer(shop: Shop) -> None:
    open_checkout(shop, version=7)
    at_polar(shop, "confirmed")

    assert shop.get(PATH).json()["state"] == "confirmed"
    (row,) = shop.rows(tables.checkouts)
    assert (row["status"], row["version"]) == ("confirmed", 7)


def test_a_purchase_that_we_have_not_heard_of_is_reconciled(shop: Shop) -> None:
    open_checkout(shop)
    at_polar(shop, "succeeded", customer_id="customer")

    assert shop.get(PATH).json() == {"state": "confirmed", "access": False}
    (row,) = shop.rows(tables.customers)
    assert (row["id"], row["reconcile_us"], row["external_id"]) == ("customer", NOW, None)


def test_a_mark_that_is_there_stays(shop: Shop) -> None:
    shop.insert(tables.customers, id="customer", external_id="user_1", created_us=1, reconcile_us=5)
    open_checkout(shop)
    at_polar(shop, "succeeded", customer_id="customer")

    shop.get(PATH)
    (row,) = shop.rows(tables.customers)
    assert (row["reconcile_us"], row["external_id"], row["created_us"]) == (5, "user_1", 1)


def test_a_purchase_that_has_arrived_is_not_reconciled(shop: Shop) -> None:
    shop.subscription(MONTHLY, checkout_id=CHECKOUT)
    open_checkout(shop)
    at_polar(shop, "succeeded", customer_id=shop.rows(tables.customers)[0]["id"])

    assert shop.get(PATH).json()["state"] == "succeeded"
    assert shop.rows(tables.customers)[0]["reconcile_us"] is None


@pytest.mark.parametrize(
    "answer",
    [
        Answer(500, b"oops"),
        Answer(404, b"{}"),
        Answer(429, b""),
        Answer(200, b"<html>"),
        Answer(200, b'{"status": "?"}'),
    ],
)
def test_when_polar_fails_what_we_know_stands(shop: Shop, answer: Answer) -> None:
    open_checkout(shop, "confirmed")
    shop.polar.answer(*ASKED, answer)

    assert shop.get(PATH).json() == {"state": "confirmed", "access": False}


def background(shop: Shop, minutes: int) -> int:
    """Do the background work so long after the checkout was made; return how often Polar was asked about it."""
    run_background(Background(shop.database, shop.billing.polar, {}), NOW + minutes * MINUTE)
    return len(shop.polar.sent(*ASKED))


def test_one_that_nobody_polls_is_asked_about_a_few_times(shop: Shop) -> None:
    open_checkout(shop)
    at_polar(shop, "open")

    moments = (9, 10, 11, 59, 60, 61, 359, 360, 1499, 1500, 1501, 4000)
    assert [background(shop, minutes) for minutes in moments] == [0, 1, 1, 1, 2, 2, 2, 3, 3, 4, 4, 4]


def test_what_was_bought_unheard_is_found_though_the_buyer_has_no_customer_here(shop: Shop) -> None:
    customer = shop.polar.add_customer("user_1", "ann@example.com")["id"]
    bought = "33333333-3333-4333-8333-333333333333"
    shop.polar.add_subscription(bought, customer, MONTHLY.id, checkout_id=CHECKOUT)
    open_checkout(shop)
    at_polar(shop, "succeeded", customer_id=customer)

    background(shop, 10)
    assert [row["id"] for row in shop.rows(tables.subscriptions)] == [bought]
    assert background(shop, 60) == 1


def test_polar_is_asked_again_when_it_is_back(shop: Shop) -> None:
    open_checkout(shop)
    shop.polar.answer(*ASKED, Answer(503, b"{}"))
    background(shop, 10)
    at_polar(shop, "open")

    assert [background(shop, minutes) for minutes in (11, 12)] == [2, 2]


def test_one_that_polar_does_not_know_stands_in_no_others_way(shop: Shop) -> None:
    open_checkout(shop)
    other = CHECKOUT.replace("1", "2")
    shop.insert(tables.checkouts, id=other, user_id="user_2", status="open", created_us=NOW - SECOND)
    shop.polar.checkouts[other] = {"id": other, "status": "expired"}

    background(shop, 11)
    assert {row["status"] for row in shop.rows(tables.checkouts)} == {"open", "expired"}
