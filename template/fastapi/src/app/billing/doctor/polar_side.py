"""Asking Polar, with answers as they are: status, headers, JSON."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from polar import PolarNetworkError

from app.billing.doctor.skipped import Skipped
from app.billing.polar_sdk import sdk
from app.billing.read import Json, mapping

PAGE_SIZE = 100
MAX_PAGES = 50
TIMEOUT_SECONDS = 10.0


@dataclass(frozen=True)
class Answer:
    """What Polar answered."""

    status: int
    headers: Mapping[str, str]
    body: object

    @property
    def error(self) -> str:
        """Polar's name of the error; empty where the body has none, as with a version that is removed."""
        error = self.body.get("error") if isinstance(self.body, dict) else None
        return error if isinstance(error, str) else ""

    @property
    def is_version_removed(self) -> bool:
        """Whether Polar does not know the API version: 404 with nothing but a detail."""
        return self.status == 404 and not self.error

    @property
    def refusal(self) -> str:
        """Why the answer is no use."""
        reasons = {
            401: "Polar refuses the token.",
            403: "The token lacks a scope.",
            429: "Polar limits how often it is asked; try later.",
        }
        return reasons.get(self.status, f"Polar answered {self.status}.")


class PolarSide:
    """Polar as the token of the project sees it; each list is asked for once."""

    def __init__(self, token: str, server: Literal["sandbox", "production"], base_url: str | None) -> None:
        self.server = server
        self.token = token
        self._sdk = sdk.Polar(token, environment=server, base_url=base_url, timeout=TIMEOUT_SECONDS)
        self._reached = True

    def ask(self, method: str, path: str, query: Mapping[str, object] | None = None, body: object = None) -> Answer:
        """Send one request. Where Polar does not answer, nothing more is asked: each would wait for a time-out."""
        if not self._reached:
            raise Skipped("No answer from Polar.")
        client = self._sdk.products.client
        try:
            response = client.send_request(client.build_request(method, path, {}, dict(query or {}), body))
        except PolarNetworkError:
            self._reached = False
            raise Skipped("No answer from Polar.") from None
        return Answer(response.status_code, response.headers, _json(response.content))

    @cached_property
    def first(self) -> Answer:
        """The answer to a plain question: it tells of token, API version and clock."""
        return self.ask("GET", "/v1/products/", {"limit": 1})

    @cached_property
    def products(self) -> list[Json]:
        """All products, archived ones too."""
        return self.all("/v1/products/")

    @cached_property
    def endpoints(self) -> list[Json]:
        """All webhook endpoints."""
        return self.all("/v1/webhooks/endpoints")

    def all(self, path: str, query: Mapping[str, object] | None = None) -> list[Json]:
        """Return all items of a list."""
        items: list[Json] = []
        for page in range(1, MAX_PAGES + 1):
            found, last = self.page(path, page, query)
            items += found
            if page >= last:
                break
        return items

    def page(self, path: str, page: int, query: Mapping[str, object] | None = None) -> tuple[list[Json], int]:
        """Return one page of a list and the number of the last."""
        answer = self.ask("GET", path, {**(query or {}), "page": page, "limit": PAGE_SIZE})
        body = answer.body
        if answer.status != 200 or not isinstance(body, dict) or not isinstance(body.get("items"), list):
            raise Skipped(answer.refusal)
        last = mapping(body, "pagination").get("max_page")
        return [item for item in body["items"] if isinstance(item, dict)], last if isinstance(last, int) else page


def _json(content: bytes) -> object:
    try:
        return json.loads(content)
    except ValueError:
        return None
