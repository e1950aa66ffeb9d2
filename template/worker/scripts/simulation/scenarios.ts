/** The scenarios that `simulate` can play, with the products of this project. */
import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { CATALOG } from "../../src/billing/catalog.ts";
import type { Benefit, Price, Product } from "../../src/billing/catalog-types.ts";
import { API_VERSION } from "../../src/billing/polar-sdk.ts";
import { PAST_DUE_GRACE_DAYS } from "../../src/billing/policy-table.ts";
import { MINUTE_US } from "../../src/billing/time.ts";
import { type Event, Fixed, type Json, kindOf, Lifecycle, type Line } from "./lifecycle.ts";

/** Something that happens at Polar, and whether the user has access after it. */
export interface Step {
  readonly about: string;
  readonly access: boolean;
  readonly lines: readonly Line[];
}

/** A life from its beginning; `needs` names the products it speaks of. */
export interface Scenario {
  readonly name: string;
  readonly about: string;
  readonly needs: ReadonlySet<string>;
  readonly steps: readonly Step[];
}

/** A scenario as `scenarios.json` has it. */
interface Written {
  readonly name: string;
  readonly about: string;
  readonly from?: string;
  readonly needs?: readonly string[];
  readonly steps: readonly { do: string; access: boolean | "grace"; events: readonly Line[] }[];
}

const EMAIL = "simulated@example.com";
/** Long enough ago that an instant of the life is past when the app is asked. */
const AGO_US = MINUTE_US;
const MADE_AT = "2026-01-01T00:00:00.000000Z";
const ROLES: Readonly<Record<string, string>> = {
  plan: "a paid premium subscription",
  other_plan: "a second paid premium subscription",
  once: "a paid premium one-time purchase",
  free_plan: "a free subscription that is not premium",
};

/** Every scenario by its name, each with the steps of those that it goes on from. */
export function readScenarios(): Map<string, Scenario> {
  const found = new Map<string, Scenario>();
  for (const { name, about, from = "", needs = [], steps } of data<Written[]>("scenarios.json")) {
    const before = found.get(from);
    const own = steps.map((step) => ({ about: step.do, access: expected(step.access), lines: step.events }));
    found.set(name, {
      name,
      about,
      needs: new Set([...(before?.needs ?? []), ...needs]),
      steps: [...(before?.steps ?? []), ...own],
    });
  }
  return found;
}

/** Why a scenario cannot be played with the products of this project, or null. */
export function whyNot({ needs }: Scenario): string | null {
  const roles = rolesInCatalog();
  const missing = [...needs].filter((role) => !Object.hasOwn(roles, role)).map((role) => ROLES[role]);
  return missing.length > 0 ? `needs ${missing.join(" and ")}` : null;
}

/** Begins a life of this user, in which nothing has happened yet. */
export function begin(user: string): Lifecycle {
  const names = { ...rolesInCatalog(), user, email: EMAIL, organization: { id: CATALOG.organization.id } };
  const objects = data<Record<string, Json>>("objects.json");
  return new Lifecycle({ objects, names, apiVersion: API_VERSION, now: Date.now() * 1000 - AGO_US });
}

/** An event of a type as the first scenario that fits tells it, or undefined where none has such an object. */
export function singleEvent(type: string, user: string): Event | undefined {
  const [name = "", verb = ""] = type.split(".");
  const lives: Lifecycle[] = [];
  for (const scenario of readScenarios().values()) {
    if (whyNot(scenario) !== null) continue;
    const life = begin(user);
    lives.push(life);
    for (const event of events(life, scenario)) if (event.type === type) return event;
  }
  for (const life of lives) {
    for (const [key, entry] of besideTheLife()) life.state.set(key, entry);
    const known = called(life, name);
    if (known !== undefined) return life.play([known, {}, verb]).next().value;
  }
  return undefined;
}

/** The name of an object of a kind; a refund is made where there is an order. */
function called({ state }: Lifecycle, kind: string): string | undefined {
  if (kind === "refund" && state.has("order")) return kind;
  return [...state.keys()].find((name) => kindOf(name) === kind);
}

function* events(life: Lifecycle, { steps }: Scenario): Generator<Event> {
  for (const { lines } of steps) for (const line of lines) yield* life.play(line);
}

/** The products that scenarios speak of, as Polar's API has them; what is not sold is not there. */
function rolesInCatalog(): Json {
  const paid = CATALOG.products.filter(({ premium, free }) => premium && !free);
  const [plan, otherPlan] = paid.filter(({ recurring }) => recurring);
  const once = paid.find(({ recurring }) => !recurring);
  const freePlan = CATALOG.products.find(({ recurring, free, premium }) => recurring && free && !premium);
  const found = Object.entries({ plan, other_plan: otherPlan, once, free_plan: freePlan });
  return Object.fromEntries(found.flatMap(([role, product]) => (product ? [[role, productAtPolar(product)]] : [])));
}

/** What events tell of besides one customer's life. */
function besideTheLife(): [string, Json][] {
  const made = { created_at: MADE_AT, modified_at: null, metadata: {} };
  const { id, name } = CATALOG.organization;
  const objects: Record<string, Json> = {
    organization: { id, name, ...made },
    discount: { id: randomUUID(), name: "Example", type: "percentage", basis_points: 1000, ...made },
  };
  for (const product of CATALOG.products.slice(0, 1)) objects.product = productAtPolar(product);
  for (const benefit of CATALOG.benefits.slice(0, 1)) objects.benefit = benefitAtPolar(benefit);
  const fixed = (entry: Json) => Object.entries(entry).map(([key, value]) => [key, new Fixed(value)]);
  return Object.entries(objects).map(([key, entry]) => [key, Object.fromEntries(fixed(entry))]);
}

/** A product of the catalogue as Polar's API has it, in the fields that scenarios and events use. */
function productAtPolar(product: Product): Json {
  return {
    id: product.id,
    created_at: MADE_AT,
    modified_at: null,
    name: product.name,
    description: product.description,
    is_archived: product.archived,
    is_recurring: product.recurring,
    recurring_interval: product.interval,
    recurring_interval_count: product.intervalCount,
    trial_interval: product.trialInterval,
    trial_interval_count: product.trialIntervalCount,
    organization_id: CATALOG.organization.id,
    metadata: {},
    prices: product.prices.map((price) => priceAtPolar(product, price)),
    benefits: CATALOG.benefits.filter(({ key }) => product.benefits.includes(key)).map(benefitAtPolar),
  };
}

/** A price; where the buyer names the amount, it is the one that is offered. */
function priceAtPolar(product: Product, price: Price): Json {
  return {
    id: price.id,
    amount_type: price.type,
    price_currency: price.currency,
    price_amount: price.amount ?? price.preset ?? price.minimum ?? 0,
    product_id: product.id,
  };
}

function benefitAtPolar({ id, type, description }: Benefit): Json {
  return {
    id,
    created_at: MADE_AT,
    modified_at: null,
    type,
    description,
    organization_id: CATALOG.organization.id,
    metadata: {},
  };
}

/** What a step expects here: "grace" is access while a declined payment has grace. */
function expected(access: boolean | "grace"): boolean {
  return access === "grace" ? PAST_DUE_GRACE_DAYS > 0 : access;
}

function data<Data>(name: string): Data {
  return JSON.parse(readFileSync(join(import.meta.dirname, name), "utf8"));
}
