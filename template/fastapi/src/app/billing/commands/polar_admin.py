"""What commands ask of Polar that can do nothing without it: where it refuses, they end with one line that says why."""

from collections.abc import Mapping
from types import TracebackType

from app.billing.commands.console import NO_ANSWER, Refused
from app.billing.commands.polar import OperatorPolar
from app.billing.polar import (
    MAX_PAGES,
    PAGE_SIZE,
    PolarApiError,
    PolarNotFound,
    TooManyPages,
    json_object,
)
from app.billing.polar_sdk import API_VERSION
from app.billing.read import Json
from app.settings import Settings

TIMEOUT_SECONDS = 10.0
LONGEST_MESSAGE = 300


class PolarAdmin:
    """Polar as the access token of the project sees it. Its failures are `Refused`: no command can do without Polar."""

    def __init__(self, settings: Settings) -> None:
        """Raise Refused where the products are demo products."""
        if settings.polar_server == "demo" or settings.polar_access_token is None:
            raise Refused("The products are demo products, so there is no Polar to ask: connect your account first.")
        self._api = OperatorPolar(
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
        self._api.close()

    def items(self, path: str, scope: str) -> list[Json]:
        """Return all items of a list, which needs this scope. A list without end is an error, not half a list."""
        try:
            found = list(self._api.pages(path, {}))
        except TooManyPages:
            raise Refused(
                f"Polar has more than {MAX_PAGES * PAGE_SIZE} entries in {path}, which is more than can be read."
            ) from None
        except PolarApiError as error:
            raise Refused(_refusal(error, scope)) from None
        if not all(isinstance(item.get("id"), str) for item in found):
            raise Refused(unreadable(200))
        return found

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
        try:
            status, content = self._api.send(method, path, ids, query=query, body=body)
        except PolarApiError as error:
            raise Refused(_refusal(error, scope)) from None
        answer = {} if status == 204 else json_object(content)
        if answer is None:
            raise Refused(unreadable(status))
        return answer


def unreadable(status: int) -> str:
    """Say that an answer is none of Polar's API."""
    return f"Polar's answer ({status}) cannot be read: is POLAR_BASE_URL, or a proxy, in between?"


def _refusal(error: PolarApiError, scope: str) -> str:
    """Say why Polar refused and what to do. What was asked is not repeated: it may be personal or secret."""
    match error.status:
        case 0:
            return NO_ANSWER
        case 401:
            return "Polar refuses the access token: it is wrong, expired, or of another server than POLAR_SERVER says."
        case 403:
            return f"The access token lacks the scope {scope}: give it that in Settings > Developers at Polar."
        case 404 if isinstance(error, PolarNotFound):
            return "Polar no longer has what was to be changed: run the command again."
        case 404:
            return f"Polar does not know API version {API_VERSION} at this address: update the project."
        case 422 if problems := _problems(error.detail):
            return f"Polar refuses the request: {problems}"
        case 429:
            wait = "a minute" if error.retry_after is None else f"{error.retry_after} seconds"
            return f"Polar limits how often it is asked: try again in {wait}."
    if error.status >= 500:
        return f"Polar has a fault of its own ({error.status}): try again later."
    return unreadable(error.status)


def _problems(detail: object) -> str:
    """Read what a 422 complains about."""
    entries = [entry for entry in detail if isinstance(entry, dict)] if isinstance(detail, list) else []
    told = (f"{_where(entry.get('loc'))}: {entry.get('msg')}" for entry in entries)
    return "; ".join(told)[:LONGEST_MESSAGE]


def _where(location: object) -> str:
    return ".".join(str(part) for part in location if part != "body") if isinstance(location, list) else "request"
