"""What only commands ask of Polar, such as webhook endpoints: raw answers, and one line where it refuses."""

import json
from collections.abc import Mapping
from types import TracebackType

from polar import PolarNetworkError

from app.billing.commands.console import Refused
from app.billing.polar_sdk import API_VERSION, sdk
from app.billing.read import Json, mapping
from app.settings import Settings

PAGE_SIZE = 100
MAX_PAGES = 50
TIMEOUT_SECONDS = 10.0
LONGEST_MESSAGE = 300


class PolarAdmin:
    """Polar as the access token of the project sees it. Its failures are `Refused`: no command can do without Polar."""

    def __init__(self, settings: Settings) -> None:
        """Raise Refused where the products are demo products."""
        if settings.polar_server == "demo" or settings.polar_access_token is None:
            raise Refused("The products are demo products, so there is no Polar to ask: connect your account first.")
        self._sdk = sdk.Polar(
            settings.polar_access_token.get_secret_value(),
            environment=settings.polar_server,
            base_url=settings.polar_base_url,
            timeout=TIMEOUT_SECONDS,
        )

    def __enter__(self) -> "PolarAdmin":
        """Use it in a `with` block: its connections are closed at the end."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connections."""
        self._sdk.__exit__(kind, error, trace)

    def items(self, path: str, scope: str) -> list[Json]:
        """Return all items of a list, which needs this scope. A list without end is an error, not half a list."""
        found: list[Json] = []
        for page in range(1, MAX_PAGES + 1):
            answer = self.ask("GET", path, scope, query={"page": page, "limit": PAGE_SIZE})
            items, last = answer.get("items"), mapping(answer, "pagination").get("max_page")
            if not isinstance(items, list) or not isinstance(last, int):
                raise Refused(unreadable(200))
            if not all(isinstance(item, dict) and isinstance(item.get("id"), str) for item in items):
                raise Refused(unreadable(200))
            found += items
            if page >= last:
                return found
        raise Refused(f"Polar has more than {MAX_PAGES * PAGE_SIZE} entries in {path}, which is more than can be read.")

    def ask(
        self,
        method: str,
        path: str,
        scope: str,
        *,
        ids: Mapping[str, str] | None = None,
        query: Mapping[str, object] | None = None,
        body: Mapping[str, object] | None = None,
    ) -> Json:
        """Send one request, which needs this scope, and return the answer: an object, empty where there is none."""
        client = self._sdk.products.client
        request = client.build_request(method, path, dict(ids or {}), dict(query or {}), body and dict(body))
        try:
            response = client.send_request(request)
        except PolarNetworkError:
            raise Refused("Polar does not answer: look at the network, and at POLAR_BASE_URL if it is set.") from None
        if response.status_code == 204:
            return {}
        answer = _parsed(response.content)
        if not response.is_success:
            raise Refused(_refusal(response.status_code, answer, response.headers.get("retry-after"), scope))
        if answer is None:
            raise Refused(unreadable(response.status_code))
        return answer


def unreadable(status: int) -> str:
    """Say that an answer is none of Polar's API."""
    return f"Polar's answer ({status}) cannot be read: is POLAR_BASE_URL, or a proxy, in between?"


def _refusal(status: int, answer: Json | None, retry_after: str | None, scope: str) -> str:
    """Say why Polar refused and what to do. What was asked is not repeated: it may be personal or secret."""
    match status:
        case 401:
            return "Polar refuses the access token: it is wrong, expired, or of another server than POLAR_SERVER says."
        case 403:
            return f"The access token lacks the scope {scope}: give it that in Settings > Developers at Polar."
        case 404 if answer and answer.get("error") == "ResourceNotFound":
            return "Polar no longer has what was to be changed: run the command again."
        case 404:
            return f"Polar does not know API version {API_VERSION} at this address: update the project."
        case 422 if problems := _problems(answer or {}):
            return f"Polar refuses the request: {problems}"
        case 429:
            wait = f"{retry_after} seconds" if retry_after and retry_after.isdecimal() else "a minute"
            return f"Polar limits how often it is asked: try again in {wait}."
    return f"Polar has a fault of its own ({status}): try again later." if status >= 500 else unreadable(status)


def _problems(answer: Json) -> str:
    """Read what a 422 complains about."""
    detail = answer.get("detail")
    entries = [entry for entry in detail if isinstance(entry, dict)] if isinstance(detail, list) else []
    told = (f"{_where(entry.get('loc'))}: {entry.get('msg')}" for entry in entries)
    return "; ".join(told)[:LONGEST_MESSAGE]


def _where(location: object) -> str:
    return ".".join(str(part) for part in location if part != "body") if isinstance(location, list) else "request"


def _parsed(content: bytes) -> Json | None:
    try:
        value = json.loads(content)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
