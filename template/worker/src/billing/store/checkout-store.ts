/** Checkouts that our server made: whose they are, how they stand, and who asks Polar about them. */
import { DAY_US, HOUR_US, MINUTE_US } from "../time";

/** What is known of a checkout, and whether its purchase is here. */
export interface CheckoutRow {
  readonly status: string;
  readonly version: number;
  readonly bought: number;
}

/** The turn to ask Polar about a checkout, and when that was done before. */
export interface Turn {
  readonly id: string;
  readonly status: string;
  readonly version: number;
  readonly asked_us: number;
}

/** How long after its creation a checkout that nobody polls is asked about; one that is not used ends after a day. */
const ASK_AFTER_US = [10 * MINUTE_US, HOUR_US, 6 * HOUR_US, 25 * HOUR_US] as const;
const NOT_AFTER_US = 3 * DAY_US;

const BOUGHT = `(EXISTS (SELECT 1 FROM billing_subscriptions s WHERE s.checkout_id = c.id)
  OR EXISTS (SELECT 1 FROM billing_orders o WHERE o.checkout_id = c.id))`;

/** The user's own checkout. */
export function checkoutOf(db: D1Database, id: string, userId: string): D1PreparedStatement {
  return db
    .prepare(`SELECT status, version, ${BOUGHT} AS bought FROM billing_checkouts c WHERE id = ?1 AND user_id = ?2`)
    .bind(id, userId);
}

/** Whether the purchase of a checkout is here. */
export function boughtBy(db: D1Database, id: string): D1PreparedStatement {
  return db.prepare(`SELECT ${BOUGHT} AS bought FROM billing_checkouts c WHERE id = ?1`).bind(id);
}

/** Takes the right to ask: of all who want to know, one does. No row: somebody did since `askedBefore`. */
export function takeTurn(db: D1Database, id: string, now: number, askedBefore: number): D1PreparedStatement {
  return db
    .prepare(
      `UPDATE billing_checkouts SET asked_us = ?2 WHERE id = ?1 AND asked_us <= ?3
       RETURNING id, status, version, asked_us`,
    )
    .bind(id, now, askedBefore);
}

/** Gives a turn back: Polar could not be asked. */
export function giveTurnBack(db: D1Database, id: string, taken: number, before: number): D1PreparedStatement {
  return db
    .prepare("UPDATE billing_checkouts SET asked_us = ?3 WHERE id = ?1 AND asked_us = ?2")
    .bind(id, taken, before);
}

/** Our own checkouts without a purchase that are due to be asked about, the newest first. */
export function dueToAsk(db: D1Database, now: number, limit: number): D1PreparedStatement {
  const due = ASK_AFTER_US.map((after) => `(c.created_us <= ?1 - ${after} AND c.asked_us < c.created_us + ${after})`);
  return db
    .prepare(
      `SELECT id, status, version, asked_us FROM billing_checkouts c
       WHERE status IN ('open', 'confirmed', 'succeeded') AND created_us > ?2 AND user_id IS NOT NULL
         AND (${due.join(" OR ")}) AND NOT ${BOUGHT}
       ORDER BY created_us DESC LIMIT ?3`,
    )
    .bind(now, now - NOT_AFTER_US, limit);
}

/** Writes Polar's answer unless an event came in between; it keeps the version, so that any event is newer. */
export function moveCheckout(db: D1Database, before: Turn, status: string): D1PreparedStatement {
  return db
    .prepare("UPDATE billing_checkouts SET status = ?2 WHERE id = ?1 AND status = ?3 AND version = ?4")
    .bind(before.id, status, before.status, before.version);
}

/** A purchase that Polar has and we have not heard of: its customer is reconciled soon. */
export function markUnlessBought(db: D1Database, id: string, customerId: string, now: number): D1PreparedStatement {
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
