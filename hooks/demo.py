"""The demo catalogue: what a project is made from before its author has an account at Polar.

Shaped like an answer of Polar's API. Its ids are valid and visibly not real.
"""

from __future__ import annotations

from typing import Any

from jinja2 import Environment
from jinja2.ext import Extension


def _id(number: int) -> str:
    return f"00000000-0000-4000-8000-{number:012d}"


_ORGANIZATION = _id(1)
_SUPPORT = {
    "id": _id(50),
    "type": "feature_flag",
    "description": "Priority support",
    "metadata": {"response_hours": 4},
}
_EXPORT = {"id": _id(51), "type": "feature_flag", "description": "Data export", "metadata": {}}


def _fixed(number: int, currency: str, amount: int) -> dict[str, Any]:
    return {"id": _id(number), "amount_type": "fixed", "price_currency": currency, "price_amount": amount}


def _product(number: int, name: str, description: str, interval: str | None, **more: Any) -> dict[str, Any]:
    return {
        "id": _id(number),
        "name": name,
        "description": description,
        "is_recurring": interval is not None,
        "recurring_interval": interval,
        "recurring_interval_count": 1 if interval else None,
        "organization_id": _ORGANIZATION,
        **more,
    }


def demo_catalogue() -> dict[str, Any]:
    """Organization and products, as `ask_polar` gives them for a real account."""
    return {
        "organization": {
            "id": _ORGANIZATION,
            "name": "Demo",
            "default_presentment_currency": "usd",
            "subscription_settings": {
                "allow_multiple_subscriptions": False,
                "benefit_revocation_grace_period": 7,
                "proration_behavior": "prorate",
            },
        },
        "products": [
            _product(
                10,
                "Free",
                "Demo product: look around, for nothing.",
                "month",
                prices=[_fixed(110, "usd", 0), _fixed(120, "eur", 0)],
            ),
            _product(
                11,
                "Pro Monthly",
                "Demo product: everything, by the month, with two weeks to try it.",
                "month",
                trial_interval="day",
                trial_interval_count=14,
                prices=[_fixed(111, "usd", 1900), _fixed(121, "eur", 1800)],
                benefits=[_SUPPORT, _EXPORT],
            ),
            _product(
                12,
                "Pro Yearly",
                "Demo product: everything, by the year.",
                "year",
                prices=[_fixed(112, "usd", 19000), _fixed(122, "eur", 18000)],
                benefits=[_SUPPORT, _EXPORT],
            ),
            _product(
                13,
                "Lifetime",
                "Demo product: everything, paid once.",
                None,
                prices=[_fixed(113, "usd", 49900), _fixed(123, "eur", 46900)],
                benefits=[_EXPORT],
            ),
            _product(
                14,
                "Supporter",
                "Demo product: pay what you want.",
                None,
                prices=[
                    {
                        "id": _id(114),
                        "amount_type": "custom",
                        "price_currency": "usd",
                        "minimum_amount": 500,
                        "maximum_amount": 100000,
                        "preset_amount": 1000,
                    }
                ],
            ),
        ],
    }


class Demo(Extension):
    """Registers `demo_catalogue()`."""

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        environment.globals["demo_catalogue"] = demo_catalogue
