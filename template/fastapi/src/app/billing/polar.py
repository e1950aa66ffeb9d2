"""Polar's API: the SDK's client carries the requests (address, token, version header, time-outs), the answers are read
as plain JSON. The SDK's own models refuse an answer with one field too few or one status too new; we use few fields."""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Literal
from urllib.parse import quote

import httpx
from polar import PolarNetworkError

from app.billing.polar_loop import PolarLoop
from app.billing.polar_sdk import sdk
from app.billing.read import Json
from app.billing.reconcile import PolarGone

TIMEOUT_SECONDS = 5.0
# A change may charge a card within the request; giving up early would look like a failure and is none.
CHANGE_TIMEOUT_SECONDS = 30.0
PAGE_SIZE = 100
MAX_PAGES = 50


class PolarApiError(Exception):
    """Polar refused, or did not answer as expected. `status` is 0 when there was no answer at all."""

    def __init__(self, status: int, error: str, detail: object = None, retry_after: int | None = None) -> None:
        self.status = status
        self.error = error
        self.detail = detail
        self.retry_after = retry_after
        super().__init__(f"Polar answered {status} {error}" if status else f"No answer from Polar: {error}")

    def locations(self) -> set[str]:
        """Return the names of the fields that a 422 complains about."""
        entries = self.detail if isinstance(self.detail, list) else []
        return {str(part) for entry in entries if isinstance(entry, dict) for part in _as_list(entry.get("loc"))}


class PolarNotFound(PolarApiError, PolarGone):
    """Polar says that this object does not exist. An expired API version also answers 404, but not this one."""


class TooManyPages(PolarApiError):
    """A list is longer than we read."""


