/** `catalog`: what the code sells, held against Polar. */
import { CATALOG } from "../../src/billing/catalog.ts";
import type { Price, Product } from "../../src/billing/catalog-types.ts";
import { integer, isObject, type PolarObject, text } from "../../src/billing/read.ts";
import { readSettings } from "../../src/settings.ts";
import { bad, command, foundProblem, good, group, note, type Options, show, warn } from "../console.ts";
import { type Item, PolarAdmin } from "../polar-admin.ts";
import { openSettings } from "../project.ts";

type Value = string | readonly string[] | null;

interface Difference {
  readonly kind: keyof typeof SAY;
  readonly matters: boolean;
  readonly product: string | null;
  readonly id: string | null;
  readonly before: Value;
  readonly after: Value;
}

const PRODUCTS = "/v1/products/";
const READ = "products:read";
const UPDATE = "copier update --trust --defaults --data refresh_catalog=true";
const CONNECT = "copier update --trust --data polar_server=sandbox";
/** What customers meet: a price they are shown and do not pay, or a product that they cannot buy. */
const MATTERS = new Set<string>(["demo", "missing", "archived", "price"]);
const SAY = {
  demo: () => "The products are demo products: their ids are not real.",
  missing: ({ product }: Difference) => `${product}: is not at Polar`,
  archived: ({ product }: Difference) => `${product}: is no longer for sale at Polar`,
  restored: ({ product }: Difference) => `${product}: is for sale at Polar again`,
  renamed: (one: Difference) => `${one.product}: is called ${listed(one.after)} at Polar, not ${listed(one.before)}`,
  price: (one: Difference) => `${one.product}: costs ${listed(one.after)} at Polar, not ${listed(one.before)}`,
  benefits: (one: Difference) => `${one.product}: gives ${listed(one.after)} at Polar, not ${listed(one.before)}`,
  benefit_renamed: (one: Difference) =>
    `${one.product}: its benefit is called ${listed(one.after)} at Polar, not ${listed(one.before)}`,
  new: ({ after }: Difference) => `${listed(after)}: is for sale at Polar and not in the code`,
};

const diff = command(
  "diff",
  `Compare the catalogue of the code with Polar's products.

Says what was renamed, archived or added, and which prices and benefits changed, and names the command that brings it into the code. Prices are in minor units, as in the code. Ends with 1 where customers are shown what does not hold: a price changed, or a product is archived or gone.`,
  "catalog diff",
).action(async (options: Options) => {
  const settings = readSettings(openSettings() as unknown as Parameters<typeof readSettings>[0]);
  note(`Target: Polar's ${settings.server}`);
  const isDemo = settings.server === "demo";
  const differences = isDemo
    ? [difference("demo", null)]
    : differencesFrom(await new PolarAdmin(settings).items(PRODUCTS, READ));
  const update = isDemo ? CONNECT : UPDATE;
  show({ differences, command: differences.length > 0 ? update : null }, linesOf(differences, update), options);
  if (differences.some(({ matters }) => matters)) foundProblem();
});

export const catalog = group("catalog", "Look after the catalogue.", [diff]);

/** The code beside Polar's products: those of the code in its order, then those that it does not have. */
function differencesFrom(products: readonly Item[]): Difference[] {
  const there = new Map(products.map((product) => [product.id, product]));
  const known = CATALOG.products.flatMap((product) => {
    const atPolar = there.get(product.id);
    there.delete(product.id);
    return atPolar === undefined ? [difference("missing", product)] : compare(product, atPolar);
  });
  const others = [...there.values()].filter(isForSale).sort((a, b) => (a.id < b.id ? -1 : 1));
  return [...known, ...others.map((one) => ({ ...difference("new", null, null, text(one, "name")), id: one.id }))];
}

function compare(product: Product, atPolar: PolarObject): Difference[] {
  const found: Difference[] = [];
  const name = text(atPolar, "name") ?? "";
  if (!isSame(product.name, name)) found.push(difference("renamed", product, product.name, name));
  if (product.archived === isForSale(atPolar)) {
    found.push(difference(product.archived ? "restored" : "archived", product));
  }
  const [before, after] = [product.prices.map(priceOf).sort(), polarPrices(atPolar).sort()];
  if (before.join("\n") !== after.join("\n")) found.push(difference("price", product, before, after));
  return [...found, ...compareBenefits(product, atPolar)];
}

