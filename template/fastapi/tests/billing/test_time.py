"""Instants are read exactly, or not at all."""

import pytest

from app.billing.time import to_iso, to_micros


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("2026-01-31T12:00:00Z", "2026-01-31T12:00:00.000000Z"),
        ("2026-01-31T12:00:00.123456+02:00", "2026-01-31T10:00:00.123456Z"),
        ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00.000000Z"),
        ("9999-12-31T23:59:59.999999Z", "9999-12-31T23:59:59.999999Z"),
    ],
)
def test_what_is_read_is_written_as_the_same_instant(text: str, written: str) -> None:
    assert to_iso(to_micros(text)) == written


@pytest.mark.parametrize(
    "text", ["", "soon", "2026-13-01T00:00:00Z", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59-01:00"]
)
def test_what_is_no_instant_is_none(text: str) -> None:
    assert to_micros(text) is None
