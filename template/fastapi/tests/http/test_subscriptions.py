"""POST /billing/subscription/…: own and live ones only, and what Polar's refusals become."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from app.billing import repository, tables
from app.billing.account import live_subscriptions
from app.billing.choices import PRORATION
from app.billing.reactions import Handlers
from app.billing.reconcile import reconcile_customer
from tests.support.app import FREE, MONTHLY, NOW, USAGE, YEARLY, Shop, error_of
from tests.support.polar_api import Answer

VERBS = ("change", "cancel", "uncancel", "resume", "revoke")
CHANGE, CANCEL, UNCANCEL, RESUME, REVOKE = (f"/billing/subscription/{verb}" for verb in VERBS)
ALL: list[tuple[str, dict[str, Any]]] = [
    (CHANGE, {"product": "pro_yearly"}),
    (CANCEL, {}),
    (UNCANCEL, {}),
    (RESUME, {}),
    (REVOKE, {}),
]


def at_polar(subscription: str) -> tuple[str, str]:
    return "PATCH", f"/v1/subscriptions/{subscription}"


def test_the_plan_changes_with_the_chosen_proration(shop: Shop) -> None:
    subscription = shop.subscription(MONTHLY)

    answer = shop.post(CHANGE, {"subscription": subscription, "product": "pro_yearly"})

    assert answer.status_code == 200
    expected = {"product_id": YEARLY.id, "proration_behavior": PRORATION}
    assert shop.polar.body_of(*at_polar(subscription)) == expected
    told = answer.json()
    assert (told["id"], told["product_id"], told["status"], told["amount"]) == (subscription, YEARLY.id, "active", 1900)
    assert told["current_period_end"] == "2026-02-28T12:00:00.000000Z"


@pytest.mark.parametrize(("path", "ending"), [(CANCEL, True), (UNCANCEL, False)])
def test_cancelling_and_taking_it_back(shop: Shop, path: str, ending: bool) -> None:
    subscription = shop.subscription(MONTHLY, status="trialing", cancel_at_period_end=not ending)

    answer = shop.post(path, {"subscription": subscription})

    assert (answer.status_code, answer.json()["cancel_at_period_end"]) == (200, ending)
    assert shop.polar.body_of(*at_polar(subscription)) == {"cancel_at_period_end": ending}


@pytest.mark.parametrize(("path", "more"), ALL)
def test_other_peoples_subscriptions_are_not_found(shop: Shop, path: str, more: dict[str, Any]) -> None:
    theirs = shop.subscription(MONTHLY, user="user_2")
    shop.subscription(FREE)

    assert error_of(shop.post(path, {"subscription": theirs, **more})) == (404, "not_found")
    assert error_of(shop.post(path, {"subscription": "../products", **more})) == (404, "not_found")
    assert error_of(shop.post(path, {"subscription": theirs, **more}, user=None)) == (401, "unauthorized")
    assert not shop.polar.requests


@pytest.mark.parametrize("status", ["canceled", "unpaid", "incomplete"])
def test_a_subscription_that_is_over_is_not_found(shop: Shop, status: str) -> None:
    subscription = shop.subscription(MONTHLY, status=status)

    assert error_of(shop.post(CANCEL, {"subscription": subscription})) == (404, "not_found")


@pytest.mark.parametrize(
    ("product", "expected"),
    [
        ("nothing", (404, "not_found")),
        ("lifetime", (400, "invalid_body")),
        ("retired", (400, "invalid_body")),
        ("team", (400, "invalid_body")),
        ("", (400, "invalid_body")),
        (None, (400, "invalid_body")),
    ],
)
def test_only_plans_that_are_sold(shop: Shop, product: object, expected: tuple[int, str]) -> None:
    subscription = shop.subscription(MONTHLY)

    assert error_of(shop.post(CHANGE, {"subscription": subscription, "product": product})) == expected
    assert not shop.polar.requests


@pytest.mark.parametrize(
    ("product_id", "amount"),
    [(FREE.id, 0), (FREE.id, 1900), (MONTHLY.id, 0), ("elsewhere", 0)],
    ids=["free plan", "free plan, amount of another time", "paid plan at a price of 0", "unknown free plan"],
)
def test_the_way_from_a_free_plan_to_one_that_costs_money_is_the_checkout(
    shop: Shop, product_id: str, amount: int
) -> None:
    subscription = shop.subscription(MONTHLY, product_id=product_id, amount=amount)

    answer = shop.post(CHANGE, {"subscription": subscription, "product": "pro_yearly"})

    assert error_of(answer) == (409, "checkout_required")
    assert not shop.polar.requests


@pytest.mark.parametrize(
    ("product_id", "amount", "product"),
    [
        (FREE.id, 0, "starter"),
        (MONTHLY.id, 1900, "free"),
        ("elsewhere", 900, "pro_yearly"),
        (USAGE.id, 0, "pro_yearly"),
    ],
    ids=["free to free", "paid to free", "unknown paid plan", "usage beside a fixed 0"],
)
def test_other_changes_need_no_checkout(shop: Shop, product_id: str, amount: int, product: str) -> None:
    subscription = shop.subscription(MONTHLY, product_id=product_id, amount=amount)

    assert shop.post(CHANGE, {"subscription": subscription, "product": product}).status_code == 200


@pytest.mark.parametrize(("path", "more"), ALL)
def test_nothing_else_can_be_asked_for(shop: Shop, path: str, more: dict[str, Any]) -> None:
    subscription = shop.subscription(MONTHLY)

    for extra in ("proration_behavior", "customer_id", "revoke", "seats"):
        answer = shop.post(path, {"subscription": subscription, **more, extra: "x"})
        assert error_of(answer) == (400, "invalid_body")
        assert extra in answer.json()["message"]


@pytest.mark.parametrize(
    ("status", "error", "expected"),
    [
        (402, "PaymentFailed", (402, "payment_failed")),
        (403, "AlreadyCanceledSubscription", (409, "subscription_state")),
        (409, "SubscriptionLocked", (409, "subscription_state")),
        (409, "NotPausedSubscription", (409, "subscription_state")),
        (400, "BadRequest", (409, "subscription_state")),
        (400, "SeatsAlreadyAssigned", (409, "subscription_state")),
        (410, "ResourceUnavailable", (409, "subscription_state")),
        (400, "invalid_request", (502, "polar_error")),
        (422, "PolarRequestValidationError", (409, "subscription_state")),
        (404, "ResourceNotFound", (404, "not_found")),
        (404, "Other", (502, "polar_error")),
        (403, "insufficient_scope", (502, "polar_error")),
        (401, "invalid_token", (502, "polar_error")),
        (500, "Oops", (502, "polar_error")),
        (429, "", (503, "unavailable")),
    ],
)
def test_what_polars_refusals_become(shop: Shop, status: int, error: str, expected: tuple[int, str]) -> None:
    subscription = shop.subscription(MONTHLY)
    shop.polar.refuse(*at_polar(subscription), status, error)

    for path, more in ALL:
        assert error_of(shop.post(path, {"subscription": subscription, **more})) == expected


@pytest.mark.parametrize(("path", "more"), ALL)
def test_a_blocked_user_gets_nothing_more(shop: Shop, path: str, more: dict[str, Any]) -> None:
    """What ends something stays possible."""
    subscription = shop.subscription(MONTHLY, status="paused" if path == RESUME else "active")
    shop.insert(tables.blocked_users, user_id="user_1", blocked_us=NOW)

    answer = shop.post(path, {"subscription": subscription, **more})
    if path in {CHANGE, RESUME}:
        assert error_of(answer) == (403, "blocked")
        assert not shop.polar.requests
    else:
        assert answer.status_code in {200, 409}


def test_a_change_may_take_polar_half_a_minute(open_shop: Callable[..., Shop]) -> None:
    """It charges the card within the request: giving up after the usual seconds looks like a failure and is none."""
    shop = open_shop(timeout=0.2)
    subscription = shop.subscription(MONTHLY)
    changed = json.dumps(shop.polar.subscriptions[subscription] | {"product_id": YEARLY.id}).encode()
    shop.polar.answer(*at_polar(subscription), Answer(200, changed, delay=0.6))

    assert shop.post(CHANGE, {"subscription": subscription, "product": "pro_yearly"}).json()["key"] == "pro_yearly"


@pytest.mark.parametrize(
    ("path", "more", "held", "at_polar_now"),
    [
        (CHANGE, {"product": "pro_yearly"}, {}, {"product_id": YEARLY.id}),
        (CHANGE, {"product": "pro_yearly"}, {}, {"pending_update": {"product_id": YEARLY.id}}),
        (CANCEL, {}, {}, {"cancel_at_period_end": True}),
        (UNCANCEL, {}, {"cancel_at_period_end": True}, {"cancel_at_period_end": False}),
        (RESUME, {}, {"status": "paused"}, {"status": "active"}),
        (REVOKE, {}, {}, {"status": "canceled", "ended_at": "2026-01-31T12:00:00Z"}),
    ],
)
def test_without_an_answer_polar_is_asked_once_what_became_of_it(
    open_shop: Callable[..., Shop], path: str, more: dict[str, Any], held: dict[str, Any], at_polar_now: dict[str, Any]
) -> None:
    shop = open_shop(change_timeout=0.2)
    subscription = shop.subscription(MONTHLY, **held)
    shop.polar.answer(*at_polar(subscription), Answer(200, b"{}", delay=0.5))
    body = {"subscription": subscription, **more}

    before = shop.post(path, body)
    assert error_of(before) == (504, "unconfirmed")
    assert "try again" not in before.json()["message"].lower()

    shop.polar.subscriptions[subscription] |= at_polar_now
    assert shop.post(path, body).status_code == 200
    assert len(shop.polar.sent("GET", f"/v1/subscriptions/{subscription}")) == 2


def test_the_account_shows_an_answer_at_once_and_any_event_wins(shop: Shop) -> None:
    subscription = shop.subscription(MONTHLY, version=7, webhook_id="w")

    shop.post(CANCEL, {"subscription": subscription})

    (told,) = shop.get("/billing/account").json()["subscriptions"]
    assert told["cancel_at_period_end"] is True
    (row,) = shop.rows(tables.subscriptions)
    assert (row["version"], row["webhook_id"], row["answered_us"]) == (7, "w", NOW)
    assert not shop.rows(tables.reactions)


def test_an_event_that_overtook_the_answer_stays(shop: Shop) -> None:
    """The event is applied while the answer is on its way: it knows better."""
    subscription = shop.subscription(MONTHLY)
    (held,) = live_subscriptions(shop.database, "user_1")
    shop.update(tables.subscriptions, subscription, version=9, webhook_id="later")

    with shop.database.write() as connection:
        repository.write_answer(connection, held, {"status": "canceled"}, NOW)

    (row,) = shop.rows(tables.subscriptions)
    assert (row["status"], row["answered_us"]) == ("active", None)


def test_reconciliation_runs_the_reactions_of_an_answer_whose_events_were_lost(shop: Shop) -> None:
    subscription = shop.subscription(MONTHLY)
    shop.post(CANCEL, {"subscription": subscription})
    assert shop.billing.polar is not None

    handlers: Handlers = {"subscription_cancellation_scheduled": lambda _payload, _delivery: None}
    customer = shop.rows(tables.customers)[0]["id"]
    for _ in range(2):
        reconcile_customer(shop.database, shop.billing.polar, customer, NOW, handlers)

    assert [row["reaction"] for row in shop.rows(tables.reactions)] == ["subscription_cancellation_scheduled"]
    assert shop.rows(tables.subscriptions)[0]["answered_us"] is None


@pytest.mark.parametrize("body", [b"<html>", b"{}", b'{"id": "x"}', b"[]"])
def test_an_unreadable_answer_of_polar(shop: Shop, body: bytes) -> None:
    subscription = shop.subscription(MONTHLY)
    shop.polar.answer(*at_polar(subscription), Answer(200, body))

    assert error_of(shop.post(CANCEL, {"subscription": subscription})) == (502, "polar_error")


@pytest.mark.parametrize(("path", "more"), ALL)
def test_demo_products_cannot_be_changed(open_shop: Callable[..., Shop], path: str, more: dict[str, Any]) -> None:
    shop = open_shop(connected=False)

    assert error_of(shop.post(path, {"subscription": "x", **more})) == (503, "demo_catalogue")


@pytest.mark.parametrize("action", ["change", "cancel", "uncancel", "resume", "revoke"])
def test_a_user_who_loops_gets_through_ten_times_a_minute(shop: Shop, action: str) -> None:
    subscription = shop.subscription(MONTHLY)
    body = {"subscription": subscription, **({"product": "pro_yearly"} if action == "change" else {})}

    answers = [shop.post(f"/billing/subscription/{action}", body) for _ in range(13)]

    assert 429 not in {answer.status_code for answer in answers[:10]}
    assert [error_of(answer) for answer in answers[10:]] == [(429, "rate_limited")] * 3
    assert answers[10].headers["retry-after"] == "60"
    assert len(shop.polar.requests) <= 10
    shop.clock.now += 60_000_000
    assert shop.post(f"/billing/subscription/{action}", body).status_code != 429
