/** The catalogue of the code, held against Polar's. */
import { CATALOG } from "../../src/billing/catalog.ts";
import type { Price, Product } from "../../src/billing/catalog-types.ts";
import { flag, integer, isObject, type PolarObject, text } from "../../src/billing/read.ts";
import { WITHOUT_CENTS } from "./checks.ts";
import type { Examination, Found } from "./examination.ts";

/** Products of another organization. */
export async function organizationOther({ polar }: Examination): Promise<Found[]> {
  const own = CATALOG.organization.id;
  const others = new Set((await polar.products()).map((product) => text(product, "organization_id") ?? own));
  others.delete(own);
  return [...others].sort().map((other) => ({
    place: "POLAR_ACCESS_TOKEN",
    what: `is of ${other}; the catalogue is of ${own}`,
  }));
}

/** Products that Polar does not have. */
export async function productMissing({ polar }: Examination): Promise<Found[]> {
  const there = new Set((await polar.products()).map(({ id }) => id));
  return CATALOG.products
    .filter(({ id }) => !there.has(id))
    .map(({ key, id }) => ({ place: `product ${key}`, what: `${id} is unknown to Polar` }));
}

/** Products that are sold here and archived there. */
export async function productArchived(x: Examination): Promise<Found[]> {
  return (await pairs(x))
    .filter(([product, atPolar]) => flag(atPolar, "is_archived") && !product.archived)
    .map(([{ key }]) => ({ place: `product ${key}`, what: "is archived" }));
}

/** The prices of every product. */
export async function priceChanged(x: Examination): Promise<Found[]> {
  return (await pairs(x)).flatMap(([product, atPolar]) => {
    const [here, there] = [new Set(shownPrices(product)), new Set(pricesAtPolar(atPolar))];
    const [only, others] = [without(here, there), without(there, here)];
    if (only.length + others.length === 0) return [];
    return [{ place: `product ${product.key}`, what: `here ${listed(only)}; at Polar ${listed(others)}` }];
  });
}

/** The prices of a product for a person to read. */
export function shownPrices({ prices }: Product): string[] {
  return prices.map(({ type, currency, amount, unitAmount }: Price) => shown(type, currency, amount, unitAmount));
}

async function pairs({ polar }: Examination): Promise<[Product, PolarObject][]> {
  const there = new Map((await polar.products()).map((product) => [product.id, product]));
  return CATALOG.products.flatMap((product): [Product, PolarObject][] => {
    const atPolar = there.get(product.id);
    return atPolar === undefined ? [] : [[product, atPolar]];
  });
}

/** Polar's prices as the catalogue has them: those of today, in every currency. */
function pricesAtPolar({ prices }: PolarObject): string[] {
  const current = Array.isArray(prices) ? prices.filter(isObject).filter((price) => !flag(price, "is_archived")) : [];
  return current.map((price) => {
    const currency = text(price, "price_currency") ?? CATALOG.organization.defaultCurrency;
    const type = text(price, "amount_type") ?? "unknown";
    return shown(type, currency.toLowerCase(), integer(price, "price_amount"), price.unit_amount);
  });
}

function shown(type: string, currency: string, amount: number | null, unitAmount: unknown): string {
  if (amount !== null) return `${major(amount, currency)} ${currency}`;
  return unitAmount === null || unitAmount === undefined ? `${type} ${currency}` : `${type} ${unitAmount} ${currency}`;
}

function major(amount: number, currency: string): string {
  return WITHOUT_CENTS.has(currency) ? String(amount) : (amount / 100).toFixed(2);
}

function without(these: ReadonlySet<string>, those: ReadonlySet<string>): string[] {
  return [...these].filter((price) => !those.has(price)).sort();
}

function listed(prices: readonly string[]): string {
  return prices.join(", ") || "none";
}
