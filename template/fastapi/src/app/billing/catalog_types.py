"""Types of the catalogue: what is sold here, as Polar describes it."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Organization:
    """The selling organization at Polar."""

    id: str
    name: str
    default_currency: str
    allow_multiple_subscriptions: bool


@dataclass(frozen=True, kw_only=True)
class Price:
    """One price of a product, in one currency. Amounts are minor units (cents)."""

    id: str
    type: str
    currency: str
    amount: int | None
    minimum: int | None
    maximum: int | None
    preset: int | None
    unit_amount: str | None


@dataclass(frozen=True, kw_only=True)
class Product:
    """One product: a plan (recurring) or a one-time purchase. `premium` ones open the premium routes."""

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


@dataclass(frozen=True, kw_only=True)
class Benefit:
    """One benefit that products give, such as a feature flag."""

    key: str
    id: str
    type: str
    description: str
    metadata: Mapping[str, str | int | float | bool]


@dataclass(frozen=True, kw_only=True)
class Catalog:
    """Everything that is sold here; products in catalogue order."""

    server: str
    organization: Organization
    products: tuple[Product, ...]
    benefits: tuple[Benefit, ...]

    def product_by_key(self, key: str) -> Product | None:
        """Return the product with this readable key."""
        return next((product for product in self.products if product.key == key), None)

    def product_by_id(self, product_id: str | None) -> Product | None:
        """Return the product with this id at Polar; None for other apps' products and old plans."""
        return next((product for product in self.products if product.id == product_id), None)

    def benefit_by_key(self, key: str) -> Benefit | None:
        """Return the benefit with this readable key."""
        return next((benefit for benefit in self.benefits if benefit.key == key), None)

    def benefit_by_id(self, benefit_id: str) -> Benefit | None:
        """Return the benefit with this id at Polar."""
        return next((benefit for benefit in self.benefits if benefit.id == benefit_id), None)
