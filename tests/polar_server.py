"""A stand-in for Polar's API over HTTP, as far as a generation asks it: products and the organization.

It checks the authorization and the API version, pages, and can be told to misbehave. The real SDK talks to it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.catalogues import large, organization
from tests.support.api_version import API_VERSION, API_VERSIONS
from tests.support.loopback import LoopbackServer
from tests.support.render import TOKEN

_SCOPES = frozenset({"products:read", "organizations:read"})


@dataclass(frozen=True)
class Answer:
    """One HTTP answer; a body that is neither text nor bytes is sent as JSON."""

    status: int = 200
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    delay: float = 0.0
    pause: float = 0.0  # between any two bytes of the body

    def raw(self) -> bytes:
        """The bytes of the body."""
        if isinstance(self.body, bytes):
            return self.body
        return (self.body if isinstance(self.body, str) else json.dumps(self.body)).encode("utf-8", "surrogatepass")


INVALID_TOKEN = Answer(401, {"error": "invalid_token", "error_description": "The access token provided is invalid."})
UNAUTHORIZED = Answer(401, {"error": "Unauthorized", "detail": "Unauthorized"})
MISSING_SCOPE = Answer(403, {"error": "insufficient_scope", "error_description": "The request requires more."})
NOT_FOUND = Answer(404, {"detail": "Not Found"})
WEB_PAGE = Answer(200, "<!doctype html><title>Welcome</title>", {"content-type": "text/html; charset=utf-8"})


def rate_limited(seconds: int) -> Answer:
    """Polar's 429: no body, and when to come back."""
    return Answer(429, "", {"retry-after": str(seconds)})


class PolarServer(LoopbackServer):
    """The server; its public attributes may be changed while it runs."""

    def __init__(
        self,
        products: Iterable[dict[str, Any]] = (),
        organization: dict[str, Any] | None = None,
        token: str = TOKEN,
        scopes: Iterable[str] = _SCOPES,
    ) -> None:
        self.products = list(products)
        self.organization = organization or _organization()
        self.token = token
        self.scopes = set(scopes)
        self.next_answers: list[Answer] = []  # given once each, before anything else
        self.always: Callable[[str], Answer | None] = lambda path: None
        self.requests: list[str] = []  # path and query of every request

    def handler(self) -> type[BaseHTTPRequestHandler]:
        return _handler(self)

    def answer(self, target: str, authorization: str, version: str) -> Answer:
        """What is answered to a GET."""
        self.requests.append(target)
        path, query = urlsplit(target).path, parse_qs(urlsplit(target).query)
        if self.next_answers:
            return self.next_answers.pop(0)
        if told := self.always(path):
            return told
        if version not in API_VERSIONS:
            return NOT_FOUND
        if not authorization:
            return UNAUTHORIZED
        if authorization != f"Bearer {self.token}":
            return INVALID_TOKEN
        if path == "/v1/products":
            return Answer(307, "", {"location": "/v1/products/"})
        if path == "/v1/products/":
            return self._page(query) if "products:read" in self.scopes else MISSING_SCOPE
        if path == f"/v1/organizations/{self.organization['id']}":
            return Answer(200, self.organization) if "organizations:read" in self.scopes else MISSING_SCOPE
        return NOT_FOUND

    def _page(self, query: dict[str, list[str]]) -> Answer:
        archived = query.get("is_archived", [""])[0]
        found = [p for p in self.products if not archived or p["is_archived"] == (archived == "true")]
        if "-created_at" in query.get("sorting", ["-created_at"]):
            found.reverse()
        page, limit = int(query.get("page", ["1"])[0]), min(int(query.get("limit", ["10"])[0]), 100)
        pagination = {"total_count": len(found), "max_page": -(-len(found) // limit)}
        return Answer(200, {"items": found[(page - 1) * limit : page * limit], "pagination": pagination})


class AnyVersion(PolarServer):
    """Answers whoever speaks a version that `copier.yml` offers."""

    def answer(self, target: str, authorization: str, version: str) -> Answer:
        if version in API_VERSIONS:
            self.api_version = version
        return super().answer(target, authorization, version)


def _organization() -> dict[str, Any]:
    return organization()


def _handler(server: PolarServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            answer = server.answer(
                self.path, self.headers.get("authorization", ""), self.headers.get("polar-version", "")
            )
            time.sleep(answer.delay)
            raw = answer.raw()
            try:
                self.send_response(answer.status)
                headers = {
                    "content-type": "application/json",
                    "polar-version": self.headers.get("polar-version", API_VERSION),
                    **answer.headers,
                }
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("content-length", str(len(raw)))
                self.end_headers()
                for part in (raw[n : n + 1] for n in range(len(raw))) if answer.pause else [raw]:
                    self.wfile.write(part)
                    time.sleep(answer.pause)
            except ConnectionError:
                self.close_connection = True  # the client did not wait

        def log_message(self, format: str, *arguments: object) -> None:
            """Keep quiet: what was asked is in `requests`."""

    return Handler


def catalogue(count: int) -> list[dict[str, Any]]:
    """A catalogue of that many products."""
    return large(count)
