"""While Polar is slow, silent or drips, whoever does not need it is answered as ever."""

import socket
import threading
import time
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress

import httpx2
import pytest

from app.billing import tables
from app.billing.polar import PolarApi, PolarApiError
from app.billing.waiting import PLACES, PLACES_PER_USER, room
from tests.http.test_webhook_route import an_event, deliver
from tests.support.app import MONTHLY, NOW, Shop, error_of
from tests.support.polar_api import TOKEN, Answer

SECONDS = 4.0
CHECKOUT = "11111111-1111-4111-8111-111111111111"
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 100000\r\n"


@contextmanager
def every_place_taken(shop: Shop) -> Generator[None]:
    """Have so many users wait for a silent Polar as may wait at once."""
    shop.polar.answer("POST", "/v1/customer-sessions/", Answer(delay=SECONDS + 1))
    users = [f"waiting_{number}" for number in range(PLACES // PLACES_PER_USER)]
    for user in users:
        shop.known_customer(user)
    with ThreadPoolExecutor(PLACES) as threads:
        answers = [threads.submit(shop.post, "/billing/portal", None, user) for user in users * PLACES_PER_USER]
        until = time.monotonic() + SECONDS
        while len(shop.polar.requests) < PLACES and time.monotonic() < until:
            time.sleep(0.02)
        assert len(shop.polar.requests) == PLACES
        yield
        assert not any(answer.done() for answer in answers)
    assert {error_of(answer.result()) for answer in answers} == {(502, "polar_error")}


def within_a_second(ask: Callable[[], httpx2.Response]) -> httpx2.Response:
    began = time.monotonic()
    answer = ask()
    assert time.monotonic() - began < 1
    return answer


def test_with_polar_silent_and_every_place_taken_all_else_is_answered(open_shop: Callable[..., Shop]) -> None:
    shop = open_shop(timeout=SECONDS)
    shop.known_customer()
    row = {"user_id": "user_1", "product_id": MONTHLY.id, "created_us": NOW, "status": "open"}
    shop.insert(tables.checkouts, id=CHECKOUT, **row)
    with every_place_taken(shop):
        assert within_a_second(lambda: shop.get("/healthz", user=None)).status_code == 200
        assert within_a_second(lambda: shop.get("/billing/access")).status_code == 200
        assert within_a_second(lambda: deliver(shop, an_event())).status_code == 202
        assert within_a_second(lambda: shop.get(f"/billing/checkout/{CHECKOUT}")).json()["state"] == "pending"
        refused = within_a_second(lambda: shop.post("/billing/portal"))
        assert error_of(refused) == (503, "unavailable")
        assert refused.headers["retry-after"] == "5"
        assert len(shop.polar.requests) == PLACES


def test_one_user_takes_a_few_places_only(open_shop: Callable[..., Shop]) -> None:
    shop = open_shop(timeout=1.0)
    shop.known_customer()
    shop.known_customer("user_2")
    shop.polar.answer("POST", "/v1/customer-sessions/", Answer(delay=2))
    with ThreadPoolExecutor(10) as threads:
        answers = list(threads.map(lambda _: shop.post("/billing/portal").status_code, range(10)))
    assert sorted(answers) == [502] * PLACES_PER_USER + [503] * (10 - PLACES_PER_USER)
    shop.polar.reset()
    shop.polar.add_customer("user_2", "user_2@example.com")
    assert shop.post("/billing/portal", user="user_2").status_code == 201
    assert not room.taken


@contextmanager
def dripping(first: bytes) -> Generator[str]:
    """Run a server that answers so and goes on byte by byte, for ever."""
    ended = threading.Event()

    def answer(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            connection.recv(65536)
            connection.sendall(first)
            while not ended.wait(0.05):
                connection.sendall(b" " if first == HEAD else b"x")

    def accept() -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=answer, args=(server.accept()[0],), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=accept, daemon=True).start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        ended.set()


@pytest.mark.parametrize("first", [HEAD + b"\r\n", HEAD + b"x-more: ", b""], ids=["body", "headers", "status"])
def test_an_answer_that_drips_ends_at_the_deadline(first: bytes) -> None:
    with dripping(first) as url:
        api = PolarApi(TOKEN, environment="sandbox", base_url=url, timeout=0.5, change_timeout=0.7)
        for method in ("GET", "PATCH"):
            began = time.monotonic()
            with pytest.raises(PolarApiError) as caught:
                api.call(method, "/v1/customers/x")
            assert (caught.value.status, time.monotonic() - began < 2) == (0, True)
        api.close()


def test_closing_ends_the_requests_that_wait() -> None:
    with dripping(HEAD) as url:
        api = PolarApi(TOKEN, environment="sandbox", base_url=url, timeout=30)
        with ThreadPoolExecutor(1) as threads:
            waiting = threads.submit(api.customer_state, "x")
            time.sleep(0.2)
            began = time.monotonic()
            api.close()
            assert isinstance(waiting.exception(timeout=2), PolarApiError)
        assert time.monotonic() - began < 2
