"""The version of Polar's API that projects speak: read from copier.yml, the only place that names it."""

from __future__ import annotations

import datetime as dt

import yaml

from tests.support.render import ROOT

_QUESTION = yaml.safe_load((ROOT / "copier.yml").read_text())["polar_api_version"]
API_VERSION: str = _QUESTION["default"]
API_VERSIONS: tuple[str, ...] = tuple(_QUESTION["choices"])


def module_name(version: str = API_VERSION) -> str:
    """The package of polar-sdk that speaks it."""
    return f"polar.v{version.replace('-', '_')}"


def disappears(version: str) -> dt.date:
    """The first day on which a version may be gone.

    Releases come with each quarter, and a version that is neither Next, Current nor Deprecated is removed: what was
    released in a quarter is Current until the next release, and Deprecated until the one after (Polar's documentation,
    API reference, versioning). A version that stays Current for longer than a quarter is gone later than this says.
    """
    year, month = map(int, version.split("-"))
    months = year * 12 + month - 1 + 6
    return dt.date(months // 12, months % 12 + 1, 1)
