"""A stand-in for Polar's API on loopback. The real SDK talks to it over HTTP, and it is as strict as Polar."""

import json
import threading
import time
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import import_module
from typing import Any, get_type_hints
from urllib.parse import parse_qsl, unquote, urlsplit
from uuid import uuid4

from app.billing.polar_sdk import API_VERSION, sdk

inputs = import_module(f"{sdk.__name__}.inputs")

TOKEN = "polar_oat_for_tests"
CREATED_AT = "2026-01-31T12:00:00.000000Z"

# Which keys Polar knows in the body of each call.
KNOWN_KEYS = {
    ("POST", "/v1/checkouts/"): set(get_type_hints(inputs.CheckoutCreate)),
    ("POST", "/v1/customers/"): {"external_id", "email", "name"},
    ("POST", "/v1/customer-sessions/"): {"customer_id", "return_url"},
    ("PATCH", "/v1/subscriptions/*"): {
        "product_id",
        "proration_behavior",
        "cancel_at_period_end",
        "resume",
        "revoke",
    },
}


@dataclass(frozen=True)
class Seen:
    """A request as it arrived."""

    method: str
    path: str
    query: dict[str, str]
    body: Any


@dataclass
class Answer:
    """What to answer instead of the usual."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=lambda: {"content-type": "application/json"})
    delay: float = 0.0


class PolarStandIn:
    """Customers, checkouts and subscriptions in memory."""

    def __init__(self) -> None:
        self.url = ""
        self.reset()

    def reset(self) -> None:
        """Forget everything: the next test begins."""
        self.requests: list[Seen] = []
        self.violations: list[str] = []
        self.customers: dict[str, dict[str, Any]] = {}
        self.checkouts: dict[str, dict[str, Any]] = {}
        self.subscriptions: dict[str, dict[str, Any]] = {}
        self._answers: dict[tuple[str, str], Answer] = {}

    def answer(self, method: str, path: str, answer: Answer) -> None:
        """Answer this call so from now on."""
        self._answers[method, path] = answer

    def refuse(self, method: str, path: str, status: int, error: str, detail: object = "no", **headers: str) -> None:
        """Answer this call with an error of Polar's."""
        body = json.dumps({"error": error, "detail": detail}).encode()
        self.answer(method, path, Answer(status, body, {"content-type": "application/json", **headers}))

    def sent(self, method: str, path: str) -> list[Seen]:
        """Return the requests of one kind."""
        return [seen for seen in self.requests if (seen.method, seen.path) == (method, path)]

    def body_of(self, method: str, path: str) -> Any:
        """Return the body of the one request of this kind."""
        (seen,) = self.sent(method, path)
        return seen.body

    def add_customer(self, external_id: str | None, email: str) -> dict[str, Any]:
        """Store a customer."""
        customer: dict[str, Any] = {"id": str(uuid4()), "created_at": CREATED_AT, "type": "individual", "name": None}
        customer |= {"external_id": external_id, "email": email}
        self.customers[customer["id"]] = customer
        return customer

    def add_subscription(self, subscription_id: str, customer_id: str, product_id: str, **fields: Any) -> None:
        """Store a subscription, active unless told otherwise."""
        self.subscriptions[subscription_id] = {
            "id": subscription_id,
            "created_at": CREATED_AT,
            "modified_at": None,
            "customer_id": customer_id,
            "product_id": product_id,
            "status": "active",
            "amount": 1900,
            "currency": "usd",
            "recurring_interval": "month",
            "recurring_interval_count": 1,
            "current_period_start": CREATED_AT,
            "current_period_end": "2026-02-28T12:00:00Z",
            "cancel_at_period_end": False,
            "metadata": {},
            **fields,
        }

    def handle(self, seen: Seen, headers: Mapping[str, str]) -> Answer:
        """Return the answer to a request."""
        self.requests.append(seen)
        self._check(seen, headers)
        planned = self._answers.get((seen.method, seen.path))
        return planned or self._route(seen)

    def _check(self, seen: Seen, headers: Mapping[str, str]) -> None:
        if headers.get("authorization") != f"Bearer {TOKEN}":
            self.violations.append(f"{seen.path}: not the token")
        if headers.get("polar-version") != API_VERSION:
            self.violations.append(f"{seen.path}: version {headers.get('polar-version')}")
        family = "/v1/subscriptions/*" if seen.path.startswith("/v1/subscriptions/") else seen.path
        known = KNOWN_KEYS.get((seen.method, family), set())
        unknown = set(seen.body or {}) - known
        if unknown:
            self.violations.append(f"{seen.method} {seen.path}: unknown keys {unknown}")

    def _route(self, seen: Seen) -> Answer:
        parts = seen.path.strip("/").split("/")
        match [seen.method, *parts]:
            case ["POST", "v1", "customers"]:
                return self._create_customer(seen.body)
            case ["GET", "v1", "customers"]:
                return _page([c for c in self.customers.values() if seen.query.get("query", "") in str(c)], seen.query)
            case ["GET", "v1", "customers", "external", external_id]:
                return _found(c for c in self.customers.values() if c["external_id"] == unquote(external_id))
            case ["GET", "v1", "customers", customer_id, "state"] if customer_id in self.customers:
                return _json({**self.customers[customer_id], "active_subscriptions": [], "granted_benefits": []})
            case ["POST", "v1", "checkouts"]:
                return self._create_checkout(seen.body)
            case ["GET", "v1", "checkouts", checkout_id]:
                return _found(c for c in [self.checkouts.get(checkout_id)] if c)
            case ["POST", "v1", "customer-sessions"]:
                return _json({"id": str(uuid4()), "customer_portal_url": "https://polar.test/portal?token=1"}, 201)
            case ["GET", "v1", "subscriptions"]:
                mine = [s for s in self.subscriptions.values() if s["customer_id"] == seen.query.get("customer_id")]
                return _page(mine, seen.query)
            case ["PATCH", "v1", "subscriptions", subscription_id] if subscription_id in self.subscriptions:
                return self._update_subscription(subscription_id, seen.body)
            case ["GET", "v1", "subscriptions", subscription_id]:
                return _found(s for s in [self.subscriptions.get(subscription_id)] if s)
            case ["GET", "v1", "orders" | "benefit-grants"]:
                return _page([], seen.query)
        return _json({"error": "ResourceNotFound", "detail": "Not found"}, 404)

    def _create_customer(self, body: dict[str, Any]) -> Answer:
        for name, text in (("external_id", "external ID"), ("email", "email address")):
            if any(customer[name] == body[name] for customer in self.customers.values()):
                problem = {"type": "value_error", "loc": ["body", name], "msg": f"A customer with this {text} exists."}
                return _json({"error": "PolarRequestValidationError", "detail": [problem]}, 422)
        return _json(self.add_customer(body["external_id"], body["email"]) | {"name": body.get("name")}, 201)

    def _create_checkout(self, body: dict[str, Any]) -> Answer:
        checkout_id = str(uuid4())
        checkout = {
            "id": checkout_id,
            "created_at": CREATED_AT,
            "expires_at": "2026-02-01T12:00:00Z",
            "status": "open",
            "url": f"https://polar.test/checkout/{checkout_id}",
            "customer_id": None,
            "subscription_id": body.get("subscription_id"),
        }
        self.checkouts[checkout_id] = checkout
        return _json(checkout, 201)

    def _update_subscription(self, subscription_id: str, body: dict[str, Any]) -> Answer:
        held = self.subscriptions[subscription_id]
        refused = _refusal(held, body)
        if refused:
            return refused
        if body.get("resume"):
            held |= {"status": "active"}
        if body.get("revoke"):
            held |= {"status": "canceled", "ended_at": CREATED_AT, "ends_at": CREATED_AT, "canceled_at": CREATED_AT}
        held |= {name: body[name] for name in ("product_id", "cancel_at_period_end") if name in body}
        return _json(held)


