/** The outbox: what the user's own code is still to be told. */

/** A reaction to write, keyed by the transition that it is about. */
export interface NewReaction {
  readonly key: string;
  readonly reaction: string;
  readonly objectId: string;
  readonly payload: Readonly<Record<string, unknown>>;
}

/** A reaction that this run has the lease of. */
export interface ClaimedReaction {
  readonly key: string;
  readonly reaction: string;
  readonly user_id: string | null;
  readonly payload: string;
  readonly attempts: number;
  readonly lease_us: number;
}

const COLUMNS = "key, reaction, object_id, user_id, payload, next_attempt_us, created_us";

/** Written only by the event that the row is the snapshot of, when that event is applied for the first time. */
export function addForEvent(
  db: D1Database,
  { key, reaction, objectId, payload }: NewReaction,
  owner: { appUserId: string | null; customerId: string },
  { table, webhookId, now }: { table: string; webhookId: string; now: number },
): D1PreparedStatement {
  return db
    .prepare(
      `INSERT INTO billing_reactions (${COLUMNS})
       SELECT ?1, ?2, ?3, COALESCE(?4, (SELECT external_id FROM billing_customers WHERE id = ?5)), ?6, ?8, ?8
       WHERE EXISTS (SELECT 1 FROM ${table} WHERE id = ?3 AND webhook_id = ?7)
         AND EXISTS (SELECT 1 FROM billing_webhook_events WHERE webhook_id = ?7 AND processed_us = ?8)
       ON CONFLICT (key) DO NOTHING`,
    )
    .bind(key, reaction, objectId, owner.appUserId, owner.customerId, JSON.stringify(payload), webhookId, now);
}

/** Written when the access of a user was settled on this change, by whichever run it was. */
export function addForAccess(
  db: D1Database,
  { key, reaction, objectId, payload }: NewReaction,
  { access, changes, now }: { access: boolean; changes: number; now: number },
): D1PreparedStatement {
  return db
    .prepare(
      `INSERT INTO billing_reactions (${COLUMNS})
       SELECT ?1, ?2, ?3, ?3, ?4, ?5, ?5
       WHERE EXISTS (SELECT 1 FROM billing_access WHERE user_id = ?3 AND access = ?6 AND changes = ?7)
       ON CONFLICT (key) DO NOTHING`,
    )
    .bind(key, reaction, objectId, JSON.stringify(payload), now, access ? 1 : 0, changes);
}

/**
 * Written for a row that was read from Polar, if it stands here as it was read: no event was applied to it since.
 * A transition that was written before is not written again.
 */
export function addForFetched(
  db: D1Database,
  { key, reaction, objectId, payload }: NewReaction,
  owner: { appUserId: string | null; customerId: string },
  { table, version, webhookId, now }: { table: string; version: number; webhookId: string; now: number },
): D1PreparedStatement {
  return db
    .prepare(
      `INSERT INTO billing_reactions (${COLUMNS})
       SELECT ?1, ?2, ?3, COALESCE(?4, (SELECT external_id FROM billing_customers WHERE id = ?5)), ?6, ?9, ?9
       WHERE EXISTS (SELECT 1 FROM ${table} WHERE id = ?3 AND version = ?7 AND webhook_id = ?8)
       ON CONFLICT (key) DO NOTHING`,
    )
    .bind(key, reaction, objectId, owner.appUserId, owner.customerId, JSON.stringify(payload), version, webhookId, now);
}

/** Ends reactions that were tried as often as may be without a result: their process ended each time. */
export function endExhausted(db: D1Database, now: number, maxAttempts: number): D1PreparedStatement {
  return db
    .prepare(
      `UPDATE billing_reactions SET state = 'dead', error = 'ended ten times with its process', next_attempt_us = NULL
       WHERE state = 'pending' AND next_attempt_us <= ?1 AND lease_us <= ?1 AND attempts >= ?2`,
    )
    .bind(now, maxAttempts);
}

/** Takes reactions that are due, that no other run holds and that may be tried once more; none of the names in `not`. */
export async function claim(
  db: D1Database,
  now: number,
  leaseUs: number,
  limit: number,
  maxAttempts: number,
  not: readonly string[],
): Promise<ClaimedReaction[]> {
  const { results } = await db
    .prepare(
      `UPDATE billing_reactions SET lease_us = ?2, attempts = attempts + 1
       WHERE key IN (SELECT key FROM billing_reactions
         WHERE state = 'pending' AND next_attempt_us <= ?1 AND lease_us <= ?1 AND attempts < ?4
           AND reaction NOT IN (SELECT value FROM json_each(?5))
         ORDER BY next_attempt_us, key LIMIT ?3)
       RETURNING key, reaction, user_id, payload, attempts, lease_us`,
    )
    .bind(now, now + leaseUs, limit, maxAttempts, JSON.stringify(not))
    .all<ClaimedReaction>();
  return results;
}

/** Ends a claimed reaction, if the lease is still held. */
export function finish(db: D1Database, claimed: ClaimedReaction, now: number): D1PreparedStatement {
  return db
    .prepare(
      `UPDATE billing_reactions SET state = 'done', done_us = ?3, next_attempt_us = NULL, error = NULL
       WHERE key = ?1 AND lease_us = ?2 AND state = 'pending'`,
    )
    .bind(claimed.key, claimed.lease_us, now);
}

/** Gives a claimed reaction back; without a next attempt it is dead. */
export function fail(
  db: D1Database,
  claimed: ClaimedReaction,
  error: string,
  nextAttemptUs: number | null,
): D1PreparedStatement {
  return db
    .prepare(
      `UPDATE billing_reactions SET state = ?3, error = ?4, next_attempt_us = ?5, lease_us = 0
       WHERE key = ?1 AND lease_us = ?2 AND state = 'pending'`,
    )
    .bind(claimed.key, claimed.lease_us, nextAttemptUs === null ? "dead" : "pending", error, nextAttemptUs);
}

/** Empties old finished reactions. Their keys stay: without them the same transition would be told again. */
export function emptyDone(db: D1Database, before: number): D1PreparedStatement {
  return db
    .prepare(
      `UPDATE billing_reactions SET payload = '{}', user_id = NULL
       WHERE state = 'done' AND done_us < ?1 AND payload <> '{}'`,
    )
    .bind(before);
}

/** The e-mail address of a customer, or without one of the user: as customer, else as member. */
export async function emailOf(
  db: D1Database,
  { customer_id: customerId, user_id: userId }: { customer_id?: string; user_id: string | null },
): Promise<string | null> {
  const found = await db
    .prepare(
      `SELECT email FROM (
         SELECT email, created_us AS rank FROM billing_customers
           WHERE deleted_us IS NULL AND (id = ?1 OR (?1 IS NULL AND external_id = ?2))
         UNION ALL SELECT email, -1 FROM billing_members
           WHERE deleted_us IS NULL AND ?1 IS NULL AND external_id = ?2
       ) WHERE email IS NOT NULL ORDER BY rank DESC LIMIT 1`,
    )
    .bind(customerId ?? null, userId)
    .first<{ email: string }>();
  return found?.email ?? null;
}
