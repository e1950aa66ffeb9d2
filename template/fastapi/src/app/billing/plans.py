"""What is for sale, for a pricing page, and which of it costs nothing."""

from pydantic import BaseModel, Field

from app.billing.catalog_types import Catalog, Product
from app.billing.repository import AnyRow
from app.billing.schemas import PRODUCT_ID

SELLABLE_PRICES = ("fixed", "custom", "metered")
FULL_DISCOUNT = 10_000


class PriceOut(BaseModel):
    """A price in one currency; amounts in minor units (cents)."""

    type: str = Field(examples=["fixed"])
    currency: str = Field(examples=["usd"])
    amount: int | None = Field(examples=[1900])
    minimum: int | None = Field(examples=[None])
    maximum: int | None = Field(examples=[None])
    preset: int | None = Field(examples=[None])
    unit_amount: str | None = Field(examples=[None])


class BenefitOut(BaseModel):
    """A benefit of a product."""

    key: str = Field(examples=["priority_support"])
    id: str = Field(examples=["1c9d2f4b-6a5e-4d3c-8b7a-0f1e2d3c4b5a"])
    type: str = Field(examples=["custom"])
    description: str = Field(examples=["Priority support"])


class PlanOut(BaseModel):
    """A product that is shown."""

    key: str = Field(examples=["pro_monthly"])
    id: str = Field(examples=[PRODUCT_ID])
    name: str = Field(examples=["Pro"])
    description: str | None = Field(examples=["Everything, billed monthly."])
    interval: str | None = Field(examples=["month"])
    interval_count: int | None = Field(examples=[1])
    trial_interval: str | None = Field(examples=["day"])
    trial_interval_count: int | None = Field(examples=[14])
    prices: list[PriceOut]
    benefits: list[BenefitOut]
    purchasable: bool = Field(examples=[True])
    premium: bool = Field(examples=[True])


class PlansOut(BaseModel):
    """All products that are shown, in catalogue order."""

    currency: str = Field(description="The one that prices are shown in at first.", examples=["usd"])
    products: list[PlanOut]


def is_purchasable(product: Product) -> bool:
    """Whether a checkout here can sell it: not archived, and only prices that need no quantity up front."""
    return (
        not product.archived
        and bool(product.prices)
        and all(price.type.startswith(SELLABLE_PRICES) for price in product.prices)
    )


def is_free_subscription(held: AnyRow, catalog: Catalog) -> bool:
    """Return whether a subscription costs nothing, so that Polar may hold no card for it.

    That is one to a free product, one with an amount of 0 (Polar's amount is what a discount leaves of the price), or
    one with a discount of all there is to pay. A fixed price of 0 beside a metered price costs money, and Polar asks
    for a card: such a product is not `free`, though its amount is 0.
    """
    product = catalog.product_by_id(held.product_id)
    if (product is not None and product.free) or held.discount_basis_points == FULL_DISCOUNT:
        return True
    return held.amount == 0 and (product is None or not _is_metered_only(product))


def is_upgradable(held: AnyRow, catalog: Catalog) -> bool:
    """Whether a checkout can turn it into a paid one: Polar takes those whose price is 0, not those with a discount."""
    product = catalog.product_by_id(held.product_id)
    return held.amount == 0 if product is None else product.free


def _is_metered_only(product: Product) -> bool:
    others = [price for price in product.prices if not price.type.startswith("metered")]
    return len(others) < len(product.prices) and all(price.amount == 0 for price in others)


def plans_of(catalog: Catalog) -> PlansOut:
    """Return the catalogue as visitors see it: without archived products."""
    shown = [product for product in catalog.products if not product.archived]
    return PlansOut(
        currency=catalog.organization.default_currency, products=[_plan(catalog, product) for product in shown]
    )


def _plan(catalog: Catalog, product: Product) -> PlanOut:
    benefits = [benefit for benefit in catalog.benefits if benefit.key in product.benefits]
    return PlanOut(
        key=product.key,
        id=product.id,
        name=product.name,
        description=product.description,
        interval=product.interval,
        interval_count=product.interval_count,
        trial_interval=product.trial_interval,
        trial_interval_count=product.trial_interval_count,
        prices=[PriceOut.model_validate(price, from_attributes=True) for price in product.prices],
        benefits=[BenefitOut.model_validate(benefit, from_attributes=True) for benefit in benefits],
        purchasable=is_purchasable(product),
        premium=product.premium,
    )
