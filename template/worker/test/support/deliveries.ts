/** Events and objects as Polar sends them, cut down to what is read; deliveries of them; and a look at the tables. */
import { env } from "cloudflare:workers";
import type { Catalog, Product } from "../../src/billing/catalog-types";
import { type Receipt, receive } from "../../src/billing/inbox";
import type { Reactions } from "../../src/billing/reactions";
import type { PolarObject } from "../../src/billing/read";
import { DAY_US, formatInstant, parseInstant, SECOND_US } from "../../src/billing/time";

/** An instant to count from. */
export const NOW = parseInstant("2026-11-20T12:00:00.000000Z") as number;

/** A UUID that is the same in every run. */
export function uuid(number: number): string {
  return `00000000-0000-4000-8000-${String(number).padStart(12, "0")}`;
}

/** Products of every kind, whatever the project sells. */
export const TEST_CATALOG: Catalog = {
  organization: { id: uuid(1), name: "Test", defaultCurrency: "usd", allowMultipleSubscriptions: false },
  products: [
    product("free", 10, { free: true, premium: false }),
    product("pro", 11, {}),
    product("team", 12, {}),
    product("lifetime", 13, { recurring: false, interval: null, intervalCount: null }),
    product("sticker", 14, { recurring: false, interval: null, intervalCount: null, premium: false }),
  ],
  benefits: [{ key: "support", id: uuid(50), type: "custom", description: "Support" }],
};

export const [FREE, PRO, TEAM, LIFETIME, STICKER] = [uuid(10), uuid(11), uuid(12), uuid(13), uuid(14)] as const;

function product(key: string, number: number, changes: Partial<Product>): Product {
  return {
    key,
    id: uuid(number),
    name: key,
    description: null,
    archived: false,
    recurring: true,
    interval: "month",
    intervalCount: 1,
    trialInterval: null,
    trialIntervalCount: null,
    premium: true,
    free: false,
    prices: [],
    benefits: [],
    ...changes,
  };
}

export interface EventJson {
  readonly type: string;
  readonly timestamp: string;
  readonly data: PolarObject;
}

/** An event some seconds after `NOW`. */
export function event(type: string, seconds: number, data: PolarObject): EventJson {
  return { type, timestamp: formatInstant(NOW + Math.round(seconds * SECOND_US)), data };
}

export function customer(number: number, changes: PolarObject = {}): PolarObject {
  return {
    id: uuid(number),
    created_at: formatInstant(NOW - DAY_US + number),
    modified_at: null,
    external_id: `user_${number}`,
    email: `user_${number}@example.com`,
    name: `User ${number}`,
    type: "individual",
    deleted_at: null,
    ...changes,
  };
}

export function member(number: number, owner: PolarObject, changes: PolarObject = {}): PolarObject {
  return {
    id: uuid(number),
    created_at: formatInstant(NOW - DAY_US),
    customer_id: owner.id,
    external_id: owner.external_id,
    email: owner.email,
    name: owner.name,
    role: "owner",
    ...changes,
  };
}

export function subscription(number: number, owner: PolarObject, changes: PolarObject = {}): PolarObject {
  return {
    id: uuid(number),
    created_at: formatInstant(NOW - DAY_US + number),
    modified_at: null,
    amount: 1900,
    currency: "usd",
    recurring_interval: "month",
    recurring_interval_count: 1,
    status: "active",
    current_period_start: formatInstant(NOW - DAY_US),
    current_period_end: formatInstant(NOW + 29 * DAY_US),
    cancel_at_period_end: false,
    canceled_at: null,
    started_at: formatInstant(NOW - DAY_US),
    ends_at: null,
    ended_at: null,
    past_due_at: null,
    customer_id: owner.id,
    product_id: PRO,
    checkout_id: null,
    metadata: {},
    customer: owner,
    ...changes,
  };
}

export function order(number: number, owner: PolarObject, changes: PolarObject = {}): PolarObject {
  return {
    id: uuid(number),
    created_at: formatInstant(NOW - DAY_US + number),
    modified_at: null,
    status: "paid",
    total_amount: 49900,
    refunded_amount: 0,
    currency: "usd",
    billing_reason: "purchase",
    customer_id: owner.id,
    product_id: LIFETIME,
    subscription_id: null,
    checkout_id: null,
    metadata: {},
    customer: owner,
    ...changes,
  };
}