class PolarApi:
    """The calls that billing makes. Safe to share between threads."""

    def __init__(
        self,
        access_token: str,
        *,
        environment: Literal["production", "sandbox"],
        base_url: str | None = None,
        timeout: float = TIMEOUT_SECONDS,
        change_timeout: float = CHANGE_TIMEOUT_SECONDS,
    ) -> None:
        self._timeout = timeout
        self._change_timeout = change_timeout
        self._loop = PolarLoop()
        self._sdk = sdk.PolarAsync(access_token, environment=environment, base_url=base_url, timeout=timeout)
        self._client = self._sdk.products.client
        self.calls = 0  # how many requests were sent

    def close(self) -> None:
        """Close the connections."""
        self._loop.stop(self._sdk.__aexit__(None, None, None), self._timeout)

    # Customers

    def create_customer(self, body: Mapping[str, object]) -> Json:
        """Create a customer."""
        created = self.call("POST", "/v1/customers/", body=body)
        if not isinstance(created.get("id"), str):
            raise PolarApiError(201, "unreadable")
        return created

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
        raise PolarNotFound(404, "ResourceNotFound")

    def customer_state(self, customer_id: str) -> Json:
        """Return the customer's state: live subscriptions and granted benefits."""
        return self.call("GET", "/v1/customers/{customer_id}/state", {"customer_id": customer_id})

    def create_customer_session(self, body: Mapping[str, object]) -> Json:
        """Create a session of Polar's customer portal."""
        return self.call("POST", "/v1/customer-sessions/", body=body)

    # Checkouts

    def create_checkout(self, body: Mapping[str, object]) -> Json:
        """Create a checkout."""
        return self.call("POST", "/v1/checkouts/", body=body)

    def checkout(self, checkout_id: str) -> Json:
        """Return a checkout."""
        return self.call("GET", "/v1/checkouts/{checkout_id}", {"checkout_id": checkout_id})

    # Purchases

    def update_subscription(self, subscription_id: str, body: Mapping[str, object]) -> Json:
        """Change a subscription and return it."""
        path, ids = "/v1/subscriptions/{subscription_id}", {"subscription_id": subscription_id}
        return self.call("PATCH", path, ids, body=body)

    def subscription(self, subscription_id: str) -> Json:
        """Return a subscription."""
        return self.call("GET", "/v1/subscriptions/{subscription_id}", {"subscription_id": subscription_id})

    def subscriptions(self, customer_id: str) -> Iterator[Json]:
        """Return all subscriptions of a customer, whatever their status."""
        return self.pages("/v1/subscriptions/", {"customer_id": customer_id})

    def orders(self, customer_id: str) -> Iterator[Json]:
        """Return all orders of a customer."""
        return self.pages("/v1/orders/", {"customer_id": customer_id})

    def grants(self, customer_id: str) -> Iterator[Json]:
        """Return all benefit grants of a customer, revoked ones included."""
        return self.pages("/v1/benefit-grants/", {"customer_id": customer_id})

    def disputes(self, order_id: str) -> list[Json] | None:
        """Return the disputes of an order; None where the token may not read them: then nothing is known of them."""
        try:
            return list(self.pages("/v1/disputes/", {"order_id": order_id}))
        except PolarApiError as error:
            if error.status == 403:
                return None
            raise

    # Transport

    def pages(self, path: str, query: Mapping[str, object]) -> Iterator[Json]:
        """Return the items of all pages. A list without end is an error: half of it would look like losses."""
        for page in range(1, MAX_PAGES + 1):
            answer = self.call("GET", path, query={**query, "page": page, "limit": PAGE_SIZE})
            items, pagination = answer.get("items"), answer.get("pagination")
            last = pagination.get("max_page") if isinstance(pagination, dict) else None
            if (
                not isinstance(items, list)
                or not all(isinstance(item, dict) for item in items)
                or not isinstance(last, int)
            ):
                raise PolarApiError(200, "unreadable")
            yield from items
            if page >= last:
                return
        raise TooManyPages(200, "too many pages")

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
        status, content = self.send(method, path, ids, query=query, body=body)
        answer = json_object(content)
        if answer is None:
            raise PolarApiError(status, "unreadable")
        return answer

    def send(
        self,
        method: str,
        path: str,
        ids: Mapping[str, str] | None = None,
        *,
        query: Mapping[str, object] | None = None,
        body: Mapping[str, object] | None = None,
    ) -> tuple[int, bytes]:
        """Send one request and return status and body of a good answer."""
        response = self.exchange(method, path, ids, query=query, body=None if body is None else dict(body))
        if not response.is_success:
            raise refusal(response)
        return response.status_code, response.content

    def exchange(
        self,
        method: str,
        path: str,
        ids: Mapping[str, str] | None = None,
        *,
        query: Mapping[str, object] | None = None,
        body: object = None,
    ) -> httpx.Response:
        """Send one request and return the answer, good or not. The SDK does not escape ids in paths: we do."""
        escaped = {name: quote(value, safe="") for name, value in (ids or {}).items()}
        timeout = self._change_timeout if method == "PATCH" else self._timeout
        request = self._client.build_request(method, path, escaped, dict(query or {}), body, request_timeout=timeout)
        self.calls += 1
        try:
            return self._loop.run(self._client.send_request(request), timeout)
        except TimeoutError as error:
            raise PolarApiError(0, "deadline") from error
        except PolarNetworkError as error:
            cause = type(error.__cause__).__name__ if error.__cause__ else "network error"
            raise PolarApiError(0, cause) from error


def refusal(response: httpx.Response) -> PolarApiError:
    """Return the error that an answer which is no good tells of."""
    answer = json_object(response.content) or {}
    error = answer.get("error")
    kind = PolarNotFound if response.status_code == 404 and error == "ResourceNotFound" else PolarApiError
    named = error if isinstance(error, str) else "unreadable"
    return kind(response.status_code, named, answer.get("detail"), _wait_asked(response))


def json_object(content: bytes) -> Json | None:
    """Return the JSON object in a body; None where it holds something else."""
    try:
        value = json.loads(content)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _wait_asked(response: httpx.Response) -> int | None:
    """Return the seconds that Polar asks to wait; a proxy before it may name a date instead."""
    seconds = response.headers.get("retry-after", "")
    return int(seconds) if seconds.isdecimal() and len(seconds) < 6 else None


def _as_list(value: object) -> list[object]:
    return value if isinstance(value, list) else []
