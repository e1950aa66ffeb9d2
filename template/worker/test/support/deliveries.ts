/** Events and objects as Polar sends them, cut down to what is read; deliveries of them; and a look at the tables. */
import { env } from "cloudflare:workers";
import type { Catalog } from "../../src/billing/catalog-types";
import { type Receipt, receive } from "../../src/billing/inbox";
import type { Reactions } from "../../src/billing/reactions";
import type { PolarObject } from "../../src/billing/read";
import { DAY_US, formatInstant, parseInstant, SECOND_US } from "../../src/billing/time";
import { oneTime, productOf } from "./catalog";

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
    productOf("free", uuid(10), { free: true, premium: false }),
    productOf("pro", uuid(11), {}),
    productOf("team", uuid(12), {}),
    productOf("lifetime", uuid(13), oneTime),
    productOf("sticker", uuid(14), { ...oneTime, premium: false }),
  ],
  benefits: [{ key: "support", id: uuid(50), type: "custom", description: "Support" }],
};

export const [FREE, PRO, TEAM, LIFETIME, STICKER] = [uuid(10), uuid(11), uuid(12), uuid(13), uuid(14)] as const;

export interface EventJson {
  readonly type: string;
  readonly timestamp: string;
  readonly data: PolarObject;
}

/** An event some seconds after `NOW`. */
export function event(type: string, seconds: number, data: PolarObject): EventJson {
  return { type, timestamp: formatInstant(NOW + Math.round(seconds * SECOND_US)), data };
}

const YESTERDAY = formatInstant(NOW - DAY_US);

/** What every object has; those made later have a higher number. */
function made(number: number): PolarObject {
  return { id: uuid(number), created_at: formatInstant(NOW - DAY_US + number), modified_at: null };
}

export function customer(number: number, changes: PolarObject = {}): PolarObject {
  const user = { external_id: `user_${number}`, email: `user_${number}@example.com`, name: `User ${number}` };
  return { ...made(number), ...user, type: "individual", deleted_at: null, ...changes };
}

export function member(number: number, owner: PolarObject, changes: PolarObject = {}): PolarObject {
  const { id: customer_id, external_id, email, name } = owner;
  return { ...made(number), created_at: YESTERDAY, customer_id, external_id, email, name, role: "owner", ...changes };
}

export function subscription(number: number, owner: PolarObject, changes: PolarObject = {}): PolarObject {
  const bought = { customer: owner, customer_id: owner.id, product_id: PRO, checkout_id: null, metadata: {} };
  const price = { amount: 1900, currency: "usd", recurring_interval: "month", recurring_interval_count: 1 };
  const period = { current_period_start: YESTERDAY, current_period_end: formatInstant(NOW + 29 * DAY_US) };
  const end = { cancel_at_period_end: false, canceled_at: null, ends_at: null, ended_at: null, past_due_at: null };
  const running = { ...price, ...period, ...end, started_at: YESTERDAY };
  return { ...made(number), status: "active", ...bought, ...running, ...changes };
}

export function order(number: number, owner: PolarObject, changes: PolarObject = {}): PolarObject {
  const from = { customer: owner, customer_id: owner.id, subscription_id: null, checkout_id: null, metadata: {} };
  const paid = { status: "paid", total_amount: 49900, refunded_amount: 0, currency: "usd" };
  return { ...made(number), ...paid, billing_reason: "purchase", product_id: LIFETIME, ...from, ...changes };
}

export function grant(number: number, owner: PolarObject, changes: PolarObject = {}): PolarObject {
  const from = { customer: owner, customer_id: owner.id, subscription_id: null, order_id: null, member_id: null };
  const granted = { granted_at: YESTERDAY, is_granted: true, revoked_at: null, is_revoked: false, error: null };
  return { ...made(number), created_at: YESTERDAY, benefit_id: uuid(50), ...granted, ...from, ...changes };
}

export function checkout(number: number, changes: PolarObject = {}): PolarObject {
  const dates = { created_at: YESTERDAY, expires_at: formatInstant(NOW + DAY_US) };
  const bought = { product_id: PRO, customer_id: null, subscription_id: null, metadata: {} };
  return { id: uuid(number), ...dates, status: "open", ...bought, ...changes };
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

const PROJECTED = ["benefit_grants", "checkouts", "customer_states", "customers", "members", "orders", "subscriptions"];
export const PROJECTION_TABLES = PROJECTED.map((name) => `billing_${name}`);

/** All rows of a table, by its first column. */
export async function rows<T = Record<string, unknown>>(table: string): Promise<T[]> {
  const { results } = await env.DB.prepare(`SELECT * FROM ${table} ORDER BY 1`).all<T>();
  return results;
}

/** All rows of all projections. */
export async function projections(): Promise<Record<string, unknown[]>> {
  return Object.fromEntries(await Promise.all(PROJECTION_TABLES.map(async (table) => [table, await rows(table)])));
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
