"""Money is written in one way."""

from __future__ import annotations

import pytest

from copier_polar import money


@pytest.mark.parametrize(
    ("minor", "currency", "text"),
    [(1000, "usd", "10.00 usd"), (5, "usd", "0.05 usd"), (-150, "eur", "-1.50 eur"), (500, "jpy", "500 jpy")],
)
def test_amounts_are_of_major_units(minor: int, currency: str, text: str) -> None:
    assert money.amount(minor, currency) == text


@pytest.mark.parametrize(
    ("minor", "currency", "text"),
    [
        ("2.500000000000", "usd", "0.025 usd per unit"),
        ("100", "usd", "1 usd per unit"),
        ("1000000", "usd", "10000 usd per unit"),
        ("0.5", "jpy", "0.5 jpy per unit"),
        ("lots", "usd", "lots usd per unit"),
        ("NaN", "usd", "NaN usd per unit"),
    ],
)
def test_prices_per_unit_of_use_are_decimal_texts_of_minor_units_at_polar(minor: str, currency: str, text: str) -> None:
    assert money.per_unit(minor, currency) == text
