"""Tolerant reading of Polar's JSON: only the fields we use, absent or odd ones are None, new ones do not matter.

A status that is too new is kept as it is written; a webhook must not fail for a field that nobody reads.
"""

import re
from collections.abc import Mapping
from typing import Any

from app.billing.time import to_micros

Json = dict[str, Any]

MAX_INTEGER = 2**53 - 1
# PostgreSQL takes no NUL in a text, and no database takes half a surrogate pair.
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


class Unreadable(Exception):
    """A payload lacks what its type cannot do without; the message names the field, never its content."""


def text(source: Mapping[str, Any], name: str) -> str | None:
    """Return a text that every database can store."""
    value = source.get(name)
    return _UNSTORABLE.sub("", value) if isinstance(value, str) else None


def required_text(source: Mapping[str, Any], name: str) -> str:
    """Return a text that must be there, such as an id."""
    value = text(source, name)
    if not value:
        raise Unreadable(f"{name} is missing")
    return value


def integer(source: Mapping[str, Any], name: str) -> int | None:
    """Return a whole number that JSON can carry without loss. True and False are none."""
    value = source.get(name)
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) > MAX_INTEGER:
        return None
    return value


def flag(source: Mapping[str, Any], name: str) -> bool:
    """Return whether a field is exactly true."""
    return source.get(name) is True


def instant(source: Mapping[str, Any], name: str) -> int | None:
    """Return an instant in microseconds. A malformed one is an error: a period without end is access without end."""
    value = source.get(name)
    if value is None:
        return None
    micros = to_micros(value) if isinstance(value, str) else None
    if micros is None:
        raise Unreadable(f"{name} is no instant")
    return micros


def mapping(source: Mapping[str, Any], name: str) -> Json:
    """Return an object; an empty one where there is none."""
    value = source.get(name)
    return value if isinstance(value, dict) else {}


def objects(source: Mapping[str, Any], name: str) -> list[Json]:
    """Return the objects of a list that must be there."""
    value = source.get(name)
    if not isinstance(value, list):
        raise Unreadable(f"{name} is missing")
    return [item for item in value if isinstance(item, dict)]
