/** Rows as they were before Polar was asked, and writing what differs unless an event came in between. */
import type { Projection, Row, Value } from "../projections/projection";
import { DAY_US, HOUR_US, MINUTE_US } from "../time";

/** Polar is down for a while: asked again soon. A customer that cannot be read: less and less often. */
const FIRST_PAUSE_US = 2 * MINUTE_US;
const LONGEST_PAUSE_US = 6 * HOUR_US;

/** A stored row with what tells its version. */
export type StoredRow = Row & { readonly id: string; readonly version: number; readonly webhook_id: string };

/** Marks a customer; one that is marked already keeps its turn. */
export function markForReconciliation(db: D1Database, customerId: string, now: number): D1PreparedStatement {
  return db
    .prepare("UPDATE billing_customers SET reconcile_us = ?2 WHERE id = ?1 AND reconcile_us IS NULL")
    .bind(customerId, now);
}

/** All rows of a customer in one projection. */
export function rowsOfCustomer(db: D1Database, { table }: Projection, customerId: string): D1PreparedStatement {
  const column = table === "billing_customers" ? "id" : "customer_id";
  return db.prepare(`SELECT * FROM ${table} WHERE ${column} = ?1`).bind(customerId);
}

/** Changes a row that no event was applied to since. It keeps its version, so that any later event still wins. */
export function updateUnmoved(db: D1Database, table: string, before: StoredRow, changes: Row): D1PreparedStatement {
  const columns = Object.keys(changes);
  return db
    .prepare(
      `UPDATE ${table} SET ${columns.map((column) => `${column} = ?`).join(", ")}
       WHERE id = ? AND version = ? AND webhook_id = ?`,
    )
    .bind(...Object.values(changes), before.id, before.version, before.webhook_id);
}

/** Writes what Polar answered to a change of a subscription, and that its reactions were not run yet. */
export function writeAnswer(
  db: D1Database,
  table: string,
  before: StoredRow,
  changes: Row,
  now: number,
): D1PreparedStatement {
  return updateUnmoved(db, table, before, { ...changes, answered_us: now });
}

/** The columns in which a stored row differs from one that Polar gave. */
export function changedColumns(old: Row, row: Row): Record<string, Value> {
  return Object.fromEntries(Object.entries(row).filter(([column, value]) => old[column] !== value));
}

/** Writes a row that was not known, at version 0: any event about it is newer. */
export function insertUnknown(db: D1Database, table: string, row: Row): D1PreparedStatement {
  const columns = Object.keys(row);
  return db
    .prepare(
      `INSERT INTO ${table} (${columns.join(", ")}) VALUES (${columns.map(() => "?").join(", ")})
       ON CONFLICT (id) DO NOTHING`,
    )
    .bind(...Object.values(row));
}

/**
 * Customers to reconcile now: first those that are marked, then those that were not for the longest time. Of the marked
 * ones those come first whose user waits: with a failed event or an open checkout.
 */
export async function customersToReconcile(
  db: D1Database,
  now: number,
  notSince: number,
  limit: number,
): Promise<string[]> {
  const [waiting, marked, stale] = await db.batch<{ id: string }>([
    db
      .prepare(
        `SELECT id FROM billing_customers
         WHERE reconcile_us <= ?1 AND deleted_us IS NULL AND reconcile_failures = 0 AND (
           id IN (SELECT customer_id FROM billing_webhook_events WHERE state = 'failed')
           OR external_id IN (SELECT user_id FROM billing_checkouts
             WHERE status IN ('open', 'confirmed', 'succeeded') AND created_us > ?3)
         ) ORDER BY reconcile_us LIMIT ?2`,
      )
      .bind(now, limit, now - DAY_US),
    db
      .prepare(
        `SELECT id FROM billing_customers WHERE reconcile_us <= ?1 AND deleted_us IS NULL
         ORDER BY reconcile_us LIMIT ?2`,
      )
      .bind(now, limit),
    db
      .prepare(
        `SELECT id FROM billing_customers
         WHERE reconciled_us < ?1 AND created_us < ?1 AND reconcile_us IS NULL AND deleted_us IS NULL
         ORDER BY reconciled_us LIMIT ?2`,
      )
      .bind(notSince, limit),
  ]);
  const found = [waiting, marked, stale].flatMap((each) => each?.results ?? []);
  return [...new Set(found.map(({ id }) => id))].slice(0, limit);
}

/** Polar and the projections agree now; a mark that was set since stays. */
export function reconciled(db: D1Database, customerId: string, now: number): D1PreparedStatement {
  return db
    .prepare(
      `UPDATE billing_customers SET reconciled_us = ?2, reconcile_failures = 0,
         reconcile_us = CASE WHEN reconcile_us > ?2 THEN reconcile_us END
       WHERE id = ?1`,
    )
    .bind(customerId, now);
}

/** Polar could not be asked: after a pause that grows with each failure, up to six hours. */
export function postpone(db: D1Database, customerId: string, now: number): D1PreparedStatement {
  return db
    .prepare(
      `UPDATE billing_customers SET reconcile_failures = reconcile_failures + 1,
         reconcile_us = ?2 + MIN(?3 << MIN(reconcile_failures, 10), ?4)
       WHERE id = ?1`,
    )
    .bind(customerId, now, FIRST_PAUSE_US, LONGEST_PAUSE_US);
}

/** Polar says that the customer is gone. */
export function gone(db: D1Database, customerId: string, now: number): D1PreparedStatement {
  return db
    .prepare("UPDATE billing_customers SET deleted_us = COALESCE(deleted_us, ?2) WHERE id = ?1")
    .bind(customerId, now);
}
