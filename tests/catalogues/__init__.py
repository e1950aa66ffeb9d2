"""Catalogues for the stand-in Polar server: objects complete as Polar answers today, and catalogues made of them."""

from __future__ import annotations

import uuid
from typing import Any

from tests.catalogues.hostile import BENEFITS, DESCRIPTIONS, METADATA, NAMES

Json = dict[str, Any]
ORGANIZATION_ID = str(uuid.UUID(int=0xA, version=4))
_STAMP = "2026-10-01T08:00:00.000000Z"


def identifier(*parts: object) -> str:
    """A UUID v4 that is the same in every run."""
    return str(uuid.UUID(bytes=uuid.uuid5(uuid.NAMESPACE_URL, "/".join(map(str, parts))).bytes, version=4))


def price(amount_type: str, currency: str = "usd", **fields: Any) -> Json:
    """A price of any type; its ids are set by `product`."""
    return {
        "created_at": _STAMP,
        "modified_at": None,
        "source": "catalog",
        "amount_type": amount_type,
        "price_currency": currency,
        "tax_behavior": None,
        "is_archived": False,
        **fields,
    }


def fixed(amount: int, currency: str = "usd") -> Json:
    return price("fixed", currency, price_amount=amount)


def custom(minimum: int = 500, maximum: int | None = None, preset: int | None = None, currency: str = "usd") -> Json:
    return price("custom", currency, minimum_amount=minimum, maximum_amount=maximum, preset_amount=preset)


def seats(amount: int, currency: str = "usd") -> Json:
    tiers = [{"min_seats": 1, "max_seats": None, "price_per_seat": amount}]
    seat_tiers = {"seat_tier_type": "volume", "tiers": tiers, "minimum_seats": 1, "maximum_seats": None}
    return price("seat_based", currency, seat_tiers=seat_tiers)


def units(amount: int, currency: str = "usd") -> Json:
    tiers = {"type": "volume", "tiers": [{"bound": None, "unit_amount": str(amount)}]}
    return price("unit_based", currency, tiers=tiers, minimum_units=None, maximum_units=None, unit_label=None)


def metered(unit_amount: str, meter: str = "API calls", currency: str = "usd") -> Json:
    meter_id = identifier("meter", meter)
    unit = {"id": meter_id, "name": meter, "unit": "scalar", "custom_label": None, "custom_multiplier": None}
    return price("metered_unit", currency, unit_amount=unit_amount, cap_amount=None, meter_id=meter_id, meter=unit)


def benefit(description: str, kind: str = "feature_flag", **metadata: Any) -> Json:
    return {
        "id": identifier("benefit", description),
        "created_at": _STAMP,
        "modified_at": None,
        "type": kind,
        "description": description,
        "selectable": True,
        "deletable": True,
        "is_deleted": False,
        "visibility": "public",
        "visibility_configurable": True,
        "organization_id": ORGANIZATION_ID,
        "metadata": metadata,
        "properties": {},
    }


def product(name: str, *prices: Json, interval: str | None = None, seed: str = "", **fields: Any) -> Json:
    """A product that is for sale; `seed` tells products of the same name apart."""
    own_id = fields.pop("id", identifier("product", name, interval, seed))
    return {
        "id": own_id,
        "created_at": _STAMP,
        "modified_at": None,
        "trial_interval": None,
        "trial_interval_count": None,
        "name": name,
        "description": None,
        "visibility": "public",
        "recurring_interval": interval,
        "recurring_interval_count": 1 if interval else None,
        "meter_interval": None,
        "meter_interval_count": None,
        "is_recurring": interval is not None,
        "is_archived": False,
        "is_deletable": False,
        "organization_id": ORGANIZATION_ID,
        "metadata": {},
        "prices": [{"id": identifier(own_id, n), "product_id": own_id, **each} for n, each in enumerate(prices)],
        "benefits": [],
        "medias": [],
        "attached_custom_fields": [],
        **fields,
    }


