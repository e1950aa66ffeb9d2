"""Asking Polar, with answers as they are: status, headers, JSON."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import Literal, TypeVar

from app.billing.commands.polar import OperatorPolar
from app.billing.doctor.skipped import Skipped
from app.billing.polar import PAGE_SIZE, PolarApiError, TooManyPages
from app.billing.read import Json
from app.billing.reconcile import PolarGone

TIMEOUT_SECONDS = 10.0
LIMITED = "Polar limits how often it is asked; try later."
REASONS = {
    0: "No answer from Polar.",
    200: "Polar's answer cannot be read.",
    401: "Polar refuses the token.",
    403: "The token lacks a scope.",
    429: LIMITED,
}

Told = TypeVar("Told")


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
        return _reason(self.status)


class PolarSide:
    """Polar as the token of the project sees it; each list is asked for once.

    Where Polar does not answer, or has us wait for too long, nothing more is asked: each check would wait once more.
    """

    def __init__(self, token: str, server: Literal["sandbox", "production"], base_url: str | None) -> None:
        self.server = server
        self.token = token
        self._api = OperatorPolar(token, environment=server, base_url=base_url, timeout=TIMEOUT_SECONDS)
        self._silent: str | None = None

    def ask(self, method: str, path: str, query: Mapping[str, object] | None = None, body: object = None) -> Answer:
        """Send one request."""
        response = self._told(lambda: self._api.exchange(method, path, query=query, body=body))
        if response.status_code == 429:
            self._silent = LIMITED
        return Answer(response.status_code, response.headers, _json(response.content))

    @cached_property
    def first(self) -> Answer:
        """The answer to a plain question: it tells of token, API version and clock."""
        return self.ask("GET", "/v1/products/", {"limit": 1})

    @cached_property
    def products(self) -> list[Json]:
        """All products, archived ones too."""
        return self._told(lambda: list(self._api.pages("/v1/products/", {})))

    @cached_property
    def endpoints(self) -> list[Json]:
        """All webhook endpoints."""
        return self._told(lambda: list(self._api.endpoints()))

    def deliveries(self, endpoint_id: str) -> list[Json]:
        """Return the newest deliveries to an endpoint."""
        return self._told(lambda: list(islice(self._api.deliveries({"endpoint_id": endpoint_id}), PAGE_SIZE)))

    def customer_state(self, customer_id: str) -> Json | None:
        """Return a customer's state; None where Polar has no such customer."""
        return self._told(lambda: self._state(customer_id))

    def _state(self, customer_id: str) -> Json | None:
        try:
            return self._api.customer_state(customer_id)
        except PolarGone:
            return None

    def _told(self, ask: Callable[[], Told]) -> Told:
        if self._silent:
            raise Skipped(self._silent)
        try:
            return ask()
        except TooManyPages:
            raise Skipped("Polar's list is longer than can be read.") from None
        except PolarApiError as error:
            if error.status in {0, 429}:
                self._silent = _reason(error.status)
            raise Skipped(_reason(error.status)) from None


def _reason(status: int) -> str:
    return REASONS.get(status, f"Polar answered {status}.")


def _json(content: bytes) -> object:
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return None
