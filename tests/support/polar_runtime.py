"""A stand-in for the part of Polar's API that a running app calls: stateful, and told by a test how to fail.

Customers, checkouts, customer sessions, subscriptions, orders, benefit grants, customer state. Its ids are counted per
user and its instants come from `now`, so that two of them that are asked the same things answer the same.
"""

from __future__ import annotations

import datetime as dt
import json
import threading
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from types import TracebackType
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from tests.catalogues import ORGANIZATION_ID, identifier
from tests.polar_server import API_VERSION, INVALID_TOKEN, NOT_FOUND, UNAUTHORIZED, Answer
from tests.support.loopback import LoopbackServer
from tests.support.render import TOKEN

Json = dict[str, Any]
COLLECTIONS = ("customers", "checkouts", "customer-sessions", "subscriptions", "orders", "benefit-grants")
GONE = Answer(404, {"error": "ResourceNotFound", "detail": "Not found"})
NOT_ALLOWED = Answer(405, {"detail": "Method Not Allowed"})
DECLINED = Answer(402, {"error": "PaymentFailed", "detail": "The payment was declined."})
NO_SCOPE = Answer(403, {"error": "insufficient_scope", "error_description": "The request requires more."})
ALREADY_CANCELED = Answer(
    403,
    {
        "error": "AlreadyCanceledSubscription",
        "detail": "This subscription is already canceled or will be at the end of the period.",
    },
)
BROKEN = Answer(500, {"error": "InternalServerError", "detail": "Internal Server Error"})
_LIVE = ("active", "trialing", "past_due")


@dataclass(frozen=True)
class Call:
    """A request as it reached Polar; `body` is the parsed JSON, or the text where it is none."""

    method: str
    path: str
    query: dict[str, list[str]]
    body: Any
    authorization: str = ""
    version: str = ""


def refused(location: list[str | int], message: str, value: object, kind: str = "value_error") -> Answer:
    """Polar's 422 about one field of a request."""
    problem = {"type": kind, "loc": ["body", *location], "msg": message, "input": value}
    return Answer(422, {"error": "PolarRequestValidationError", "detail": [problem]})


def made_id(kind: str, owner: object, number: int) -> str:
    """The id of the object of that kind which is made as the user's first, second …"""
    return identifier(kind, owner, number)


def instant(moment: dt.datetime) -> str:
    """An instant as Polar writes it."""
    return moment.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


