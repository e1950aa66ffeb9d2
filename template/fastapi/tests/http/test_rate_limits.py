"""One user, and all users together, leave enough of Polar's limit to the others."""

from uuid import uuid4

from app.billing import rate_limit, tables
from tests.support.app import MONTHLY, NOW, SECOND, Shop, error_of


def open_checkouts(shop: Shop, count: int, user: str = "user_1") -> list[str]:
    ids = [str(uuid4()) for _ in range(count)]
    for checkout_id in ids:
        shop.polar.checkouts[checkout_id] = {"id": checkout_id, "status": "open", "customer_id": None}
        row = {"user_id": user, "product_id": MONTHLY.id, "created_us": NOW, "status": "open"}
        shop.insert(tables.checkouts, id=checkout_id, **row)
    return ids


def test_who_polls_is_always_answered_but_polar_asked_ten_times_a_minute(shop: Shop) -> None:
    ids = open_checkouts(shop, 15)

    for _ in range(3):
        answers = [shop.get(f"/billing/checkout/{checkout_id}") for checkout_id in ids]
        assert [answer.json() for answer in answers] == [{"state": "pending", "access": False}] * 15
        shop.clock.now += 3 * SECOND
    assert len(shop.polar.requests) == rate_limit.REQUESTS_PER_MINUTE

    shop.get(f"/billing/checkout/{open_checkouts(shop, 1, 'user_2')[0]}", user="user_2")
    assert len(shop.polar.requests) == rate_limit.REQUESTS_PER_MINUTE + 1
    shop.clock.now += 60 * SECOND
    shop.get(f"/billing/checkout/{ids[0]}")
    assert len(shop.polar.requests) == rate_limit.REQUESTS_PER_MINUTE + 2


def test_all_users_together_leave_the_rest_of_polars_limit_to_checkouts(shop: Shop) -> None:
    calls = rate_limit.app_calls(shop.billing.settings)
    for number in range(calls // 10 + 1):
        for checkout_id in open_checkouts(shop, 10, f"poller_{number}"):
            shop.get(f"/billing/checkout/{checkout_id}", user=f"poller_{number}")
    assert len(shop.polar.requests) == calls

    shop.known_customer()
    refused = shop.post("/billing/portal")
    assert error_of(refused) == (503, "unavailable")
    assert refused.headers["retry-after"] == "60"
    assert len(shop.polar.requests) == calls
    assert shop.post("/billing/checkout", {"product": "lifetime"}).status_code == 201
    shop.clock.now += 60 * SECOND
    assert shop.post("/billing/portal").status_code == 201


def test_the_limits_stay_below_what_polar_allows(shop: Shop) -> None:
    for server, allowed in rate_limit.POLAR_ALLOWS.items():
        settings = shop.billing.settings.model_copy(update={"polar_server": server})
        assert settings.reconcile_calls + 2 * rate_limit.app_calls(settings) <= allowed
