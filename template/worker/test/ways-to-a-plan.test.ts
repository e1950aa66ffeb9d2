/**
 * Every way to a plan, from every state: what reaches Polar, and what access follows.
 *
 * Nobody gets a plan that costs money where Polar may hold no card: its API asks for none, only its checkout does.
 */
import { beforeEach, describe, expect, it } from "vitest";
import { addCustomer, addSubscription, call } from "./support/app";
import { PRODUCTS as P, TEST_CATALOG } from "./support/catalog";
import { rows } from "./support/deliveries";
import { PolarStandIn } from "./support/polar-api";
import table from "./support/ways-to-a-plan.json";

interface Start {
  readonly product: string;
  readonly amount: number;
  readonly elsewhere?: boolean;
  readonly status?: string;
  readonly discount_basis_points?: number;
  readonly cancel_at_period_end?: boolean;
}

const PRODUCTS = {
  free: P.free,
  other_free: P.basic,
  paid: P.pro,
  other_paid: P.team,
  metered: P.usage,
  one_time: P.book,
  archived: P.old,
  seats: P.seats,
};
const STARTS = table.starts as Record<string, Start | null>;
const NOBODYS = "00000000-0000-4000-8000-00000000ffff";

let polar: PolarStandIn;

beforeEach(() => {
  polar = new PolarStandIn().install();
});

function productOf(role: string | null) {
  return PRODUCTS[role as keyof typeof PRODUCTS];
}

/** Stores the subscription that the user begins with, here and at Polar. */
async function hold({ product, elsewhere, cancel_at_period_end = false, ...fields }: Start): Promise<string> {
  const productId = productOf(product)?.id ?? "00000000-0000-4000-9000-00000000ffff";
  const end = new Date(Date.now() + 86_400_000).toISOString();
  const discount = { basis_points: fields.discount_basis_points };
  const more = { ...fields, cancel_at_period_end, current_period_end: end, discount };
  const { id } = polar.addSubscription("c1", productId, more);
  await addCustomer("c1", elsewhere ? "bob" : "alice");
  const past_due = fields.status === "past_due" ? { past_due_us: Date.now() * 1000 } : {};
  const owner = elsewhere ? { app_user_id: "alice" } : {};
  const ends = cancel_at_period_end ? 1 : 0;
  await addSubscription(id, "c1", productId, { ...fields, cancel_at_period_end: ends, ...past_due, ...owner });
  return id;
}

/** What reached Polar beside the customer. */
function sent(): string | null {
  const [first, ...others] = polar.sent.filter(({ path }) => !path.startsWith("/v1/customers"));
  if (first === undefined) return null;
  if (others.length > 0) return "more than one request";
  if (first.method === "PATCH") return "change at Polar";
  return first.body?.subscription_id === undefined ? "checkout" : "checkout that upgrades";
}

describe.each(Object.keys(STARTS))("from %s", (name) => {
  it.each(table.ways.filter(({ start }) => start === name))("$way $product is $answer", async (row) => {
    const start = STARTS[name];
    const held = start ? await hold(start) : NOBODYS;
    const product = row.product === null ? {} : { product: productOf(row.product).key };
    const path = row.way === "checkout" ? "checkout" : `subscription/${row.way}`;
    const body = row.way === "checkout" ? product : { subscription: held, ...product };
    const { status, json } = await call("POST", `/billing/${path}`, { user: "alice", catalog: TEST_CATALOG, body });
    expect([status, json.error].filter(Boolean).join(" ")).toBe(row.answer);
    expect(sent()).toBe(row.sent);
    const access = await call("GET", "/billing/access", { user: "alice", catalog: TEST_CATALOG });
    if (row.access !== null) expect(access.json.access).toBe(row.access);
    expect(await rows("billing_reactions")).toEqual([]);
  });
});
