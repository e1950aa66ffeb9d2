"""The calls of Polar that background work makes, over HTTP with the real SDK."""

from collections.abc import Iterator

import pytest

from app.billing.polar import MAX_PAGES, PAGE_SIZE, PolarApi, PolarApiError
from app.billing.reconcile import PolarGone
from tests.support.polar_api import TOKEN, Answer, PolarStandIn


@pytest.fixture
def api(polar: PolarStandIn) -> Iterator[PolarApi]:
    api = PolarApi(TOKEN, environment="sandbox", base_url=polar.url)
    yield api
    api.close()


def test_all_pages_are_read(api: PolarApi, polar: PolarStandIn) -> None:
    for number in range(PAGE_SIZE + 1):
        polar.add_subscription(f"subscription_{number}", "customer", "product")
    polar.add_subscription("another", "another customer", "product")

    assert len(list(api.subscriptions("customer"))) == PAGE_SIZE + 1
    pages = [seen.query for seen in polar.sent("GET", "/v1/subscriptions/")]
    assert pages == [{"customer_id": "customer", "page": str(page), "limit": "100"} for page in (1, 2)]


def test_orders_and_grants_are_asked_by_customer(api: PolarApi, polar: PolarStandIn) -> None:
    assert [*api.orders("customer"), *api.grants("customer")] == []
    asked = [(seen.path, seen.query["customer_id"]) for seen in polar.requests]
    assert asked == [("/v1/orders/", "customer"), ("/v1/benefit-grants/", "customer")]


def test_a_list_without_end_is_an_error(api: PolarApi, polar: PolarStandIn) -> None:
    polar.answer("GET", "/v1/orders/", Answer(200, b'{"items": [], "pagination": {"max_page": 999999}}'))

    with pytest.raises(PolarApiError, match="too many pages"):
        list(api.orders("customer"))
    assert len(polar.requests) == MAX_PAGES


@pytest.mark.parametrize(
    "body", [b"{}", b'{"items": {}}', b'{"items": [1], "pagination": {"max_page": 1}}', b'{"items": []}']
)
def test_half_a_list_is_an_error(api: PolarApi, polar: PolarStandIn, body: bytes) -> None:
    polar.answer("GET", "/v1/orders/", Answer(200, body))

    with pytest.raises(PolarApiError):
        list(api.orders("customer"))


def test_only_one_answer_means_gone(api: PolarApi, polar: PolarStandIn) -> None:
    with pytest.raises(PolarGone):
        api.customer_state("nobody")

    for status, error in [(404, "NotFound"), (401, "invalid_token"), (403, "ResourceNotFound"), (410, "x"), (500, "x")]:
        polar.refuse("GET", "/v1/customers/nobody/state", status, error)
        with pytest.raises(PolarApiError) as caught:
            api.customer_state("nobody")
        assert not isinstance(caught.value, PolarGone)
        assert (caught.value.status, caught.value.error) == (status, error)


def test_an_expired_api_version_does_not_look_like_gone(api: PolarApi, polar: PolarStandIn) -> None:
    polar.answer("GET", "/v1/customers/nobody/state", Answer(404, b'{"detail": "Not Found"}'))

    with pytest.raises(PolarApiError) as caught:
        api.customer_state("nobody")
    assert not isinstance(caught.value, PolarGone)


@pytest.mark.parametrize("hostile", ["a/../../products", "..%2f", "{customer_id}", "a?b=c#d", "é +%"])
def test_ids_stay_inside_their_segment(api: PolarApi, polar: PolarStandIn, hostile: str) -> None:
    with pytest.raises(PolarGone):
        api.customer_state(hostile)

    (seen,) = polar.requests
    assert seen.path.startswith("/v1/customers/")
    assert seen.path.endswith("/state")
    assert seen.path.count("/") == 4
    assert seen.query == {}


def test_time_outs_and_broken_connections_are_errors(polar: PolarStandIn) -> None:
    polar.answer("GET", "/v1/customers/slow/state", Answer(200, b"{}", delay=1.5))
    hasty = PolarApi(TOKEN, environment="sandbox", base_url=polar.url, timeout=0.5)

    with pytest.raises(PolarApiError) as caught:
        hasty.customer_state("slow")
    assert caught.value.status == 0
    hasty.close()


@pytest.mark.parametrize(("header", "seconds"), [("7", 7), ("-1", None), ("soon", None), ("9" * 30, None)])
def test_how_long_polar_asks_to_wait(api: PolarApi, polar: PolarStandIn, header: str, seconds: int | None) -> None:
    polar.answer("GET", "/v1/customers/x/state", Answer(429, b"", {"retry-after": header}))

    with pytest.raises(PolarApiError) as caught:
        api.customer_state("x")
    assert (caught.value.status, caught.value.retry_after) == (429, seconds)


def test_errors_do_not_show_the_token(api: PolarApi, polar: PolarStandIn) -> None:
    polar.answer("GET", "/v1/customers/x/state", Answer(500, TOKEN.encode()))

    with pytest.raises(PolarApiError) as caught:
        api.customer_state("x")
    assert TOKEN not in str(caught.value) + repr(caught.value)
