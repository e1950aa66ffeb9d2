"""Filter that says when a dated version of Polar's API may be gone: projects and tests count no months themselves."""

from __future__ import annotations

import datetime as dt

from jinja2 import Environment
from jinja2.ext import Extension

_MONTHS_BETWEEN_RELEASES = 3


def earliest_removal(version: str) -> dt.date:
    """The first day on which a version may be gone, and every request with it be answered with 404.

    Releases come in the first week of each quarter, and a version that is neither Next, Current nor Deprecated is
    removed: what was released in a quarter is Current until the next release, and Deprecated until the one after
    (Polar's documentation, API reference, versioning). The nine months that Polar speaks of begin a quarter earlier,
    while a version is Next. One that stays Current for longer than a quarter is gone later than this says.
    """
    year, month = map(int, version.split("-"))
    months = year * 12 + month - 1 + 2 * _MONTHS_BETWEEN_RELEASES
    return dt.date(months // 12, months % 12 + 1, 1)


class ApiVersion(Extension):
    """Registers the filter."""

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        environment.filters["earliest_removal"] = lambda version: earliest_removal(version).isoformat()
