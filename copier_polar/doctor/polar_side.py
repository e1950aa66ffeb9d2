"""Asking Polar, with answers as they are: status, headers, JSON."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from itertools import islice
from typing import TypeVar

from copier_polar.bridge import PolarGoneProblem, PolarProblem
from copier_polar.doctor.skipped import Skipped
from copier_polar.polar import PAGE_SIZE, Answer, Json, Polar, TooManyPages

LIMITED = "Polar limits how often it is asked; try later."
REASONS = {
    0: "No answer from Polar.",
    200: "Polar's answer cannot be read.",
    401: "Polar refuses the token.",
    403: "The token lacks a scope.",
    429: LIMITED,
}

Told = TypeVar("Told")


def is_version_removed(answer: Answer) -> bool:
    """Whether Polar does not know the API version: 404 with nothing but a detail."""
    return answer.status == 404 and not answer.error


def refusal(answer: Answer) -> str:
    """Say why an answer is no use."""
    return _reason(answer.status)


class PolarSide:
    """Polar as the token of the project sees it; each list is asked for once.

    Where Polar does not answer, or has us wait for too long, nothing more is asked: each check would wait once more.
    """

    def __init__(self, polar: Polar) -> None:
        self.server, self.token = polar.server, polar.token
        self._polar = polar
        self._silent: str | None = None

    def close(self) -> None:
        """Close the connections."""
        self._polar.close()

    def ask(self, method: str, path: str, query: Mapping[str, object] | None = None, body: object = None) -> Answer:
        """Send one request."""
        answer = self._told(lambda: self._polar.exchange(method, path, query=query, body=body))
        if answer.status == 429:
            self._silent = LIMITED
        return answer

    @cached_property
    def first(self) -> Answer:
        """The answer to a plain question: it tells of token, API version and clock."""
        return self.ask("GET", "/v1/products/", {"limit": 1})

    @cached_property
    def products(self) -> list[Json]:
        """All products, archived ones too."""
        return self._told(lambda: list(self._polar.pages("/v1/products/", {})))

    @cached_property
    def endpoints(self) -> list[Json]:
        """All webhook endpoints."""
        return self._told(lambda: list(self._polar.endpoints()))

    def deliveries(self, endpoint_id: str) -> list[Json]:
        """Return the newest deliveries to an endpoint."""
        return self._told(lambda: list(islice(self._polar.deliveries({"endpoint_id": endpoint_id}), PAGE_SIZE)))

    def customer_state(self, customer_id: str) -> Json | None:
        """Return a customer's state; None where Polar has no such customer."""
        return self._told(lambda: self._state(customer_id))

    def _state(self, customer_id: str) -> Json | None:
        try:
            return self._polar.customer_state(customer_id)
        except PolarGoneProblem:
            return None

    def _told(self, ask: Callable[[], Told]) -> Told:
        if self._silent:
            raise Skipped(self._silent)
        try:
            return ask()
        except TooManyPages:
            raise Skipped("Polar's list is longer than can be read.") from None
        except PolarProblem as problem:
            if problem.status in {0, 429}:
                self._silent = _reason(problem.status)
            raise Skipped(_reason(problem.status)) from None


def _reason(status: int) -> str:
    return REASONS.get(status, f"Polar answered {status}.")
