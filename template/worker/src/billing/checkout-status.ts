/** How a checkout stands: from our own tables, and from Polar while the answer can still change. */
import { accessOf } from "./access";
import type { Catalog } from "./catalog-types";
import { ApiError } from "./errors";
import { logError } from "./log";
import { type PolarApi, PolarApiError } from "./polar";
import type { PolarObject } from "./read";
import { SECOND_US } from "./time";

/** State of a checkout as clients see it. */
export type CheckoutState = "pending" | "confirmed" | "succeeded" | "failed" | "expired";

interface Parts {
  readonly db: D1Database;
  readonly polar: PolarApi | null;
  readonly catalog: Catalog;
  /** Whether the user, and the whole app, may ask Polar once more in this minute. */
  readonly mayPoll: () => Promise<boolean>;
}

interface Row {
  readonly status: string;
  readonly version: number;
}

/** Polar's checkout statuses and ours. One that is not listed may still change. */
const STATES: Readonly<Record<string, CheckoutState>> = {
  open: "pending",
  confirmed: "confirmed",
  succeeded: "succeeded",
  failed: "failed",
  expired: "expired",
};
const ASK_EVERY_US = 2 * SECOND_US;
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** The state of the user's own checkout, and whether the user has access by now. Another's is not found. */
export async function checkoutStatus(
  { db, polar, catalog, mayPoll }: Parts,
  userId: string,
  id: string,
  now: number,
): Promise<{ state: CheckoutState; access: boolean }> {
  const row = UUID.test(id) ? await find(db, id, userId) : null;
  if (row === null) throw new ApiError("not_found");
  const asked = mayChange(row.status) && polar !== null ? await ask(db, polar, id, now, mayPoll) : null;
  const { access } = await accessOf(db, userId, now, catalog);
  return { state: stateOf(asked ?? row.status), access };
}

function stateOf(status: string): CheckoutState {
  return STATES[status] ?? "pending";
}

function mayChange(status: string): boolean {
  return ["pending", "confirmed"].includes(stateOf(status));
}

function find(db: D1Database, id: string, userId: string): Promise<Row | null> {
  return db
    .prepare("SELECT status, version FROM billing_checkouts WHERE id = ?1 AND user_id = ?2")
    .bind(id, userId)
    .first<Row>();
}

/** Asks Polar unless somebody did a moment ago; when Polar fails, what we know stands. */
async function ask(
  db: D1Database,
  polar: PolarApi,
  id: string,
  now: number,
  mayPoll: Parts["mayPoll"],
): Promise<string | null> {
  const claimed = await claim(db, id, now);
  if (claimed === null || !(await mayPoll())) return null;
  try {
    const checkout = await polar.checkout(id);
    return await adopt(db, checkout, id, claimed, now);
  } catch (error) {
    if (!(error instanceof PolarApiError)) throw error;
    logError("checkout_status", { status: error.status, error: error.error });
    return null;
  }
}

/** Takes the right to ask, for two seconds: of all who want to know, one does. */
function claim(db: D1Database, id: string, now: number): Promise<Row | null> {
  return db
    .prepare(
      `UPDATE billing_checkouts SET asked_us = ?2 WHERE id = ?1 AND asked_us <= ?3
       RETURNING status, version`,
    )
    .bind(id, now, now - ASK_EVERY_US)
    .first<Row>();
}

/** Writes Polar's answer unless an event came in between; it keeps the version, so that any event is newer. */
async function adopt(
  db: D1Database,
  { status, customer_id: customerId }: PolarObject,
  id: string,
  before: Row,
  now: number,
): Promise<string | null> {
  if (typeof status !== "string" || STATES[status] === undefined) return null;
  const move = db
    .prepare("UPDATE billing_checkouts SET status = ?2 WHERE id = ?1 AND status = ?3 AND version = ?4")
    .bind(id, status, before.status, before.version);
  if (status !== "succeeded" || typeof customerId !== "string") await move.run();
  else await db.batch([move, markUnlessBought(db, id, customerId, now)]);
  return status;
}

/** A purchase that Polar has and we have not heard of: its customer is reconciled soon. */
function markUnlessBought(db: D1Database, id: string, customerId: string, now: number): D1PreparedStatement {
  return db
    .prepare(
      `INSERT INTO billing_customers (id, reconcile_us, created_us)
       SELECT ?2, ?3, 0
       WHERE NOT EXISTS (SELECT 1 FROM billing_orders WHERE customer_id = ?2 AND checkout_id = ?1)
         AND NOT EXISTS (SELECT 1 FROM billing_subscriptions WHERE customer_id = ?2 AND checkout_id = ?1)
       ON CONFLICT (id) DO UPDATE SET reconcile_us = COALESCE(billing_customers.reconcile_us, excluded.reconcile_us)`,
    )
    .bind(id, customerId, now);
}
