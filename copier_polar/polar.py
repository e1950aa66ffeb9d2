"""Polar's API for commands, asked at Polar's pace; the answers are read as plain JSON.

The SDK's client carries the requests: address, token, version header, time-outs. Its models are left out: they take
half a second to import, and refuse an answer with one field too few or one status too new.
"""

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self, TypeVar
from urllib.parse import quote

from copier_polar.bridge import DemoProblem, PolarGoneProblem, PolarProblem, SettingsProblem
from copier_polar.console import note

if TYPE_CHECKING:
    import httpx
    from polar.base import SyncClientBase

    from copier_polar.project import Opened

Json = dict[str, Any]
Result = TypeVar("Result")

# The addresses that the SDK has beside its services; a test holds them to it.
SERVERS = {"sandbox": "https://sandbox-api.polar.sh", "production": "https://api.polar.sh"}
# Polar allows 100 and 500 calls a minute, and the running app makes some of them.
CALLS_A_MINUTE = {"sandbox": 80, "production": 400}
TIMEOUT_SECONDS = 10.0
MAX_WAITS = 5
USUAL_WAIT_SECONDS = 60
LONGEST_WAIT_SECONDS = 300
PAGE_SIZE = 100
MAX_PAGES = 50
ALL_PAGES = 100_000


class TooManyPages(PolarProblem):
    """A list is longer than we read."""


class Pace:
    """Lets so many calls pass in any minute; the next one waits."""

    def __init__(
        self,
        calls_a_minute: int,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] | None = None,
    ) -> None:
        self._calls: deque[float] = deque(maxlen=calls_a_minute)
        self._clock = clock
        self._sleep = sleep or (lambda seconds: time.sleep(seconds))

    def wait(self, calls: int = 1) -> None:
        """Wait until a call may be made, and count it; several where the app made them."""
        for _ in range(calls):
            if len(self._calls) == self._calls.maxlen:
                self._sleep(max(0.0, self._calls[0] + 60 - self._clock()))
            self._calls.append(self._clock())


@dataclass(frozen=True)
class Answer:
    """What Polar answered, good or not."""

    status: int
    headers: Mapping[str, str]
    content: bytes

    @property
    def is_success(self) -> bool:
        """Whether Polar did what was asked."""
        return 200 <= self.status < 300

    @cached_property
    def body(self) -> object:
        """The JSON of the answer; None where it has none."""
        try:
            return json.loads(self.content)
        except (ValueError, RecursionError):
            return None

    @property
    def error(self) -> str:
        """Polar's name of the error; empty where the body has none, as with a version that is removed."""
        error = self.body.get("error") if isinstance(self.body, dict) else None
        return error if isinstance(error, str) else ""

    @property
    def retry_after(self) -> int | None:
        """The seconds that Polar asks to wait; a proxy before it may name a date instead."""
        seconds = self.headers.get("retry-after", "")
        return int(seconds) if seconds.isdecimal() and len(seconds) < 6 else None


