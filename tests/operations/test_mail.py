"""E-mails: what happened at Polar ends in the customer's inbox once, through a real server of the kind that is set."""

from __future__ import annotations

import datetime as dt
import json
import socketserver
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from email import message_from_string
from http.server import BaseHTTPRequestHandler
from typing import Any

import httpx
import pytest

from tests.catalogues import shop
from tests.operations.side import WEBHOOK_SECRET, Pair, Side
from tests.polar_server import Answer
from tests.support import deliveries
from tests.support.events import Customer, event
from tests.support.loopback import LoopbackServer

ADDRESS = "ada@example.com"


@pytest.mark.parametrize("runtime", ["worker", "fastapi"])
def test_a_customer_is_told_once_of_a_failed_payment(pair: Pair, runtime: str) -> None:
    side: Side = getattr(pair, runtime)
    with _sink(runtime) as (url, mails):
        side.more = {"MAIL_FROM": "billing@example.com"}
        side.more |= (
            {"SMTP_URL": url} if runtime == "fastapi" else {"RESEND_BASE_URL": url, "RESEND_API_KEY": "re_test"}
        )
        side.polar.always = lambda _call: Answer(500)  # deliveries alone make the state here
        with side.serving() as base, httpx.Client(base_url=base, timeout=30) as client:
            events = _failed_payment()
            for number, body in enumerate([*events, *events]):
                headers = deliveries.headers(body, f"wh_{number}", WEBHOOK_SECRET, "standard")
                assert client.post("/webhooks/polar", content=body, headers=headers).status_code == 202
            _wait_until(lambda: "Your payment failed" in [mail["subject"] for mail in mails], side, client)
            _wait_until(lambda: not side.sql("SELECT 1 FROM billing_reactions WHERE state = 'pending'"), side, client)
    (told,) = (mail for mail in mails if mail["subject"] == "Your payment failed")
    assert (told["to"], told["from"]) == (ADDRESS, "billing@example.com")
    assert side.base in told["text"]
    log = (side.folder / "app.log").read_text(errors="replace")
    assert '"event":"mail_sent"' in log
    assert ADDRESS not in log


def _failed_payment() -> list[bytes]:
    now = dt.datetime.now(dt.UTC)
    buyer = Customer("user_1", now - dt.timedelta(days=3), fields={"email": ADDRESS})
    late = buyer.subscription(shop()[1], status="past_due", past_due_at=buyer.at(2))
    facts = [("customer.created", buyer.customer()), ("subscription.past_due", late)]
    return [event(kind, now + dt.timedelta(seconds=number), data) for number, (kind, data) in enumerate(facts)]


def _wait_until(done: Any, side: Side, client: httpx.Client) -> None:
    """Let the background work run, which a cron trigger starts for a Worker."""
    deadline = time.monotonic() + 60
    while not done():
        assert time.monotonic() < deadline, (side.folder / "app.log").read_text(errors="replace")[-3000:]
        if side.variant.runtime == "worker":
            client.get("/cdn-cgi/local/scheduled")
        time.sleep(0.5)


@contextmanager
def _sink(runtime: str) -> Generator[tuple[str, list[dict[str, str]]]]:
    """A server that takes mails as that runtime hands them over: its address, and what it took."""
    if runtime == "worker":
        with _Resend() as server:
            yield server.url, server.mails
        return
    with _Smtp() as smtp:
        threading.Thread(target=smtp.serve_forever, args=(0.05,)).start()
        try:
            yield f"smtp://127.0.0.1:{smtp.server_address[1]}", smtp.mails
        finally:
            smtp.shutdown()


class _Resend(LoopbackServer):
    """Resend's API: a mail with an idempotency key that it knows is not sent again."""

    def __init__(self) -> None:
        self.mails: list[dict[str, str]] = []
        self.keys: set[str] = set()

    def handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                mail = json.loads(self.rfile.read(int(self.headers["content-length"])))
                key = self.headers["idempotency-key"]
                right = (self.path, self.headers["authorization"]) == ("/emails", "Bearer re_test")
                if right and key not in server.keys:
                    server.mails.append(mail)
                    server.keys.add(key)
                self.send_response(200 if right and key else 400)
                self.send_header("content-type", "application/json")
                self.end_headers()
                self.wfile.write(b'{"id":"mail"}')

            def log_message(self, format: str, *arguments: object) -> None:
                """Keep quiet: what was taken is in `mails`."""

        return Handler


class _Smtp(socketserver.ThreadingTCPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Session)
        self.mails: list[dict[str, str]] = []


class _Session(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        assert isinstance(self.server, _Smtp)
        self.wfile.write(b"220 ready\r\n")
        while line := self.rfile.readline().decode().strip():
            if line.upper() == "DATA":
                self.wfile.write(b"354 go on\r\n")
                lines = iter(lambda: self.rfile.readline().decode().rstrip("\r\n"), ".")
                mail = message_from_string("\n".join(lines))
                named = {name.lower(): str(value) for name, value in mail.items()}
                self.server.mails.append({**named, "text": str(mail.get_payload())})
            self.wfile.write(b"221 bye\r\n" if line.upper() == "QUIT" else b"250 fine\r\n")
