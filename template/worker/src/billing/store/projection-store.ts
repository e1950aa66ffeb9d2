/** Writing snapshots: every statement gives the same rows in whatever order, and however often, it runs. */
import type { Identity, MemberIdentity, Projection, Row, Snapshot, Stamp } from "../projections/projection";

/** Statements that keep a snapshot if it is the newest one of its object. */
export function applySnapshot(
  db: D1Database,
  projection: Projection,
  snapshot: Snapshot,
  stamp: Stamp,
): D1PreparedStatement[] {
  const version = { version: stamp.version, modified_us: snapshot.modifiedUs, webhook_id: stamp.webhookId };
  return [
    ...identify(db, snapshot),
    upsertNewest(db, projection, { ...snapshot.row, ...version }),
    ...fillOnce(db, projection, snapshot.row),
  ];
}

/** What any payload tells about a customer or member stands outside the order of events. */
export function identify(db: D1Database, { customer, member }: Snapshot): D1PreparedStatement[] {
  return [
    ...(customer === null ? [] : [identifyCustomer(db, customer)]),
    ...(member === null ? [] : [identifyMember(db, member)]),
  ];
}

/**
 * After a plain deletion Polar's payloads say `external_id: null`, and may arrive before those that name it: what is
 * known is never overwritten. Most payloads say what is known, and write nothing.
 */
export function identifyCustomer(db: D1Database, customer: Identity): D1PreparedStatement {
  return db
    .prepare(
      `INSERT INTO billing_customers AS t (id, external_id, created_us, deleted_us) VALUES (?1, ?2, ?3, ?4)
       ON CONFLICT (id) DO UPDATE SET (external_id, created_us, deleted_us) = ${LEARNT_OF_CUSTOMER}
       WHERE ${LEARNT_OF_CUSTOMER} IS NOT (t.external_id, t.created_us, t.deleted_us)`,
    )
    .bind(customer.id, customer.externalId, customer.createdUs, customer.deletedUs);
}

function identifyMember(db: D1Database, member: MemberIdentity): D1PreparedStatement {
  return db
    .prepare(
      `INSERT INTO billing_members AS t (id, customer_id, external_id, deleted_us, role) VALUES (?1, ?2, ?3, ?4, ?5)
       ON CONFLICT (id) DO UPDATE SET (external_id, role, deleted_us) = ${LEARNT_OF_MEMBER}
       WHERE ${LEARNT_OF_MEMBER} IS NOT (t.external_id, t.role, t.deleted_us)`,
    )
    .bind(member.id, member.customerId, member.externalId, member.deletedUs, member.role);
}

/** Null only where both are. */
const EARLIEST_DELETION = `MIN(COALESCE(t.deleted_us, excluded.deleted_us), COALESCE(excluded.deleted_us, t.deleted_us))`;
const FIRST_EXTERNAL_ID = "COALESCE(t.external_id, excluded.external_id)";
const LEARNT_OF_CUSTOMER = `(${FIRST_EXTERNAL_ID}, MAX(t.created_us, excluded.created_us), ${EARLIEST_DELETION})`;
const LEARNT_OF_MEMBER = `(${FIRST_EXTERNAL_ID}, COALESCE(t.role, excluded.role), ${EARLIEST_DELETION})`;

function upsertNewest(db: D1Database, { table, key, writtenOnce }: Projection, row: Row): D1PreparedStatement {
  const columns = Object.keys(row);
  const updated = columns.filter((column) => column !== key && column !== writtenOnce);
  return db
    .prepare(
      `INSERT INTO ${table} AS t (${columns.join(", ")}) VALUES (${columns.map(() => "?").join(", ")})
       ON CONFLICT (${key}) DO UPDATE SET ${updated.map((column) => `${column} = excluded.${column}`).join(", ")}
       WHERE (excluded.version, excluded.modified_us, excluded.webhook_id) > (t.version, t.modified_us, t.webhook_id)`,
    )
    .bind(...Object.values(row));
}

function fillOnce(db: D1Database, { table, key, writtenOnce }: Projection, row: Row): D1PreparedStatement[] {
  const value = writtenOnce === null ? null : row[writtenOnce];
  if (value === null || value === undefined) return [];
  const fill = db.prepare(`UPDATE ${table} SET ${writtenOnce} = ?2 WHERE ${key} = ?1 AND ${writtenOnce} IS NULL`);
  return [fill.bind(row[key], value)];
}

/** Takes personal data away where the customer is deleted, or erased here, however late it came. Ids and amounts stay. */
export function forgetIfDeleted(db: D1Database, customerId: string): D1PreparedStatement[] {
  const gone = "COALESCE(deleted_us, erased_us) IS NOT NULL";
  // A subquery for the id, no EXISTS: else every event of every customer who lives would be read.
  const deleted = `(SELECT id FROM billing_customers WHERE id = ?1 AND ${gone})`;
  return [
    `UPDATE billing_customers SET email = NULL, name = NULL WHERE id = ?1 AND ${gone}`,
    `UPDATE billing_members SET email = NULL, name = NULL WHERE customer_id = ${deleted}
      OR (customer_id = ?1 AND external_id IN (SELECT external_id FROM billing_customers WHERE erased_us IS NOT NULL))`,
    `UPDATE billing_webhook_events SET body = NULL
      WHERE customer_id = ${deleted} AND state <> 'failed' AND body IS NOT NULL`,
  ].map((statement) => db.prepare(statement).bind(customerId));
}
