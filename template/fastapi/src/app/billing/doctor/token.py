"""The access token, the API version and the clock, by what Polar answers."""

from collections.abc import Iterator
from datetime import UTC, date, datetime
from email.utils import parsedate_to_datetime

from app.billing.doctor.checks import SCOPES_DANGEROUS, SCOPES_NEEDED
from app.billing.doctor.examination import Examination, Found
from app.billing.doctor.skipped import Skipped
from app.billing.polar_sdk import API_VERSION, EARLIEST_REMOVAL

MAX_CLOCK_SKEW_SECONDS = 60
DAYS_OF_WARNING = 60


def polar_time(x: Examination) -> Iterator[Found]:
    """Compare this machine's clock with the date of Polar's answer."""
    date = x.polar.first.headers.get("date")
    if date is None:
        raise Skipped("Polar's answer has no date.")
    seconds = round((datetime.now(UTC) - parsedate_to_datetime(date)).total_seconds())
    if abs(seconds) > MAX_CLOCK_SKEW_SECONDS:
        yield Found("clock", f"is {'ahead' if seconds > 0 else 'behind'} by more than a minute")


def token_refused(x: Examination) -> Iterator[Found]:
    """Report a token that Polar does not take."""
    if x.polar.first.status == 401:
        yield Found("POLAR_ACCESS_TOKEN", f"is unknown to the {x.polar.server} server")


def token_scope_missing(x: Examination) -> Iterator[Found]:
    """Report scopes that the app needs and the token lacks."""
    for scope, method, path in SCOPES_NEEDED:
        if not _has_scope(x, method, path):
            yield Found("POLAR_ACCESS_TOKEN", f"lacks {scope}")


def token_scope_extra(x: Examination) -> Iterator[Found]:
    """Report scopes that move money or change what is sold."""
    for scope, method, path in SCOPES_DANGEROUS:
        if _has_scope(x, method, path):
            yield Found("POLAR_ACCESS_TOKEN", f"has {scope}")


def api_version_removed(x: Examination) -> Iterator[Found]:
    """Report an API version that Polar does not have any more."""
    if x.polar.first.is_version_removed:
        yield Found(f"API version {API_VERSION}", "Polar answers 404 to everything")


def api_version_ending(_x: Examination) -> Iterator[Found]:
    """Report an API version near its end."""
    if (date.fromisoformat(EARLIEST_REMOVAL) - datetime.now(UTC).date()).days <= DAYS_OF_WARNING:
        yield Found(f"API version {API_VERSION}", f"may be removed from {EARLIEST_REMOVAL} on")


def _has_scope(x: Examination, method: str, path: str) -> bool:
    answer = x.polar.ask(method, path, body=None if method == "GET" else [])
    if answer.status in {401, 429} or answer.status >= 500 or answer.is_version_removed:
        raise Skipped(answer.refusal)
    return not (answer.status == 403 and answer.error == "insufficient_scope")
