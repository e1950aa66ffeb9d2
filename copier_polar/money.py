"""Money as people read it: the one way to write an amount or a price, wherever the tool prints one."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation

# Currencies whose minor unit is the unit itself.
WITHOUT_CENTS = frozenset(
    ["bif", "clp", "djf", "gnf", "jpy", "kmf", "krw", "mga", "pyg", "rwf", "ugx", "vnd", "vuv", "xaf", "xof", "xpf"]
)


def amount(minor: int, currency: str) -> str:
    """Write an amount of minor units: `10.00 usd`, `500 jpy`."""
    if currency in WITHOUT_CENTS:
        return f"{minor} {currency}"
    sign = "-" if minor < 0 else ""
    return f"{sign}{abs(minor) // 100}.{abs(minor) % 100:02} {currency}"


def per_unit(minor: object, currency: str) -> str:
    """Write a price per unit of use, a decimal text of minor units at Polar: `2.5` is `0.025 usd per unit`."""
    try:
        value = Decimal(str(minor))
    except InvalidOperation:
        return f"{minor} {currency} per unit"
    if not value.is_finite():
        return f"{minor} {currency} per unit"
    major = value if currency in WITHOUT_CENTS else value / 100
    return f"{major.normalize():f} {currency} per unit"
