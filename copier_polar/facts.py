"""What a project says of itself over the bridge, with types."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from typing import Any


@dataclass(frozen=True)
class Price:
    """A price in one currency; amounts in minor units (cents), `unit_amount` a decimal text in minor units."""

    id: str
    type: str
    currency: str
    amount: int | None
    minimum: int | None
    maximum: int | None
    preset: int | None
    unit_amount: str | None


@dataclass(frozen=True)
class Product:
    """A product of the project's catalogue."""

    key: str
    id: str
    name: str
    description: str | None
    archived: bool
    recurring: bool
    interval: str | None
    interval_count: int | None
    trial_interval: str | None
    trial_interval_count: int | None
    premium: bool
    free: bool
    prices: tuple[Price, ...]
    benefits: tuple[str, ...]


@dataclass(frozen=True)
class Benefit:
    """A benefit of the project's catalogue."""

    key: str
    id: str
    type: str
    description: str


@dataclass(frozen=True)
class Organization:
    """The organization at Polar that the catalogue is of."""

    id: str
    name: str
    default_currency: str
    allow_multiple_subscriptions: bool


@dataclass(frozen=True)
class Catalogue:
    """What the project sells, as its code has it."""

    server: str
    organization: Organization
    products: tuple[Product, ...]
    benefits: tuple[Benefit, ...]

    def product_by_id(self, product_id: str | None) -> Product | None:
        """Return the product with this id at Polar; None for products that the code does not know."""
        return next((product for product in self.products if product.id == product_id), None)


@dataclass(frozen=True)
class SettingsFacts:
    """What may be known of the settings: never a secret. The values are None where `problem` says what is invalid."""

    problem: str
    present: frozenset[str]
    server: str | None
    app_url: str | None
    base_url: str | None
    is_local: bool
    issuer: str | None = None
    audience: str | None = None


@dataclass(frozen=True)
class Facts:
    """A project as its own code describes it."""

    runtime: str
    database: str
    target: str | None
    api_version: str
    earliest_removal: str
    premium_path: str
    grace_days: int
    catalogue: Catalogue
    events: Mapping[str, str | None]
    settings: SettingsFacts
    tables: Mapping[str, Mapping[str, Any]] | None = None


def read_facts(raw: Mapping[str, Any]) -> Facts:
    """Read the answer to `facts`; fields that are not known here are ignored."""
    catalogue = raw["catalogue"]
    products = tuple(
        _made(
            Product,
            product,
            prices=tuple(_made(Price, price) for price in product["prices"]),
            benefits=tuple(product["benefits"]),
        )
        for product in catalogue["products"]
    )
    settings = _made(SettingsFacts, raw["settings"], present=frozenset(raw["settings"]["present"]))
    return _made(
        Facts,
        raw,
        catalogue=_made(
            Catalogue,
            catalogue,
            organization=_made(Organization, catalogue["organization"]),
            products=products,
            benefits=tuple(_made(Benefit, benefit) for benefit in catalogue["benefits"]),
        ),
        settings=settings,
        tables=raw.get("tables"),
    )


def _made(kind: type, raw: Mapping[str, Any], **read: Any) -> Any:
    """Make one from the fields that it has; those that were read already win. A field with a default may be absent."""
    names = [field.name for field in fields(kind) if field.default is MISSING or field.name in {*raw, *read}]
    return kind(**{name: read[name] if name in read else raw[name] for name in names})
