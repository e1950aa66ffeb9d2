"""Polar's API for commands: the calls that only they make, no faster than Polar allows."""

import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import Literal

import httpx

from app.billing.commands.console import note
from app.billing.polar import TIMEOUT_SECONDS, PolarApi, refusal
from app.billing.read import Json

# Polar allows 100 and 500 calls a minute, and the running app makes some of them.
CALLS_A_MINUTE = {"sandbox": 80, "production": 400}
MAX_WAITS = 5
USUAL_WAIT_SECONDS = 60
LONGEST_WAIT_SECONDS = 300
MAX_PAGES = 100_000


class Pace:
    """Lets so many calls pass in any minute; the next one waits."""

    def __init__(
        self,
        calls_a_minute: int,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        self._calls: deque[float] = deque(maxlen=calls_a_minute)
        self._clock = clock
        self._sleep = sleep

    def wait(self) -> None:
        """Wait for a turn."""
        if len(self._calls) == self._calls.maxlen:
            self._sleep(max(0.0, self._calls[0] + 60 - self._clock()))
        self._calls.append(self._clock())


class OperatorPolar(PolarApi):
    """Polar's API, asked at a steady pace, and asked again where it says to come back later."""

    def __init__(
        self,
        access_token: str,
        *,
        environment: Literal["production", "sandbox"],
        base_url: str | None = None,
        timeout: float = TIMEOUT_SECONDS,
    ) -> None:
        super().__init__(access_token, environment=environment, base_url=base_url, timeout=timeout)
        self._pace = Pace(CALLS_A_MINUTE[environment])

    def customers(self) -> Iterator[Json]:
        """Return all customers, oldest first: what is new comes last, and shifts no page."""
        return self.pages("/v1/customers/", {"sorting": "created_at"}, MAX_PAGES)

    def customer(self, customer_id: str) -> Json:
        """Return a customer."""
        return self.call("GET", "/v1/customers/{id}", {"id": customer_id})

    def link_customer(self, customer_id: str, external_id: str) -> Json:
        """Give a customer its external id, once and for all, and return it."""
        return self.call("PATCH", "/v1/customers/{id}", {"id": customer_id}, body={"external_id": external_id})

    def endpoints(self) -> Iterator[Json]:
        """Return all webhook endpoints."""
        return self.pages("/v1/webhooks/endpoints", {})

    def deliveries(self, query: Mapping[str, object]) -> Iterator[Json]:
        """Return attempts to deliver events, newest first; each shows its event."""
        return self.pages("/v1/webhooks/deliveries", query, MAX_PAGES)

    def redeliver(self, webhook_id: str) -> None:
        """Have an event delivered once more."""
        self.send("POST", "/v1/webhooks/events/{id}/redeliver", {"id": webhook_id})

    def exchange(
        self,
        method: str,
        path: str,
        ids: Mapping[str, str] | None = None,
        *,
        query: Mapping[str, object] | None = None,
        body: object = None,
    ) -> httpx.Response:
        """Send one request when it is its turn; where Polar has it wait, again after that, unless that is for long."""
        waits = 0
        while True:
            self._pace.wait()
            response = super().exchange(method, path, ids, query=query, body=body)
            if response.status_code != 429 or waits == MAX_WAITS:
                return response
            asked = refusal(response).retry_after
            seconds = USUAL_WAIT_SECONDS if asked is None else asked
            if seconds > LONGEST_WAIT_SECONDS:
                return response
            note(f"Polar asks to wait for {seconds} s.")
            time.sleep(seconds)
            waits += 1
