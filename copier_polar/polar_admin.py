"""What commands ask of Polar that can do nothing without it: where it refuses, they end with one line that says why."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NoReturn, Self

from copier_polar.bridge import DemoProblem, PolarGoneProblem, PolarProblem
from copier_polar.console import NO_ANSWER, Refused
from copier_polar.polar import MAX_PAGES, PAGE_SIZE, Json, Polar, TooManyPages, polar_of

if TYPE_CHECKING:
    from copier_polar.project import Opened

LONGEST_MESSAGE = 300


class PolarAdmin:
    """Polar as the access token of the project sees it. Its failures are `Refused`: no command can do without Polar."""

    def __init__(self, polar: Polar) -> None:
        self._polar = polar

    @classmethod
    def of(cls, opened: Opened) -> Self:
        """Return it for a project. Raises Refused where the products are demo products."""
        try:
            return cls(polar_of(opened))
        except DemoProblem:
            raise Refused(
                "The products are demo products, so there is no Polar to ask: connect your account first."
            ) from None

    def __enter__(self) -> Self:
        """Use it in a `with` block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it at the end of the block."""
        self._polar.close()

    def items(self, path: str, scope: str) -> list[Json]:
        """Return all items of a list, which needs this scope. A list without end is an error, not half a list."""
        try:
            found = list(self._polar.pages(path, {}))
        except TooManyPages:
            raise Refused(
                f"Polar has more than {MAX_PAGES * PAGE_SIZE} entries in {path}, which is more than can be read."
            ) from None
        except PolarProblem as problem:
            self._refuse(problem, scope)
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
            answer = self._polar.send(method, path, ids, query=query, body=body)
        except PolarProblem as problem:
            self._refuse(problem, scope)
        if answer.status == 204:
            return {}
        if not isinstance(answer.body, dict):
            raise Refused(unreadable(answer.status))
        return answer.body

    def _refuse(self, problem: PolarProblem, scope: str) -> NoReturn:
        raise Refused(_why(problem, scope, self._polar.api_version)) from None


def unreadable(status: int) -> str:
    """Say that an answer is none of Polar's API."""
    return f"Polar's answer ({status}) cannot be read: is POLAR_BASE_URL, or a proxy, in between?"


def _why(problem: PolarProblem, scope: str, api_version: str) -> str:
    """Say why Polar refused and what to do. What was asked is not repeated: it may be personal or secret."""
    match problem.status:
        case 0:
            return NO_ANSWER
        case 401:
            return "Polar refuses the access token: it is wrong, expired, or of another server than POLAR_SERVER says."
        case 403:
            return f"The access token lacks the scope {scope}: give it that in Settings > Developers at Polar."
        case 404 if isinstance(problem, PolarGoneProblem):
            return "Polar no longer has what was to be changed: run the command again."
        case 404:
            return f"Polar does not know API version {api_version} at this address: update the project."
        case 422 if complaints := _complaints(problem.detail):
            return f"Polar refuses the request: {complaints}"
        case 429:
            wait = "a minute" if problem.retry_after is None else f"{problem.retry_after} seconds"
            return f"Polar limits how often it is asked: try again in {wait}."
    if problem.status >= 500:
        return f"Polar has a fault of its own ({problem.status}): try again later."
    return unreadable(problem.status)


def _complaints(detail: object) -> str:
    """Read what a 422 complains about."""
    entries = [entry for entry in detail if isinstance(entry, dict)] if isinstance(detail, list) else []
    told = (f"{_where(entry.get('loc'))}: {entry.get('msg')}" for entry in entries)
    return "; ".join(told)[:LONGEST_MESSAGE]


def _where(location: object) -> str:
    return ".".join(str(part) for part in location if part != "body") if isinstance(location, list) else "request"