function compareBenefits(product: Product, atPolar: PolarObject): Difference[] {
  const ours = CATALOG.benefits.filter(({ key }) => product.benefits.includes(key));
  const here = new Map(ours.map(({ id, description }) => [id, description]));
  const benefits = listOf(atPolar, "benefits");
  const there = new Map(benefits.map((benefit) => [String(benefit.id), text(benefit, "description") ?? ""]));
  const both = [...here.keys()].filter((id) => there.has(id)).sort();
  const found = both
    .map((id) => difference("benefit_renamed", product, here.get(id), there.get(id)))
    .filter(({ before, after }) => !isSame(String(before), String(after)));
  if (both.length === here.size && both.length === there.size) return found;
  return [difference("benefits", product, byId(here), byId(there)), ...found];
}

function byId(texts: ReadonlyMap<string, string>): string[] {
  return [...texts.keys()].sort().map((id) => texts.get(id) ?? "");
}

function difference(
  kind: Difference["kind"],
  product: Product | null,
  before: Value = null,
  after: Value = null,
): Difference {
  return { kind, matters: MATTERS.has(kind), product: product?.key ?? null, id: product?.id ?? null, before, after };
}

/** What the template does when it asks Polar: archived products and drafts are left out. */
function isForSale(atPolar: PolarObject): boolean {
  return atPolar.is_archived !== true && atPolar.visibility !== "draft";
}

/**
 * Compares texts but for what the template takes out of them: controls, and which white space it is. Where nothing else
 * is in Polar's, the code has a stand-in.
 */
function isSame(here: string, there: string): boolean {
  return ["", bare(here)].includes(bare(there));
}

function bare(value: string): string {
  return value.replace(/[\s\p{C}]/gu, "");
}

function priceOf({ type, currency, amount, minimum, maximum, preset, unitAmount }: Price): string {
  return shown(type, currency, [amount, minimum, maximum, preset, unitAmount]);
}

/** Polar's prices of today as the code writes its own; an old price stays at Polar, archived. */
function polarPrices(atPolar: PolarObject): string[] {
  return listOf(atPolar, "prices")
    .filter((price) => !price.is_archived)
    .map((price) => {
      const names = ["price_amount", "minimum_amount", "maximum_amount", "preset_amount"];
      const currency = (text(price, "price_currency") ?? CATALOG.organization.defaultCurrency).toLowerCase();
      const amounts = names.map((name) => integer(price, name));
      return shown(text(price, "amount_type") ?? "unknown", currency, [...amounts, price.unit_amount]);
    });
}

/** A price, such as `fixed 1000 usd`; the amounts that its type does not have are left out. */
function shown(type: string, currency: string, amounts: readonly unknown[]): string {
  const names = ["", "from ", "to ", "preset ", ""];
  const numbers = amounts.flatMap((amount, at) => (amount == null ? [] : [`${names[at]}${plain(amount)}`]));
  return [type, ...numbers, currency].join(" ");
}

/** A number or a decimal text without zeros that say nothing. */
function plain(amount: unknown): string {
  const number = String(amount);
  return number.includes(".") ? number.replace(/\.?0+$/, "") : number;
}

function listOf(parent: PolarObject, name: string): PolarObject[] {
  const value = parent[name];
  return Array.isArray(value) ? value.filter(isObject) : [];
}

function linesOf(differences: readonly Difference[], update: string): string[] {
  if (differences.length === 0) return [good("The catalogue of the code is Polar's.")];
  const lines = differences.map((one) => (one.matters ? bad : warn)(SAY[one.kind](one)));
  return [...lines, `To bring it into the code: ${update}`];
}

function listed(value: Value): string {
  if (Array.isArray(value)) return value.join(" + ") || "nothing";
  return `"${value}"`;
}
