/** What is for sale, for a pricing page, and which of it costs nothing. */
import { CATALOG } from "./catalog";
import type { Catalog, Price, Product } from "./catalog-types";

const SELLABLE_PRICES = /^(fixed|custom|metered)/;

/** Whether a checkout here can sell it: not archived, and only prices that need no quantity up front. */
export function isPurchasable({ archived, prices }: Product): boolean {
  return !archived && prices.length > 0 && prices.every(({ type }) => SELLABLE_PRICES.test(type));
}

/**
 * Whether a subscription costs nothing, so that Polar may hold no card for it: a free product, or a price of 0.
 *
 * A fixed price of 0 beside a metered price costs money: such a product is not `free`, though its amount is 0.
 */
export function isFreeSubscription(
  held: { product_id: string | null; amount: number | null },
  catalog: Catalog,
): boolean {
  const product = catalog.products.find(({ id }) => id === held.product_id);
  if (product === undefined) return held.amount === 0;
  const metered = product.prices.some(({ type }) => type.startsWith("metered"));
  return product.free || (held.amount === 0 && !metered);
}

/** The catalogue as visitors see it: without archived products. */
export function plans(catalog: Catalog = CATALOG) {
  return {
    currency: catalog.organization.defaultCurrency,
    products: catalog.products.filter(({ archived }) => !archived).map((product) => plan(catalog, product)),
  };
}

function plan(catalog: Catalog, product: Product) {
  return {
    key: product.key,
    id: product.id,
    name: product.name,
    description: product.description,
    interval: product.interval,
    interval_count: product.intervalCount,
    trial_interval: product.trialInterval,
    trial_interval_count: product.trialIntervalCount,
    prices: product.prices.map(price),
    benefits: product.benefits.flatMap((key) => catalog.benefits.filter((benefit) => benefit.key === key)),
    purchasable: isPurchasable(product),
    premium: product.premium,
  };
}

function price({ type, currency, amount, minimum, maximum, preset, unitAmount }: Price) {
  return { type, currency, amount, minimum, maximum, preset, unit_amount: unitAmount };
}
