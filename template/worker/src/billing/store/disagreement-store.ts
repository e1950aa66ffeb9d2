/** Customer states that were not compared yet, and what the projections say instead. */

export interface StateRow {
  readonly customer_id: string;
  readonly body: string;
  readonly version: number;
}

/** States that are old enough for the events that they sum up to have come. */
export async function uncomparedStates(db: D1Database, before: number, limit: number): Promise<StateRow[]> {
  const { results } = await db
    .prepare(
      `SELECT customer_id, body, version FROM billing_customer_states
       WHERE version > compared_version AND version <= ?1 ORDER BY version LIMIT ?2`,
    )
    .bind(before, limit)
    .all<StateRow>();
  return results;
}

/** What a state would be by the projections: rows of (kind, id, status or benefit, product). */
export function projectedState(db: D1Database, customerId: string): D1PreparedStatement {
  return db
    .prepare(
      `SELECT 'subscription' AS kind, id, status AS value, product_id FROM billing_subscriptions
       WHERE customer_id = ?1 AND status IN ('active', 'trialing')
       UNION ALL
       SELECT 'grant', id, benefit_id, NULL FROM billing_benefit_grants
       WHERE customer_id = ?1 AND is_granted = 1 AND is_revoked = 0`,
    )
    .bind(customerId);
}

/** The state was compared, unless a newer one came. */
export function compared(db: D1Database, { customer_id: customerId, version }: StateRow): D1PreparedStatement {
  return db
    .prepare("UPDATE billing_customer_states SET compared_version = ?2 WHERE customer_id = ?1 AND version = ?2")
    .bind(customerId, version);
}
