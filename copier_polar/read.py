"""Tolerant reading of Polar's JSON: absent or odd fields are None, new ones do not matter."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from copier_polar.polar import Json

MAX_INTEGER = 2**53 - 1
# PostgreSQL takes no NUL in a text, and no database takes half a surrogate pair.
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


def text(source: Mapping[str, Any], name: str) -> str | None:
    """Return a text that every database can store."""
    value = source.get(name)
    return _UNSTORABLE.sub("", value) if isinstance(value, str) else None


def integer(source: Mapping[str, Any], name: str) -> int | None:
    """Return a whole number that JSON can carry without loss. True and False are none."""
    value = source.get(name)
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) > MAX_INTEGER:
        return None
    return value


def mapping(source: Mapping[str, Any], name: str) -> Json:
    """Return an object; an empty one where there is none."""
    value = source.get(name)
    return value if isinstance(value, dict) else {}


def objects(source: Mapping[str, Any], name: str) -> list[Json] | None:
    """Return the objects of a list; None where there is no list."""
    value = source.get(name)
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else None