class Polar:
    """Polar as the access token of the project sees it. A failure is a PolarProblem; status 0 means no answer.

    Where Polar says to come back later, it is asked again after that, unless that is for long.
    """

    def __init__(
        self,
        token: str,
        *,
        server: str,
        base_url: str | None,
        api_version: str,
        timeout: float = TIMEOUT_SECONDS,
    ) -> None:
        self.server, self.token, self.api_version = server, token, api_version
        self._address = base_url or SERVERS[server]
        self._timeout = timeout
        self.pace = Pace(CALLS_A_MINUTE[server])

    @cached_property
    def _client(self) -> SyncClientBase:
        # A third of a second to import: only what asks Polar pays for it.
        from polar.base import SyncClientBase

        return SyncClientBase(self._address, self.api_version, self.token, self._timeout)

    def close(self) -> None:
        """Close the connections."""
        if "_client" in self.__dict__:
            self._client.__exit__(None, None, None)

    def __enter__(self) -> Self:
        """Use it in a `with` block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it at the end of the block."""
        self.close()

    # Customers

    def customers(self) -> Iterator[Json]:
        """Return all customers, oldest first: what is new comes last, and shifts no page."""
        return self.pages("/v1/customers/", {"sorting": "created_at"}, ALL_PAGES)

    def customer(self, customer_id: str) -> Json:
        """Return a customer."""
        return self.call("GET", "/v1/customers/{id}", {"id": customer_id})

    def external_customer(self, external_id: str) -> Json:
        """Return the customer with this external id. Ids with a slash cannot be reached by path, however escaped."""
        found: Iterable[Json]
        if "/" in external_id or external_id in {".", ".."}:
            found = self.pages("/v1/customers/", {"query": external_id})
        else:
            found = [self.call("GET", "/v1/customers/external/{external_id}", {"external_id": external_id})]
        for customer in found:
            if customer.get("external_id") == external_id:
                return customer
        raise PolarGoneProblem("Polar answered 404 ResourceNotFound", 404, "ResourceNotFound")

    def customer_state(self, customer_id: str) -> Json:
        """Return the customer's state: live subscriptions and granted benefits."""
        return self.call("GET", "/v1/customers/{id}/state", {"id": customer_id})

    def link_customer(self, customer_id: str, external_id: str) -> Json:
        """Give a customer its external id, for good, and return it."""
        return self.call("PATCH", "/v1/customers/{id}", {"id": customer_id}, body={"external_id": external_id})

    # Webhooks

    def endpoints(self) -> Iterator[Json]:
        """Return all webhook endpoints."""
        return self.pages("/v1/webhooks/endpoints", {})

    def deliveries(self, query: Mapping[str, object]) -> Iterator[Json]:
        """Return attempts to deliver events, newest first; each shows its event."""
        return self.pages("/v1/webhooks/deliveries", query, ALL_PAGES)

    def redeliver(self, webhook_id: str) -> None:
        """Have an event delivered once more."""
        self.send("POST", "/v1/webhooks/events/{id}/redeliver", {"id": webhook_id})

    # Transport

    def pages(self, path: str, query: Mapping[str, object], max_pages: int = MAX_PAGES) -> Iterator[Json]:
        """Return the items of all pages. A list without end is an error: half of it would look like losses."""
        for page in range(1, max_pages + 1):
            answer = self.call("GET", path, query={**query, "page": page, "limit": PAGE_SIZE})
            items, pagination = answer.get("items"), answer.get("pagination")
            last = pagination.get("max_page") if isinstance(pagination, dict) else None
            readable = isinstance(items, list) and all(isinstance(item, dict) for item in items)
            if not readable or not isinstance(last, int):
                raise _unreadable(200)
            yield from items
            if page >= last:
                return
        raise TooManyPages("Polar answered 200 too many pages", 200, "too many pages")

    def call(
        self,
        method: str,
        path: str,
        ids: Mapping[str, str] | None = None,
        *,
        query: Mapping[str, object] | None = None,
        body: Mapping[str, object] | None = None,
    ) -> Json:
        """Send one request and return the JSON object of the answer."""
        answer = self.send(method, path, ids, query=query, body=body)
        if not isinstance(answer.body, dict):
            raise _unreadable(answer.status)
        return answer.body

    def send(
        self,
        method: str,
        path: str,
        ids: Mapping[str, str] | None = None,
        *,
        query: Mapping[str, object] | None = None,
        body: Mapping[str, object] | None = None,
    ) -> Answer:
        """Send one request and return a good answer."""
        answer = self.exchange(method, path, ids, query=query, body=None if body is None else dict(body))
        if not answer.is_success:
            raise _refusal(answer)
        return answer

    def exchange(
        self,
        method: str,
        path: str,
        ids: Mapping[str, str] | None = None,
        *,
        query: Mapping[str, object] | None = None,
        body: object = None,
    ) -> Answer:
        """Send one request when it is its turn and return the answer, good or not."""
        # The SDK does not escape ids in paths.
        escaped = {name: quote(value, safe="") for name, value in (ids or {}).items()}
        request = self._client.build_request(method, path, escaped, dict(query or {}), body)
        waits = 0
        while True:
            self.pace.wait()
            answer = self._sent(request)
            if answer.status != 429 or waits == MAX_WAITS or not wait_as_asked(answer.retry_after):
                return answer
            waits += 1

    def _sent(self, request: httpx.Request) -> Answer:
        from polar.base import PolarNetworkError

        try:
            response = self._client.send_request(request)
        except PolarNetworkError as error:
            cause = type(error.__cause__).__name__ if error.__cause__ else "network error"
            raise PolarProblem(f"No answer from Polar: {cause}", 0, cause) from error
        return Answer(response.status_code, response.headers, response.content)


def wait_as_asked(asked: float | None) -> bool:
    """Wait for as long as Polar asks, and say so. False where that is for too long."""
    seconds = USUAL_WAIT_SECONDS if asked is None else asked
    if seconds > LONGEST_WAIT_SECONDS:
        return False
    note(f"Polar asks to wait for {seconds} s.")
    time.sleep(seconds)
    return True


def patiently(ask: Callable[[], Result]) -> Result:
    """Have the app ask Polar; where Polar has it wait, again after that, unless that is for long."""
    waits = 0
    while True:
        try:
            return ask()
        except PolarProblem as problem:
            if problem.status != 429 or waits == MAX_WAITS or not wait_as_asked(problem.retry_after):
                raise
            waits += 1


def polar_of(opened: Opened, timeout: float = TIMEOUT_SECONDS) -> Polar:
    """Return Polar as the settings of a project have it. Raises DemoProblem for demo products, and SettingsProblem."""
    opened.require_settings()
    settings = opened.facts.settings
    if settings.server not in SERVERS:
        raise DemoProblem("demo products")
    token = opened.settings.get("POLAR_ACCESS_TOKEN")
    if token is None:
        raise SettingsProblem("POLAR_ACCESS_TOKEN: required in the environment of this command.")
    return Polar(
        token,
        server=settings.server,
        base_url=settings.base_url,
        api_version=opened.facts.api_version,
        timeout=timeout,
    )


def _unreadable(status: int) -> PolarProblem:
    return PolarProblem(f"Polar answered {status} unreadable", status, "unreadable")


def _refusal(answer: Answer) -> PolarProblem:
    """Return the error that an answer which is not good stands for."""
    is_gone = answer.status == 404 and answer.error == "ResourceNotFound"
    named = answer.error or "unreadable"
    detail = answer.body.get("detail") if isinstance(answer.body, dict) else None
    kind = PolarGoneProblem if is_gone else PolarProblem
    return kind(f"Polar answered {answer.status} {named}", answer.status, named, answer.retry_after, detail)