def organization(**settings: Any) -> Json:
    """The organization; `settings` are its subscription settings."""
    return {
        "id": ORGANIZATION_ID,
        "created_at": _STAMP,
        "modified_at": None,
        "name": "Example Organization",
        "slug": "example",
        "default_presentment_currency": "usd",
        "proration_behavior": settings.get("proration_behavior", "prorate"),
        "subscription_settings": {
            "allow_multiple_subscriptions": False,
            "proration_behavior": "prorate",
            "benefit_revocation_grace_period": 14,
            "prevent_trial_abuse": False,
            "allow_customer_updates": True,
            **settings,
        },
    }


def older(full: Json) -> Json:
    """A product as a server of some months ago answers: without the newer fields, and with `type` on its prices."""
    kept = {name: value for name, value in full.items() if name != "is_deletable"}
    kind = "recurring" if full["is_recurring"] else "one_time"
    kept["prices"] = [
        {**each, "type": kind, "recurring_interval": full["recurring_interval"]} for each in full["prices"]
    ]
    return kept


def shop() -> list[Json]:
    """A usual shop: a free plan, paid plans in two currencies, a trial, one-time purchases, and what cannot be sold."""
    support, beta = benefit("Priority support", response_hours=4), benefit("Beta flag", key="beta", v=2)
    return [
        product("Free", fixed(0), fixed(0, "eur"), interval="month"),
        product(
            "Pro Monthly",
            fixed(1900),
            fixed(1800, "eur"),
            interval="month",
            benefits=[support, beta],
            trial_interval="day",
            trial_interval_count=7,
        ),
        product("Pro Yearly", fixed(19000), fixed(18000, "eur"), interval="year", benefits=[support, beta]),
        product("Lifetime", fixed(49900), fixed(46900, "eur"), benefits=[support]),
        product("Pay what you want", custom(500, 100000, 1000)),
        product("Team", seats(1000), interval="month"),
    ]


def hostile() -> list[Json]:
    """Everything a merchant can type, everything Polar can price, and some things nobody has seen yet."""
    named = [
        product(
            name,
            fixed(1000 + number),
            interval=(None, "month", "year", "week")[number % 4],
            seed=str(number),
            description=DESCRIPTIONS[number % len(DESCRIPTIONS)],
            benefits=[benefit(text, **METADATA) for text in BENEFITS] if number == 0 else [],
        )
        for number, name in enumerate(NAMES)
    ]
    priced = [
        product("Zero-decimal", fixed(1500, "jpy"), fixed(15000, "krw"), fixed(1000, "usd"), interval="month"),
        product("Free for ever", fixed(0), fixed(0, "eur"), interval="month"),
        product("Free once", fixed(0)),
        product("Quarterly", fixed(2700), interval="month", recurring_interval_count=3),
        product("Any amount", custom(0, None, None)),
        product("Base and usage", fixed(500), metered("0.000000000001"), interval="month"),
        product("Usage only", metered("0.5", '"meter" ${x}'), interval="month"),
        product("Per seat", seats(800), interval="month"),
        product("Per unit", units(700)),
        product("Future", price("auctioned`${x}", bids=[]), interval="fortnight", visibility="whispered"),
        product("Private", fixed(4200), visibility="private"),
        product("Archived", fixed(100), is_archived=True),
        product("Draft", fixed(100), visibility="draft"),
    ]
    return named + priced


def large(count: int = 250) -> list[Json]:
    """Many products, with prices in two currencies and benefits shared between them."""
    shared = [benefit(f"Benefit {number}") for number in range(10)]
    return [
        product(
            f"Plan {number}",
            fixed(100 * number + 500),
            fixed(100 * number + 400, "eur"),
            interval=("month", "year", None)[number % 3],
            benefits=[shared[number % 10], shared[(number + 3) % 10]],
            description=f"What plan {number} has.",
        )
        for number in range(count)
    ]


CATALOGUES = {"shop": shop, "hostile": hostile, "large": large}
