"""The stand-in for Polar's API with what the operating commands ask besides.

Products, the organization, webhook endpoints and deliveries, changing and deleting customers; and the scopes of the
token, which Polar asks for call by call.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable
from typing import Any

from tests.catalogues import ORGANIZATION_ID, organization
from tests.polar_server import API_VERSION, Answer
from tests.support.polar_runtime import GONE, NO_SCOPE, Call, Json, PolarRuntime, instant, refused
from tests.support.render import TOKEN

SCOPES = frozenset(
    f"{kind}:{right}"
    for kind in ("products", "organizations", "customers", "subscriptions", "orders", "benefits", "webhooks")
    for right in ("read", "write")
) | {"checkouts:write", "customer_sessions:write"}
_SCOPED = {"benefit-grants": "benefits", "customer-sessions": "customer_sessions"}
_DELETED = Answer(204, "")


class PolarOperations(PolarRuntime):
    """The server; what it has besides may be read and changed while it runs."""

    def __init__(self, products: Iterable[Json], token: str = TOKEN, now: Callable[[], dt.datetime] | None = None):
        super().__init__(products, token, now)
        self.organization: Json = organization()
        self.scopes = set(SCOPES)
        self.endpoints: dict[str, Json] = {}
        self.deliveries: list[Json] = []
        self.redelivered: list[str] = []  # webhook ids, in the order in which they were asked for

    # State that a test makes

    def add_endpoint(self, url: str, events: Iterable[str], **fields: Any) -> Json:
        """A webhook endpoint, as one that Polar has already."""
        stamp, endpoint_id = instant(self.now()), self._new_id("endpoint", url)
        endpoint = {
            "id": endpoint_id,
            "created_at": stamp,
            "modified_at": None,
            "url": url,
            "name": None,
            "api_version": API_VERSION,
            "format": "raw",
            "secret": f"whsec_{endpoint_id.replace('-', '')}",
            "organization_id": ORGANIZATION_ID,
            "events": list(events),
            "enabled": True,
            "uses_standard_webhook_signature": True,
            **fields,
        }
        self.endpoints[endpoint_id] = endpoint
        return endpoint

    def add_delivery(self, webhook_id: str, kind: str, http_code: int | None, **fields: Any) -> Json:
        """A delivery in Polar's log; the newest is listed first."""
        stamp, succeeded = instant(self.now()), http_code is not None and http_code < 300
        event = {
            "id": webhook_id,
            "created_at": stamp,
            "modified_at": None,
            "last_http_code": http_code,
            "succeeded": succeeded,
            "skipped": False,
            "api_version": API_VERSION,
            "payload": "{}",
            "type": kind,
            "is_archived": False,
        }
        delivery = {
            "id": self._new_id("delivery", webhook_id),
            "created_at": stamp,
            "modified_at": None,
            "succeeded": succeeded,
            "http_code": http_code,
            "response": "",
            "webhook_event": event,
            **fields,
        }
        self.deliveries.insert(0, delivery)
        return delivery

    # Routing

    def _routed(self, call: Call) -> Answer:
        if not self._allowed(call):
            return NO_SCOPE
        return self.operations(call) or super()._routed(call)

    def _allowed(self, call: Call) -> bool:
        """Whether the token has the scope that the call needs; writing includes reading but for orders."""
        collection = call.path.removeprefix("/v1/").partition("/")[0]
        kind = _SCOPED.get(collection, collection)
        rights = {f"{kind}:write"} if call.method != "GET" or kind == "checkouts" else {f"{kind}:read", f"{kind}:write"}
        return bool(rights & self.scopes) if kind != "orders" else "orders:read" in self.scopes

    def operations(self, call: Call) -> Answer | None:
        """What is answered to a request that only commands make; None for all others."""
        match (call.method, *call.path.removeprefix("/v1/").split("/")):
            case ("GET", "products", ""):
                return self._products(call)
            case ("GET", "products", product_id):
                return _found(self.products.get(product_id))
            case ("GET", "organizations", organization_id):
                return _found(self.organization if organization_id == self.organization["id"] else None)
            case ("PATCH", "customers", customer_id):
                return self._update_customer(customer_id, call.body)
            case ("DELETE", "customers", customer_id):
                return self._delete_customer(customer_id)
            case (_, "webhooks", *parts):
                return self._webhooks(call, parts)
        return None

    def _webhooks(self, call: Call, parts: list[str]) -> Answer | None:
        match (call.method, *parts):
            case ("GET", "endpoints"):
                return _page(call, list(self.endpoints.values()))
            case ("POST", "endpoints"):
                return self._create_endpoint(call.body)
            case ("GET", "endpoints", endpoint_id):
                return _found(self.endpoints.get(endpoint_id))
            case ("PATCH", "endpoints", endpoint_id):
                return self._update_endpoint(endpoint_id, call.body)
            case ("DELETE", "endpoints", endpoint_id):
                return _DELETED if self.endpoints.pop(endpoint_id, None) else GONE
            case ("PATCH", "endpoints", endpoint_id, "secret"):
                secret = f"whsec_{self._new_id('secret', endpoint_id).replace('-', '')}"
                return self._update_endpoint(endpoint_id, {"secret": secret})
            case ("GET", "deliveries"):
                return self._list_deliveries(call)
            case ("POST", "events", webhook_id, "redeliver"):
                return self._redeliver(webhook_id)
        return None

    def _products(self, call: Call) -> Answer:
        archived = call.query.get("is_archived", [""])[0]
        found = [p for p in self.products.values() if not archived or p["is_archived"] == (archived == "true")]
        return _page(call, found)

    # Customers

    def _update_customer(self, customer_id: str, body: Json) -> Answer:
        customer = self._customer(id=customer_id)
        if customer is None:
            return GONE
        wanted = body.get("external_id", customer["external_id"])
        if customer["external_id"] not in (None, wanted):
            return refused(["external_id"], "Customer external ID cannot be updated.", wanted)
        if wanted != customer["external_id"] and self._customer(external_id=wanted):
            return refused(["external_id"], "A customer with this external ID already exists.", wanted)
        customer.update(body, modified_at=instant(self.now()))
        return Answer(200, customer)

    def _delete_customer(self, customer_id: str) -> Answer:
        if self._customer(id=customer_id) is None:
            return GONE
        self.delete_customer(customer_id)
        return _DELETED

    # Webhooks

    def _create_endpoint(self, body: Json) -> Answer:
        if not str(body.get("url")).startswith("https://"):
            return refused(["url"], "URL scheme should be 'https'", body.get("url"), "url_scheme")
        fields = {name: body[name] for name in ("name", "api_version", "format") if name in body}
        return Answer(201, self.add_endpoint(body["url"], body["events"], **fields))

    def _update_endpoint(self, endpoint_id: str, body: Json) -> Answer:
        endpoint = self.endpoints.get(endpoint_id)
        if endpoint is None:
            return GONE
        endpoint.update(body, modified_at=instant(self.now()))
        return Answer(200, endpoint)

    def _list_deliveries(self, call: Call) -> Answer:
        found = self.deliveries
        for wanted in call.query.get("succeeded", []):
            found = [delivery for delivery in found if delivery["succeeded"] == (wanted == "true")]
        kinds = call.query.get("event_type", [])
        return _page(call, [d for d in found if not kinds or d["webhook_event"]["type"] in kinds])

    def _redeliver(self, webhook_id: str) -> Answer:
        if all(delivery["webhook_event"]["id"] != webhook_id for delivery in self.deliveries):
            return GONE
        self.redelivered.append(webhook_id)
        return Answer(202, "")


def _found(item: Json | None) -> Answer:
    return GONE if item is None else Answer(200, item)


def _page(call: Call, found: list[Json]) -> Answer:
    page, limit = int(call.query.get("page", ["1"])[0]), min(int(call.query.get("limit", ["10"])[0]), 100)
    pagination = {"total_count": len(found), "max_page": -(-len(found) // limit)}
    return Answer(200, {"items": found[(page - 1) * limit : page * limit], "pagination": pagination})