export function grant(number: number, owner: PolarObject, changes: PolarObject = {}): PolarObject {
  return {
    id: uuid(number),
    created_at: formatInstant(NOW - DAY_US),
    modified_at: null,
    granted_at: formatInstant(NOW - DAY_US),
    is_granted: true,
    revoked_at: null,
    is_revoked: false,
    subscription_id: null,
    order_id: null,
    customer_id: owner.id,
    member_id: null,
    benefit_id: uuid(50),
    error: null,
    customer: owner,
    ...changes,
  };
}

export function checkout(number: number, changes: PolarObject = {}): PolarObject {
  return {
    id: uuid(number),
    created_at: formatInstant(NOW - DAY_US),
    status: "open",
    expires_at: formatInstant(NOW + DAY_US),
    product_id: PRO,
    customer_id: null,
    subscription_id: null,
    metadata: {},
    ...changes,
  };
}

export function state(
  owner: PolarObject,
  active: readonly PolarObject[] = [],
  granted: readonly PolarObject[] = [],
): PolarObject {
  return { ...owner, active_subscriptions: active, granted_benefits: granted, active_meters: [] };
}

/** Applies a verified event; its text may be given instead. */
export function deliver(
  event: EventJson | string,
  { id = crypto.randomUUID() as string, now = NOW, db = env.DB, reactions = {} }: DeliverOptions = {},
): Promise<Receipt> {
  const body = new TextEncoder().encode(typeof event === "string" ? event : JSON.stringify(event));
  return receive(db, { webhookId: id, body }, now, reactions);
}

export interface DeliverOptions {
  readonly id?: string;
  readonly now?: number;
  readonly db?: D1Database;
  readonly reactions?: Reactions;
}

export const PROJECTION_TABLES = [
  "billing_benefit_grants",
  "billing_checkouts",
  "billing_customer_states",
  "billing_customers",
  "billing_members",
  "billing_orders",
  "billing_subscriptions",
] as const;

/** All rows of a table, by its first column. */
export async function rows<T = Record<string, unknown>>(table: string): Promise<T[]> {
  const { results } = await env.DB.prepare(`SELECT * FROM ${table} ORDER BY 1`).all<T>();
  return results;
}

/** All rows of all projections. */
export async function projections(): Promise<Record<string, unknown[]>> {
  const found = await env.DB.batch(
    PROJECTION_TABLES.map((table) => env.DB.prepare(`SELECT * FROM ${table} ORDER BY 1`)),
  );
  return Object.fromEntries(PROJECTION_TABLES.map((table, index) => [table, found[index]?.results ?? []]));
}

/** A database that counts its round trips; the ones given by number fail. */
export function countingDb(failing: readonly number[] = []): { db: D1Database; trips: () => number } {
  let trips = 0;
  const trip = () => {
    trips += 1;
    if (failing.includes(trips)) throw new Error("D1_ERROR: out of order");
  };
  const db = new Proxy(env.DB, {
    get(target, name) {
      if (name === "batch") {
        return async (statements: D1PreparedStatement[]) => {
          trip();
          return target.batch(statements);
        };
      }
      if (name === "prepare") return (query: string) => counted(target.prepare(query), trip);
      throw new Error(`Not counted: ${String(name)}`);
    },
  });
  return { db, trips: () => trips };
}

function counted(statement: D1PreparedStatement, trip: () => void): D1PreparedStatement {
  const single = (name: "all" | "first" | "raw" | "run") => {
    const original = statement[name].bind(statement) as (...args: unknown[]) => unknown;
    return async (...args: unknown[]) => {
      trip();
      return original(...args);
    };
  };
  const bind = statement.bind.bind(statement);
  return Object.assign(statement, {
    bind: (...values: unknown[]) => counted(bind(...values), trip),
    all: single("all"),
    first: single("first"),
    raw: single("raw"),
    run: single("run"),
  });
}

/** Numbers that look random and are the same for the same seed. */
export function randomFrom(seed: number): (below: number) => number {
  let value = seed >>> 0;
  return (below) => {
    value = (Math.imul(value, 1664525) + 1013904223) >>> 0;
    return Math.floor((value / 2 ** 32) * below);
  };
}

/** Another order, with some repeated. */
export function shuffled<T>(items: readonly T[], random: (below: number) => number): T[] {
  const mixed = [...items, ...items.filter(() => random(4) === 0)];
  for (let index = mixed.length - 1; index > 0; index--) {
    const other = random(index + 1);
    [mixed[index], mixed[other]] = [mixed[other] as T, mixed[index] as T];
  }
  return mixed;
}
