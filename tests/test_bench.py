"""The benchmarks still run: their parts on a few requests, without a look at how fast they are."""

from __future__ import annotations

import json
import threading
from collections.abc import Generator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.bench import load, payloads, webhooks
from tests.bench.load import Measured
from tests.bench.servers import LABELS, new_settings
from tests.support import apps


class Answering(BaseHTTPRequestHandler):
    """Keeps what it is sent; refuses what is not signed."""

    protocol_version = "HTTP/1.1"
    received: list[bytes]

    def do_POST(self) -> None:
        self.received.append(self.rfile.read(int(self.headers["content-length"])))
        self.send_response(202 if "webhook-signature" in self.headers else 401)
        self.send_header("content-length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def answering() -> Generator[tuple[str, list[bytes]]]:
    """A server that answers, with what it received."""
    received: list[bytes] = []
    handler = type("Handler", (Answering,), {"received": received})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}", received
    server.shutdown()
    thread.join(10)
    server.server_close()


def test_every_event_is_sent_once(answering: tuple[str, list[bytes]]) -> None:
    base, received = answering
    measured = webhooks.post(base, range(20), new_settings())
    assert len(measured.times) == 20
    assert measured.rate > 0
    kinds = [json.loads(body)["type"] for body in received]
    assert sorted(kinds) == ["order.paid"] * 10 + ["subscription.updated"] * 10
    assert len({json.loads(body)["timestamp"] for body in received}) == 20


def test_an_answer_that_is_no_success_ends_the_measurement(answering: tuple[str, list[bytes]]) -> None:
    base, _ = answering
    message = load.request("POST", base, "/webhooks/polar", {}, b"{}")
    with pytest.raises(RuntimeError, match="401"):
        load.send(base, [message], 1)


def test_events_are_of_few_customers_and_each_is_newer() -> None:
    events = [json.loads(body) for body in payloads.bodies(range(2 * payloads.CUSTOMERS + 2))]
    assert len({event["data"]["customer_id"] for event in events}) == payloads.CUSTOMERS
    stamps = [event["timestamp"] for event in events]
    assert stamps == sorted(set(stamps))
    assert events[0]["data"]["id"] == events[-2]["data"]["id"]
    assert events[1]["data"]["id"] != events[-1]["data"]["id"]


def test_ratios_are_taken_within_a_round() -> None:
    def at(*rates: float) -> list[Measured]:
        return [Measured(1 / rate, [0.001, 0.002]) for rate in rates]

    rounds = {kind: at(2, 4, 8) for kind in LABELS} | {"app": at(4, 8, 4), "bare": at(8, 8, 8)}
    assert webhooks.ratio(rounds, "plain") == 2
    assert webhooks.ratio(rounds, "bare") == 0.5
    goals = webhooks._goals(apps.VARIANTS[0], rounds)
    assert goals == "| worker-d1 | 2.00, met | 0.50, **not met** |"
