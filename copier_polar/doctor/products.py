"""The catalogue of the code, compared with Polar's."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from copier_polar.doctor.checks import WITHOUT_CENTS
from copier_polar.doctor.examination import Examination, Found
from copier_polar.facts import Price, Product
from copier_polar.polar import Json
from copier_polar.read import integer, objects, text


def organization_other(x: Examination) -> Iterator[Found]:
    """Compare the organization of Polar's products with ours."""
    ours = x.facts.catalogue.organization.id
    others = {text(product, "organization_id") for product in x.polar.products} - {ours}
    for other in sorted(filter(None, others)):
        yield Found("POLAR_ACCESS_TOKEN", f"is of {other}; the catalogue is of {ours}")


def product_missing(x: Examination) -> Iterator[Found]:
    """Report products that Polar does not have."""
    there = _by_id(x)
    for product in x.facts.catalogue.products:
        if product.id not in there:
            yield Found(f"product {product.key}", f"{product.id} is unknown to Polar")


def product_archived(x: Examination) -> Iterator[Found]:
    """Report products that are sold here and archived there."""
    for product, at_polar in _pairs(x):
        if at_polar.get("is_archived") and not product.archived:
            yield Found(f"product {product.key}", "is archived")


def price_changed(x: Examination) -> Iterator[Found]:
    """Compare the prices of every product."""
    for product, at_polar in _pairs(x):
        here, there = {_own(price) for price in product.prices}, set(_prices(x, at_polar))
        if here != there:
            what = f"here {_listed(here - there)}; at Polar {_listed(there - here)}"
            yield Found(f"product {product.key}", what)


def shown_prices(product: Product) -> list[str]:
    """Return the prices of a product for a person to read."""
    return [_own(price) for price in product.prices]


def _pairs(x: Examination) -> Iterator[tuple[Product, Json]]:
    there = _by_id(x)
    return ((product, there[product.id]) for product in x.facts.catalogue.products if product.id in there)


def _by_id(x: Examination) -> dict[Any, Json]:
    return {product.get("id"): product for product in x.polar.products}


def _own(price: Price) -> str:
    return _shown(price.type, price.currency, price.amount, price.unit_amount)


def _prices(x: Examination, product: Json) -> Iterator[str]:
    """Read Polar's prices as the catalogue has them: those of today, in every currency."""
    usual = x.facts.catalogue.organization.default_currency
    for price in objects(product, "prices") or []:
        if not price.get("is_archived"):
            kind = text(price, "amount_type") or "unknown"
            currency = (text(price, "price_currency") or usual).lower()
            yield _shown(kind, currency, integer(price, "price_amount"), price.get("unit_amount"))


def _shown(kind: str, currency: str, amount: int | None, unit_amount: object) -> str:
    if amount is not None:
        return f"{_major(amount, currency)} {currency}"
    return f"{kind} {currency}" if unit_amount is None else f"{kind} {unit_amount} {currency}"


def _major(amount: int, currency: str) -> str:
    return str(amount) if currency in WITHOUT_CENTS else f"{amount // 100}.{amount % 100:02}"


def _listed(prices: Iterable[str]) -> str:
    return ", ".join(sorted(prices)) or "none"
