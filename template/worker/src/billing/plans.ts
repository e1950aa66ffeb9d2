/** What is for sale, for a pricing page, and which of it costs nothing. */
import { CATALOG } from "./catalog";
import type { Catalog, Price, Product } from "./catalog-types";

const SELLABLE_PRICES = /^(fixed|custom|metered)/;

/** Whether a checkout here can sell it: not archived, and only prices that need no quantity up front. */
export function isPurchasable({ archived, prices }: Product): boolean {
  return !archived && prices.length > 0 && prices.every(({ type }) => SELLABLE_PRICES.test(type));
}

interface Held {
  readonly product_id: string | null;
  readonly amount: number | null;
  readonly discount_basis_points: number | null;
}

const FULL_DISCOUNT = 10_000;

/**
 * Whether a subscription costs nothing, so that Polar may hold no card for it: a free product, an amount of 0 (Polar's
 * amount is what a discount leaves of the price), or a discount of all there is to pay.
 *
 * A fixed price of 0 beside a metered price costs money, and Polar asks for a card: such a product is not `free`, though
 * its amount is 0.
 */
export function isFreeSubscription(held: Held, catalog: Catalog): boolean {
  const product = productOf(held, catalog);
  if (product?.free || held.discount_basis_points === FULL_DISCOUNT) return true;
  return held.amount === 0 && (product === undefined || !isMeteredOnly(product));
}

/** Whether a checkout can turn it into a paid one: Polar takes those whose price is 0, not those with a discount. */
export function isUpgradable(held: Held, catalog: Catalog): boolean {
  const product = productOf(held, catalog);
  return product === undefined ? held.amount === 0 : product.free;
}

function productOf(held: Held, catalog: Catalog): Product | undefined {
  return catalog.products.find(({ id }) => id === held.product_id);
}

function isMeteredOnly({ prices }: Product): boolean {
  const metered = prices.some(({ type }) => type.startsWith("metered"));
  return metered && prices.every(({ type, amount }) => type.startsWith("metered") || amount === 0);
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