def _refusal(held: dict[str, Any], body: dict[str, Any]) -> Answer | None:
    """Refuse what Polar refuses in this state."""
    over, paused, ending = held["status"] == "canceled", held["status"] == "paused", held["cancel_at_period_end"]
    canceled = _json({"error": "AlreadyCanceledSubscription", "detail": "already canceled"}, 403)
    if "resume" in body:
        return None if paused else _json({"error": "NotPausedSubscription", "detail": "not paused"}, 409)
    if "revoke" in body:
        return canceled if over else None
    if body.get("cancel_at_period_end") is False:
        if over:
            return _json({"error": "ResourceUnavailable", "detail": "Unavailable"}, 410)
        return None if ending else _json({"error": "BadRequest", "detail": "Bad request"}, 400)
    if body.get("cancel_at_period_end"):
        return canceled if over or paused or ending else None
    return canceled if over or ending else None


def _json(value: object, status: int = 200) -> Answer:
    return Answer(status, json.dumps(value).encode())


def _found(values: Iterator[dict[str, Any]]) -> Answer:
    value = next(values, None)
    return _json({"error": "ResourceNotFound", "detail": "Not found"}, 404) if value is None else _json(value)


def _page(items: list[dict[str, Any]], query: Mapping[str, str]) -> Answer:
    page, limit = int(query["page"]), int(query["limit"])
    pagination = {"total_count": len(items), "max_page": -(-len(items) // limit)}
    return _json({"items": items[(page - 1) * limit : page * limit], "pagination": pagination})


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # else every answer waits 40 ms for an acknowledgement of its headers
    stand_in: PolarStandIn

    def _serve(self) -> None:
        raw = self.rfile.read(int(self.headers.get("content-length", 0)))
        address = urlsplit(self.path)
        seen = Seen(self.command, address.path, dict(parse_qsl(address.query)), json.loads(raw) if raw else None)
        answer = self.stand_in.handle(seen, {name.lower(): value for name, value in self.headers.items()})
        time.sleep(answer.delay)
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(answer.body)))
        self.end_headers()
        with suppress(BrokenPipeError):  # the client gave up
            self.wfile.write(answer.body)

    do_GET = do_POST = do_PATCH = do_DELETE = _serve

    def log_message(self, format: str, *args: object) -> None:
        """Keep the test output clean."""


@contextmanager
def running_polar() -> Generator[PolarStandIn]:
    """Run a stand-in on a free port."""
    stand_in = PolarStandIn()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"stand_in": stand_in}))
    stand_in.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield stand_in
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
