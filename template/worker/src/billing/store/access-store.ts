/** The last known access of users, and which users are due to be compared again. */
import type { Row } from "../projections/projection";
import { DAY_US, MINUTE_US } from "../time";

/** A user whose access is to be compared. */
export interface AccessRow {
  readonly user_id: string;
  readonly access: number;
  readonly changes: number;
  readonly check_us: number | null;
}

/** Everybody whom something about the customer ?1 may concern: the customer's user, its members' and the buyers'. */
const CONCERNED = `SELECT user_id FROM (
    SELECT external_id AS user_id FROM billing_customers WHERE id = ?1
    UNION SELECT external_id FROM billing_members WHERE customer_id = ?1
    UNION SELECT app_user_id FROM billing_subscriptions WHERE customer_id = ?1
    UNION SELECT app_user_id FROM billing_orders WHERE customer_id = ?1
  ) WHERE user_id IS NOT NULL`;

/** After an event about a customer or a member: all users concerned are compared in the background. */
export function markForCheck(db: D1Database, customerId: string, now: number): D1PreparedStatement {
  return db
    .prepare(
      `INSERT INTO billing_access (user_id, check_us) SELECT user_id, ?2 FROM (${CONCERNED}) WHERE true
       ON CONFLICT (user_id) DO UPDATE SET check_us = excluded.check_us`,
    )
    .bind(customerId, now);
}

/**
 * After an event about a purchase or a benefit grant: its buyer and members are compared in the background. The
 * buyer of a grant is the one of its subscription or order.
 */
export function markOwners(db: D1Database, customerId: string, row: Row, now: number): D1PreparedStatement {
  return db
    .prepare(
      `INSERT INTO billing_access (user_id, check_us)
       SELECT user_id, ?3 FROM (
         SELECT COALESCE(?2, (SELECT app_user_id FROM billing_subscriptions WHERE id = ?4),
           (SELECT app_user_id FROM billing_orders WHERE id = ?5)) AS user_id
         UNION SELECT external_id FROM billing_customers WHERE id = ?1
         UNION SELECT external_id FROM billing_members WHERE customer_id = ?1
       ) WHERE user_id IS NOT NULL
       ON CONFLICT (user_id) DO UPDATE SET check_us = excluded.check_us`,
    )
    .bind(customerId, row.app_user_id ?? null, now, row.subscription_id ?? null, row.order_id ?? null);
}

/** Gives those concerned a row, without anything to look at. */
export function markUsers(db: D1Database, customerId: string): D1PreparedStatement {
  return db
    .prepare(
      `INSERT INTO billing_access (user_id) SELECT user_id FROM (${CONCERNED}) WHERE true ON CONFLICT DO NOTHING`,
    )
    .bind(customerId);
}

/** The users concerned, by id, some at a time; with `notDueAt` only those whose check is not due at that instant. */
export async function usersToSettle(
  db: D1Database,
  customerId: string,
  notDueAt: number | null,
  after: string,
  limit: number,
): Promise<AccessRow[]> {
  const { results } = await db
    .prepare(
      `SELECT * FROM billing_access
       WHERE user_id IN (${CONCERNED}) AND (?2 IS NULL OR check_us IS NULL OR check_us > ?2) AND user_id > ?3
       ORDER BY user_id LIMIT ?4`,
    )
    .bind(customerId, notDueAt, after, limit)
    .all<AccessRow>();
  return results;
}

/** Users whose access may have changed, those that wait longest first. */
export async function usersToCheck(db: D1Database, now: number, limit: number): Promise<AccessRow[]> {
  const { results } = await db
    .prepare("SELECT * FROM billing_access WHERE check_us <= ?1 ORDER BY check_us LIMIT ?2")
    .bind(now, limit)
    .all<AccessRow>();
  return results;
}

/** What was found, unless an event or another run came in between. */
export function settleAccess(
  db: D1Database,
  before: AccessRow,
  access: boolean,
  checkUs: number | null,
): D1PreparedStatement {
  const changed = access === (before.access === 1) ? 0 : 1;
  return db
    .prepare(
      `UPDATE billing_access SET access = ?2, changes = changes + ?3, check_us = ?4, check_failures = 0
       WHERE user_id = ?1 AND changes = ?5 AND check_us IS ?6`,
    )
    .bind(before.user_id, access ? 1 : 0, changed, checkUs, before.changes, before.check_us);
}

/** The access of a user could not be compared: it is due again after a pause that grows with each failure. */
export function postponeCheck(db: D1Database, userId: string, now: number): D1PreparedStatement {
  return db
    .prepare(
      `UPDATE billing_access SET check_failures = check_failures + 1,
         check_us = ?2 + MIN(?3 << MIN(check_failures, 10), ?4)
       WHERE user_id = ?1`,
    )
    .bind(userId, now, MINUTE_US, DAY_US);
}
