/** The inbox: every verified webhook event, by its `webhook-id`. */

/** What is known of an event, however little of it could be read. */
export interface InboxEntry {
  readonly webhookId: string;
  readonly type: string;
  readonly version: number;
  readonly customerId: string | null;
  readonly body: Uint8Array;
}

/** An event that failed, with its body as it came. */
export interface FailedEntry {
  readonly webhook_id: string;
  readonly body: ArrayBuffer | number[] | null;
}

const COLUMNS = `webhook_id, type, state, version, customer_id, body, error, attempts, next_attempt_us, received_us,
  processed_us`;

/** A repeat of a processed or ignored event changes nothing and returns no row. */
const UNLESS_DONE = "WHERE t.state IN ('failed', 'dead') RETURNING state";

/** Of a customer who was deleted, or erased here, no body is kept, however late it comes. */
const KEPT = `CASE WHEN EXISTS (SELECT 1 FROM billing_customers
  WHERE id = ?5 AND COALESCE(deleted_us, erased_us) IS NOT NULL) THEN NULL`;

/** The event was applied, or is of a type that is stored only. */
export function storeDone(
  db: D1Database,
  entry: InboxEntry,
  state: "processed" | "ignored",
  now: number,
): D1PreparedStatement {
  return db
    .prepare(
      `INSERT INTO billing_webhook_events AS t (${COLUMNS})
       VALUES (?1, ?2, ?3, ?4, ?5, ${KEPT} ELSE ?6 END, NULL, 1, NULL, ?7, ?7)
       ON CONFLICT (webhook_id) DO UPDATE SET type = excluded.type, state = excluded.state, error = NULL,
         body = ${KEPT} ELSE t.body END, version = excluded.version, customer_id = excluded.customer_id, attempts = t.attempts + 1,
         next_attempt_us = NULL, processed_us = excluded.processed_us
       ${UNLESS_DONE}`,
    )
    .bind(entry.webhookId, entry.type, state, entry.version, entry.customerId, entry.body, now);
}

/** The event could not be applied: tried again after 30 s, doubled each time up to an hour; dead after ten tries. */
export function storeFailed(db: D1Database, entry: InboxEntry, error: string, now: number): D1PreparedStatement {
  return db
    .prepare(
      `INSERT INTO billing_webhook_events AS t (${COLUMNS})
       VALUES (?1, ?2, 'failed', ?3, ?4, ?5, ?6, 1, ?7 + 30000000, ?7, NULL)
       ON CONFLICT (webhook_id) DO UPDATE SET error = excluded.error, attempts = t.attempts + 1,
         state = CASE WHEN t.attempts + 1 >= 10 THEN 'dead' ELSE 'failed' END,
         next_attempt_us = CASE WHEN t.attempts + 1 >= 10 THEN NULL
           ELSE ?7 + MIN(30000000 << t.attempts, 3600000000) END
       ${UNLESS_DONE}`,
    )
    .bind(entry.webhookId, entry.type, entry.version, entry.customerId, entry.body, error, now);
}

/** Failed events whose next attempt is due. */
export async function failedEvents(db: D1Database, now: number, limit: number): Promise<FailedEntry[]> {
  const { results } = await db
    .prepare(
      `SELECT webhook_id, body FROM billing_webhook_events
       WHERE state = 'failed' AND next_attempt_us <= ?1 ORDER BY next_attempt_us LIMIT ?2`,
    )
    .bind(now, limit)
    .all<FailedEntry>();
  return results;
}

/** Empties the bodies of events that were done before an instant; their ids stay, so that repeats stay without effect. */
export function emptyBodies(db: D1Database, before: number): D1PreparedStatement {
  return db
    .prepare(
      `UPDATE billing_webhook_events SET body = NULL
       WHERE received_us < ?1 AND state IN ('processed', 'ignored') AND body IS NOT NULL`,
    )
    .bind(before);
}

/** The body of an event as it came; null when it was emptied, or the event is unknown. */
export async function bodyOf(db: D1Database, webhookId: string): Promise<Uint8Array | null> {
  const stored = await db
    .prepare("SELECT body FROM billing_webhook_events WHERE webhook_id = ?1")
    .bind(webhookId)
    .first<Pick<FailedEntry, "body">>();
  return stored?.body ? new Uint8Array(stored.body) : null;
}

/** Has an event that was done taken for one that was not: in the same batch it is applied again. */
export function reopen(db: D1Database, webhookId: string): D1PreparedStatement {
  return db.prepare("UPDATE billing_webhook_events SET state = 'failed' WHERE webhook_id = ?1").bind(webhookId);
}

/** Empties the bodies of events of deleted customers that came after the deletion, or beside it. */
export function emptyBodiesOfDeleted(db: D1Database): D1PreparedStatement {
  return db.prepare(
    `UPDATE billing_webhook_events SET body = NULL
     WHERE customer_id IN (SELECT id FROM billing_customers WHERE deleted_us IS NOT NULL)
       AND body IS NOT NULL AND state <> 'failed'`,
  );
}
