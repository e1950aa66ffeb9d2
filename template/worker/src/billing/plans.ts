/** What is for sale, for a pricing page. */
import { CATALOG } from "./catalog";
import type { Catalog, Price, Product } from "./catalog-types";

const SELLABLE_PRICES = /^(fixed|custom|metered)/;

/** Whether a checkout here can sell it: not archived, and only prices that need no quantity up front. */
export function isPurchasable({ archived, prices }: Product): boolean {
  return !archived && prices.length > 0 && prices.every(({ type }) => SELLABLE_PRICES.test(type));
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
