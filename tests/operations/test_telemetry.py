"""Telemetry: what FastAPI sends over OpenTelemetry, where it is asked for, and that nothing personal is among it."""

from __future__ import annotations

import datetime as dt
import json
import os
import time
from http.server import BaseHTTPRequestHandler

import httpx
import pytest

from tests.operations.side import JWT_SECRET, WEBHOOK_SECRET, Pair, Side
from tests.support import deliveries
from tests.support.events import Customer, event
from tests.support.loopback import LoopbackServer
from tests.support.process import run
from tests.support.render import TOKEN

EMAIL, NAME = "marker-mail@example.com", "Marker-Name"


@pytest.fixture
def traced(pair: Pair) -> Side:
    """The FastAPI project with its extra for telemetry."""
    side = pair.fastapi
    environment = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
    run(["uv", "sync", "--quiet", "--extra", "telemetry"], cwd=side.project, env=environment, timeout=300)
    return side


def test_requests_are_traced_where_it_is_asked_for_and_nobody_is_named(traced: Side) -> None:
    with _Collector() as collector:
        traced.more = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_SERVICE_NAME": "my-shop"}
        _ask(traced)
        deadline = time.monotonic() + 30
        while not collector.taken.get("/v1/traces"):
            assert time.monotonic() < deadline, "nothing was sent"
            time.sleep(0.2)
    traces = b"".join(collector.taken["/v1/traces"])
    assert all(text in traces for text in (b"my-shop", b"/webhooks/polar", b"/billing/checkout", b"http.route"))
    assert set(collector.taken) <= {"/v1/traces", "/v1/metrics"}, "logs would repeat the messages of exceptions"
    everything = b"".join(body for bodies in collector.taken.values() for body in bodies)
    secrets = (TOKEN, WEBHOOK_SECRET, JWT_SECRET, EMAIL, NAME, "Bearer", "polar_c_")
    assert not [secret for secret in secrets if secret.encode() in everything]


def test_the_observability_of_a_worker_is_on(pair: Pair) -> None:
    lines = (pair.worker.project / "wrangler.jsonc").read_text().splitlines()
    configuration = json.loads("".join(line for line in lines if not line.lstrip().startswith("//")))
    assert configuration["observability"] == {"enabled": True}


def _ask(side: Side) -> None:
    """Ask a route of each kind, with markers, and one that fails; stop the app, which sends what is left."""
    side.polar.always = lambda call: None
    user = deliveries.bearer("user_1", JWT_SECRET, email=EMAIL, name=NAME)
    now = dt.datetime.now(dt.UTC)
    buyer = Customer("user_1", now, fields={"email": EMAIL, "name": NAME})
    body = event("customer.created", now, buyer.customer())
    with side.serving() as base, httpx.Client(base_url=base, timeout=30, headers=user) as client:
        headers = deliveries.headers(body, "wh", WEBHOOK_SECRET, "standard")
        assert client.post("/webhooks/polar", content=body, headers=headers).status_code == 202
        assert client.post("/billing/checkout", json={"product": "lifetime"}).status_code == 201
        assert client.post("/billing/checkout", json={"product": EMAIL}).status_code == 404
        assert client.get("/billing/account").status_code == 200


class _Collector(LoopbackServer):
    """Takes what is exported over OTLP: the bodies, by path."""

    def __init__(self) -> None:
        self.taken: dict[str, list[bytes]] = {}

    def handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                server.taken.setdefault(self.path, []).append(body)
                self.send_response(200)
                self.end_headers()

            def log_message(self, format: str, *arguments: object) -> None:
                """Keep quiet: what was taken is in `taken`."""

        return Handler