class PolarRuntime(LoopbackServer):
    """The server; its public attributes may be read and changed while it runs."""

    def __init__(self, products: Iterable[Json], token: str = TOKEN, now: Callable[[], dt.datetime] | None = None):
        self.products = {product["id"]: product for product in products}
        self.token = token
        self.api_version = API_VERSION  # the one that is answered
        self.now = now or (lambda: dt.datetime.now(dt.UTC))
        self.checkout_now = self.now  # when a checkout is made
        self.customers: dict[str, Json] = {}
        self.checkouts: dict[str, Json] = {}
        self.subscriptions: dict[str, Json] = {}
        self.orders: dict[str, Json] = {}
        self.grants: dict[str, Json] = {}
        self.calls: list[Call] = []
        self.next_answers: list[Answer] = []  # given once each, before anything else
        self.always: Callable[[Call], Answer | None] = lambda call: None
        self.closing = threading.Event()
        self._lock = threading.Lock()
        self._made: Counter[tuple[str, str]] = Counter()

    def handler(self) -> type[BaseHTTPRequestHandler]:
        return _handler(self)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.closing.set()
        super().__exit__(kind, error, trace)

    def answer(self, call: Call) -> Answer:
        """What is answered to a request."""
        with self._lock:
            self.calls.append(call)
            if told := self.always(call):
                return told
            if self.next_answers:
                return self.next_answers.pop(0)
            return self._refusal(call) or self._routed(call)

    # State that a test makes

    def add_customer(self, external_id: str | None, email: str, **fields: Any) -> Json:
        """A customer, as one that Polar has already."""
        stamp = instant(self.now())
        customer = {
            "id": fields.pop("id", None) or self._new_id("customer", external_id),
            "created_at": stamp,
            "modified_at": None,
            "metadata": {},
            "external_id": external_id,
            "email": email,
            "email_verified": False,
            "type": "individual",
            "name": None,
            "billing_name": None,
            "billing_address": None,
            "tax_id": None,
            "locale": None,
            "organization_id": ORGANIZATION_ID,
            "default_payment_method_id": None,
            "deleted_at": None,
            "first_user_event_at": None,
            "avatar_url": None,
            **fields,
        }
        self.customers[customer["id"]] = customer
        return customer

    def delete_customer(self, customer_id: str) -> None:
        """Delete a customer: its e-mail address and its external id are free again."""
        self.customers[customer_id].update(deleted_at=instant(self.now()), external_id=None)

    # Routing

    def _refusal(self, call: Call) -> Answer | None:
        if call.version != self.api_version:
            return NOT_FOUND
        if not call.authorization:
            return UNAUTHORIZED
        return None if call.authorization == f"Bearer {self.token}" else INVALID_TOKEN

    def _routed(self, call: Call) -> Answer:
        version, _, rest = call.path.removeprefix("/").partition("/")
        collection, slash, item = rest.partition("/")
        # An escaped slash is a slash to Polar's router: there is no such route, and no such object.
        if version != "v1" or collection not in COLLECTIONS:
            return NOT_FOUND
        if not slash or item.endswith("/"):
            location = call.path + "/" if not slash else call.path.rstrip("/")
            return Answer(307, "", {"location": self.url + location})
        parts = tuple(unquote(item).split("/")) if item else ()
        return self._collection(call, collection) if not parts else self._item(call, collection, parts)

    def _collection(self, call: Call, collection: str) -> Answer:
        creates = {
            "customers": self._create_customer,
            "checkouts": self._create_checkout,
            "customer-sessions": self._create_session,
        }
        if call.method == "POST" and collection in creates:
            if not isinstance(call.body, dict):
                return refused([], "JSON decode error", {}, "json_invalid")
            return creates[collection](call.body)
        return self._list(call, collection) if call.method == "GET" else NOT_ALLOWED

    def _item(self, call: Call, collection: str, parts: tuple[str, ...]) -> Answer:
        match (call.method, collection, *parts):
            case ("GET", "customers", "external", external_id):
                return _found(self._customer(external_id=external_id))
            case ("GET", "customers", customer_id):
                return _found(self._customer(id=customer_id))
            case ("GET", "customers", customer_id, "state"):
                return self._state(customer_id)
            case ("GET", "checkouts", checkout_id):
                return _found(self.checkouts.get(checkout_id))
            case ("GET", "subscriptions", subscription_id):
                return _found(self.subscriptions.get(subscription_id))
            case ("PATCH", "subscriptions", subscription_id):
                subscription = self.subscriptions.get(subscription_id)
                return self._update(subscription, call.body) if subscription else GONE
        return NOT_FOUND

    def _list(self, call: Call, collection: str) -> Answer:
        lists = {
            "customers": self.customers,
            "checkouts": self.checkouts,
            "subscriptions": self.subscriptions,
            "orders": self.orders,
            "benefit-grants": self.grants,
        }
        if collection not in lists:
            return NOT_ALLOWED
        found = [item for item in lists[collection].values() if not item.get("deleted_at")]
        for customer_id in call.query.get("customer_id", []):
            found = [item for item in found if item["customer_id"] == customer_id]
        for text in call.query.get("query", []):
            found = [item for item in found if _mentions(item, text)]
        page, limit = int(call.query.get("page", ["1"])[0]), min(int(call.query.get("limit", ["10"])[0]), 100)
        pagination = {"total_count": len(found), "max_page": -(-len(found) // limit)}
        return Answer(200, {"items": found[(page - 1) * limit : page * limit], "pagination": pagination})

    # Customers

    def _customer(self, **wanted: str) -> Json | None:
        for customer in self.customers.values():
            if not customer["deleted_at"] and all(customer[name] == value for name, value in wanted.items()):
                return customer
        return None

    def _create_customer(self, body: Json) -> Answer:
        email, external_id = body.get("email"), body.get("external_id")
        if not isinstance(email, str) or "@" not in email:
            return refused(["email"], "value is not a valid email address", email)
        # The e-mail address is looked at first.
        if self._customer(email=email):
            return refused(["email"], "A customer with this email address already exists.", email)
        if external_id is not None and self._customer(external_id=external_id):
            return refused(["external_id"], "A customer with this external ID already exists.", external_id)
        name = body.get("name")
        return Answer(201, self.add_customer(external_id, email, name=name, billing_name=name))

    def _state(self, customer_id: str) -> Answer:
        customer = self._customer(id=customer_id)
        if customer is None:
            return GONE
        live = [s for s in self.subscriptions.values() if s["customer_id"] == customer_id]
        granted = [g for g in self.grants.values() if g["customer_id"] == customer_id and g["is_granted"]]
        state = {
            **customer,
            "active_subscriptions": [s for s in live if s["status"] in ("active", "trialing")],
            "granted_benefits": granted,
            "active_meters": [],
        }
        return Answer(200, state)

    def _create_session(self, body: Json) -> Answer:
        by_id = "customer_id" in body
        named = "customer_id" if by_id else "external_customer_id"
        customer = self._customer(**{"id" if by_id else "external_id": body.get(named, "")})
        if customer is None:
            return refused([named], "Customer does not exist.", body.get(named))
        session_id, stamp = self._new_id("session", customer["external_id"]), self.now()
        session = {
            "id": session_id,
            "created_at": instant(stamp),
            "modified_at": None,
            "token": f"polar_cst_{session_id}",
            "expires_at": instant(stamp + dt.timedelta(hours=1)),
            "return_url": body.get("return_url"),
            "customer_portal_url": f"https://polar.example/shop/portal?customer_session_token=polar_cst_{session_id}",
            "customer_id": customer["id"],
            "customer": customer,
        }
        return Answer(201, session)

    # Checkouts

    def _create_checkout(self, body: Json) -> Answer:
        wanted = body.get("products") or [None]
        product = self.products.get(wanted[0])
        if product is None or product["is_archived"]:
            message = "Product is archived." if product else "Product does not exist."
            return refused(["products", 0], message, wanted[0])
        external_id = body.get("external_customer_id")
        customer = self._customer(external_id=external_id) if external_id else None
        checkout = {**self._checkout(product, body), "customer_id": customer["id"] if customer else None}
        self.checkouts[checkout["id"]] = checkout
        return Answer(201, checkout)

    def _checkout(self, product: Json, body: Json) -> Json:
        price, external_id = product["prices"][0], body.get("external_customer_id")
        checkout_id, stamp = self._new_id("checkout", external_id), self.checkout_now()
        return {
            "id": checkout_id,
            "created_at": instant(stamp),
            "modified_at": None,
            "payment_processor": "stripe",
            "status": "open",
            "client_secret": f"polar_c_{checkout_id}",
            "url": f"https://polar.example/checkout/polar_c_{checkout_id}",
            "expires_at": instant(stamp + dt.timedelta(days=1)),
            "success_url": str(body.get("success_url")).replace("{CHECKOUT_ID}", checkout_id),
            "return_url": body.get("return_url"),
            "amount": body.get("amount", price.get("price_amount", 0)),
            "currency": price["price_currency"],
            "organization_id": ORGANIZATION_ID,
            "product_id": product["id"],
            "product_price_id": price["id"],
            "customer_ip_address": body.get("customer_ip_address"),
            "customer_email": None,
            "locale": body.get("locale"),
            "metadata": body.get("metadata", {}),
            "external_customer_id": external_id,
            "customer_external_id": external_id,
            "products": [product],
            "product": product,
            "product_price": price,
            "subscription_id": body.get("subscription_id"),
        }

    # Subscriptions

    def _update(self, subscription: Json, body: Json) -> Answer:
        if "product_id" in body:
            return self._change(subscription, body["product_id"])
        if body.get("cancel_at_period_end") is True:
            if subscription["cancel_at_period_end"] or subscription["status"] not in _LIVE:
                return ALREADY_CANCELED
            end = subscription["current_period_end"]
            subscription.update(cancel_at_period_end=True, canceled_at=instant(self.now()), ends_at=end)
        elif body.get("cancel_at_period_end") is False:
            if subscription["status"] not in _LIVE:
                return ALREADY_CANCELED
            subscription.update(cancel_at_period_end=False, canceled_at=None, ends_at=None)
        elif body.get("resume") is True:
            subscription.update(status="active", paused_at=None)
        elif body.get("revoke") is True:
            ended = instant(self.now())
            subscription.update(status="canceled", canceled_at=ended, ends_at=ended, ended_at=ended)
        subscription["modified_at"] = instant(self.now())
        return Answer(200, subscription)

    def _change(self, subscription: Json, product_id: str) -> Answer:
        product = self.products.get(product_id)
        if product is None or not product["is_recurring"]:
            message = "Product is not recurring." if product else "Product does not exist."
            return refused(["product_id"], message, product_id)
        if subscription["status"] not in _LIVE:
            return ALREADY_CANCELED
        subscription.update(
            product_id=product_id,
            amount=product["prices"][0].get("price_amount", 0),
            recurring_interval=product["recurring_interval"],
            recurring_interval_count=product["recurring_interval_count"],
            modified_at=instant(self.now()),
        )
        return Answer(200, subscription)

    def _new_id(self, kind: str, owner: object) -> str:
        self._made[kind, str(owner)] += 1
        return made_id(kind, owner, self._made[kind, str(owner)])


def _found(item: Json | None) -> Answer:
    return GONE if item is None else Answer(200, item)


def _mentions(item: Json, text: str) -> bool:
    return any(text.lower() in str(item.get(name) or "").lower() for name in ("external_id", "email", "name"))


def _handler(server: PolarRuntime) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _respond(self) -> None:
            answer = server.answer(self._call())
            server.closing.wait(answer.delay)
            raw = answer.raw()
            try:
                self.send_response(answer.status)
                headers = {"content-type": "application/json", "polar-version": server.api_version, **answer.headers}
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("content-length", str(len(raw)))
                self.end_headers()
                self.wfile.write(raw)
            except ConnectionError:
                self.close_connection = True  # the client did not wait

        do_GET = do_POST = do_PATCH = do_DELETE = do_PUT = _respond

        def _call(self) -> Call:
            raw = self.rfile.read(int(self.headers.get("content-length") or 0))
            try:
                body = json.loads(raw) if raw else None
            except ValueError:
                body = raw.decode(errors="replace")
            target = urlsplit(self.path)
            return Call(
                self.command,
                target.path,
                parse_qs(target.query),
                body,
                self.headers.get("authorization", ""),
                self.headers.get("polar-version", ""),
            )

        def log_message(self, format: str, *arguments: object) -> None:
            """Keep quiet: what was asked is in `calls`."""

    return Handler
