/** What the tables say: events, reactions and customers that want a look. */
import { CATALOG } from "../../src/billing/catalog.ts";
import { type PolarObject, requiredObjects, Unreadable } from "../../src/billing/read.ts";
import { RECORDS } from "./checks.ts";
import type { Examination, Found } from "./examination.ts";
import { Skipped } from "./skipped.ts";

const HELD = `
  SELECT product_id, COUNT(*) AS number FROM (
    SELECT product_id FROM billing_subscriptions WHERE status IN ('active', 'trialing', 'past_due', 'paused')
    UNION ALL
    SELECT product_id FROM billing_orders
    WHERE subscription_id IS NULL AND billing_reason = 'purchase' AND status IN ('paid', 'partially_refunded')
  ) AS held WHERE product_id IS NOT NULL GROUP BY product_id ORDER BY product_id`;

const SAMPLE = "SELECT id FROM billing_customers WHERE deleted_us IS NULL ORDER BY version DESC, id LIMIT 20";

const LIVE = `
  SELECT 'subscription ' || id || ' ' || status AS held FROM billing_subscriptions
  WHERE customer_id = ?1 AND status IN ('active', 'trialing')
  UNION ALL SELECT 'grant ' || id FROM billing_benefit_grants
  WHERE customer_id = ?1 AND is_granted AND NOT is_revoked`;

/** The check that runs the SQL of that id. */
export function look(id: keyof typeof RECORDS): (x: Examination) => Promise<Found[]> {
  const sql = RECORDS[id];
  return async (x) => {
    const db = await x.database();
    const values = sql.includes("?1") ? [Date.now() * 1000] : [];
    const { results } = await db
      .prepare(sql)
      .bind(...values)
      .all<Found>();
    return results;
  };
}

/** Products that customers hold and the catalogue does not have. */
export async function productsUnknown(x: Examination): Promise<Found[]> {
  const db = await x.database();
  const { results } = await db.prepare(HELD).all<{ product_id: string; number: number }>();
  const known = new Set(CATALOG.products.map(({ id }) => id));
  return results
    .filter(({ product_id: id }) => !known.has(id))
    .map(({ product_id: id, number }) => ({ place: `product ${id}`, what: `held ${number} time(s)` }));
}

/** The customers that changed last, compared with Polar's own view of them. */
export async function projectionDrift(x: Examination): Promise<Found[]> {
  const db = await x.database();
  const found: Found[] = [];
  for (const { id } of (await db.prepare(SAMPLE).all<{ id: string }>()).results) {
    const { results } = await db.prepare(LIVE).bind(id).all<{ held: string }>();
    const [here, there] = [new Set(results.map(({ held }) => held)), await liveAtPolar(x, id)];
    const missing = [...there].filter((held) => !here.has(held)).sort();
    const surplus = [...here].filter((held) => !there.has(held)).sort();
    if (missing.length + surplus.length === 0) continue;
    const what = `only at Polar: ${missing.join(", ") || "nothing"}; only here: ${surplus.join(", ") || "nothing"}`;
    found.push({ place: `customer ${id}`, what });
  }
  return found;
}

async function liveAtPolar(x: Examination, customerId: string): Promise<Set<string>> {
  const state = await x.polar.customerState(customerId);
  if (state === null) return new Set();
  try {
    return new Set(liveIn(state));
  } catch (error) {
    throw error instanceof Unreadable ? new Skipped("Polar's answer cannot be read.") : error;
  }
}

function liveIn(state: PolarObject): string[] {
  return [
    ...requiredObjects(state, "active_subscriptions").map(({ id, status }) => `subscription ${id} ${status}`),
    ...requiredObjects(state, "granted_benefits").map(({ id }) => `grant ${id}`),
  ];
}
