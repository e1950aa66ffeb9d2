"""Instants are whole microseconds since 1970, UTC: they compare exactly, in Python and in every database."""

import re
from datetime import UTC, datetime, timedelta

SECOND = 1_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR

_INSTANT = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)", re.ASCII)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EPOCH_UTC = _EPOCH.replace(tzinfo=None)
_MICROSECOND = timedelta(microseconds=1)
_LAST = (datetime.max - _EPOCH_UTC) // _MICROSECOND


def to_micros(text: str) -> int | None:
    """Read an ISO 8601 instant with its offset. None if the text is not one."""
    if not _INSTANT.fullmatch(text):
        return None
    try:
        moment = datetime.fromisoformat(text)
        return (moment.astimezone(UTC) - _EPOCH) // _MICROSECOND  # refuses years that could not be written again
    except (ValueError, OverflowError):
        return None


def to_iso(micros: int | None) -> str | None:
    """Write an instant as `YYYY-MM-DDTHH:MM:SS.ffffffZ`, always with six digits.

    A plan for life ends in the year 9999; a leeway after that is beyond what can be written.
    """
    if micros is None:
        return None
    return (_EPOCH_UTC + timedelta(microseconds=min(micros, _LAST))).isoformat(timespec="microseconds") + "Z"
