/** A catalogue with one product of every kind that the routes tell apart. */
import type { Catalog, Price, Product } from "../../src/billing/catalog-types";

const open = { minimum: null, maximum: null, preset: null, unitAmount: null };
const price: Price = { id: idOf("000000000001"), type: "fixed", currency: "usd", amount: 1900, ...open };

function idOf(end: string): string {
  return `00000000-0000-4000-9000-${end}`;
}

/** A monthly product that is premium, unless a test says otherwise. */
export function productOf(key: string, id: string, more: Partial<Product>): Product {
  const monthly = { recurring: true, interval: "month", intervalCount: 1 } as const;
  const plain = { ...monthly, trialInterval: null, trialIntervalCount: null, prices: [], benefits: [] };
  const shown = { key, id, name: key, description: null, archived: false, premium: true, free: false };
  return { ...shown, ...plain, ...more };
}

function product(number: number, key: string, more: Partial<Product> = {}): Product {
  return productOf(key, idOf(`0000000001${String(number).padStart(2, "0")}`), { prices: [price], ...more });
}

export const oneTime = { recurring: false, interval: null, intervalCount: null };
const custom = { ...price, type: "custom", amount: null };

export const PRODUCTS = {
  free: product(1, "free", { free: true, premium: false, prices: [{ ...price, amount: 0 }] }),
  basic: product(2, "basic", { free: true, premium: false, prices: [{ ...price, amount: 0 }] }),
  pro: product(3, "pro", { benefits: ["support"] }),
  team: product(4, "team"),
  book: product(5, "book", oneTime),
  tip: product(6, "tip", {
    ...oneTime,
    prices: [
      { ...custom, minimum: 500, maximum: 1000, preset: 700 },
      { ...custom, currency: "jpy", minimum: 80_000, maximum: null },
    ],
  }),
  usage: product(7, "usage", { prices: [{ ...price, type: "metered_unit", amount: null, unitAmount: "0.5" }] }),
  seats: product(8, "seats", { prices: [{ ...price, type: "seat_based", amount: null }] }),
  old: product(9, "old", { archived: true }),
};

const organization = { id: idOf("000000000000"), name: "Test", defaultCurrency: "usd" };

export const TEST_CATALOG: Catalog = {
  organization: { ...organization, allowMultipleSubscriptions: false },
  products: Object.values(PRODUCTS),
  benefits: [{ key: "support", id: idOf("000000000200"), type: "custom", description: "Support" }],
};
