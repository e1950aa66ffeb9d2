"""The stand-in for Polar's API as the doctor asks it: everything a token may or may not do, versions, clock."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable
from dataclasses import replace
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler
from typing import Any

from tests.operations.polar_operations import PolarOperations
from tests.polar_server import Answer
from tests.support.api_version import API_VERSIONS
from tests.support.polar_runtime import GONE, NOT_ALLOWED, Call, Json, refused
from tests.support.render import TOKEN

# What the READMEs of generated projects say that the app's token needs, and what the doctor reads with.
RECOMMENDED = {
    "products:read",
    "webhooks:read",
    "checkouts:write",
    "customer_sessions:write",
    "customers:read",
    "customers:write",
    "subscriptions:read",
    "subscriptions:write",
    "orders:read",
    "benefits:read",
    "disputes:read",
    "organizations:read",
}
ANSWERED_VERSIONS = (*API_VERSIONS, "2026-04")  # the last one is about to be removed
_CREATED = ("products", "benefits", "discounts", "refunds")


class PolarChecks(PolarOperations):
    """The server with a token of the recommended scopes; `seconds_ahead` is by how much its clock differs."""

    def __init__(self, products: Iterable[Json], token: str = TOKEN, now: Callable[[], dt.datetime] | None = None):
        super().__init__(products, token, now)
        self.scopes = set(RECOMMENDED)
        self.seconds_ahead = 0

    def handler(self) -> type[BaseHTTPRequestHandler]:
        polar, handler = self, super().handler()

        class Dated(handler):
            def date_time_string(self, timestamp: float | None = None) -> str:
                return formatdate(polar.now().timestamp() + polar.seconds_ahead, usegmt=True)

        return Dated

    def _refusal(self, call: Call) -> Answer | None:
        known = call.version in ANSWERED_VERSIONS
        return super()._refusal(replace(call, version=self.api_version) if known else call)

    def operations(self, call: Call) -> Answer | None:
        """Refuse what only tells of a scope: no body of the doctor's is one that Polar accepts."""
        match (call.method, *call.path.removeprefix("/v1/").split("/")):
            case ("POST", collection, "") if collection in _CREATED:
                return refused([], "Input should be a valid dictionary", call.body, "dict_type")
            case ("PATCH", "organizations", _):
                return GONE
            case ("GET", "disputes", ""):
                return Answer(200, {"items": [], "pagination": {"total_count": 0, "max_page": 0}})
            case (method, "refunds" | "discounts", *_) if method != "GET":
                return NOT_ALLOWED
        return super().operations(call)

    def changed(self) -> list[Call]:
        """The calls that could have changed something, but for what they are refused for."""
        return [call for call in self.calls if call.method != "GET" and not _is_harmless(call)]


def _is_harmless(call: Call) -> bool:
    body: Any = call.body
    return body == []
