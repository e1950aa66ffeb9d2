"""The access token, the API version and the clock, by what Polar answers."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from email.utils import parsedate_to_datetime

from copier_polar import generated
from copier_polar.doctor.checks import SCOPE_OF_SUBSCRIPTIONS, SCOPES_DANGEROUS, SCOPES_NEEDED, ScopeProbe
from copier_polar.doctor.examination import Examination, Found
from copier_polar.doctor.polar_side import is_version_removed, refusal
from copier_polar.doctor.skipped import Skipped

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
    sells_subscriptions = generated.sells_subscriptions(x.opened.project.answers)
    for probe in SCOPES_NEEDED:
        is_needed = sells_subscriptions or probe.scope != SCOPE_OF_SUBSCRIPTIONS
        if is_needed and not _has_scope(x, probe):
            yield Found("POLAR_ACCESS_TOKEN", f"lacks {probe.scope}")


def token_scope_extra(x: Examination) -> Iterator[Found]:
    """Report scopes that move money or change what is sold."""
    for probe in SCOPES_DANGEROUS:
        if _has_scope(x, probe):
            yield Found("POLAR_ACCESS_TOKEN", f"has {probe.scope}")


def api_version_removed(x: Examination) -> Iterator[Found]:
    """Report an API version that Polar does not have any more."""
    if is_version_removed(x.polar.first):
        yield Found(f"API version {x.facts.api_version}", "Polar answers 404 to everything")


def api_version_ending(x: Examination) -> Iterator[Found]:
    """Report an API version near its end."""
    ends = x.facts.earliest_removal
    if (date.fromisoformat(ends) - datetime.now(UTC).date()).days <= DAYS_OF_WARNING:
        yield Found(f"API version {x.facts.api_version}", f"may be removed from {ends} on")


def _has_scope(x: Examination, probe: ScopeProbe) -> bool:
    answer = x.polar.ask(probe.method, probe.path, body=None if probe.method == "GET" else [])
    if answer.status in {401, 429} or answer.status >= 500 or is_version_removed(answer):
        raise Skipped(refusal(answer))
    return not (answer.status == 403 and answer.error == "insufficient_scope")
