/** What counts for a user: the only SQL that says whose purchases and benefits are whose. */
import type { HeldGrant, HeldOrder, HeldSubscription, Holdings } from "../policy";

/** The customer that a user follows: the newest with their id that is not deleted. */
export interface CustomerRow {
  readonly id: string;
  readonly external_id: string | null;
  readonly email: string | null;
  readonly name: string | null;
}

type HeldRow =
  | { readonly kind: "blocked" }
  | ({ readonly kind: "subscription" } & HeldSubscription)
  | ({ readonly kind: "order" } & HeldOrder)
  | ({ readonly kind: "grant" } & HeldGrant);

/** An external id may come back on a new customer while the old one's events still arrive. */
const FOLLOWED = `SELECT id FROM billing_customers WHERE external_id = ?1 AND deleted_us IS NULL
  ORDER BY created_us DESC, id DESC LIMIT 1`;

/**
 * A user's own rows: those of the followed customer that our server did not make for somebody else, and those made for
 * the user that Polar put on another customer. Nothing of a deleted customer counts.
 */
function owned(table: "billing_subscriptions" | "billing_orders", columns: string): string {
  return `SELECT ${columns} FROM ${table} t
      WHERE t.customer_id = (${FOLLOWED}) AND (t.app_user_id IS NULL OR t.app_user_id = ?1)
    UNION ALL
    SELECT ${columns} FROM ${table} t CROSS JOIN billing_customers c
      WHERE t.app_user_id = ?1 AND c.id = t.customer_id AND c.external_id IS NOT ?1 AND c.deleted_us IS NULL`;
}

const GRANT = `t.id, t.benefit_id, t.is_granted, t.is_revoked, t.revoked_us, t.subscription_id`;

/**
 * A grant with a member is that member's, any other the customer's. The owner of a customer is a member too: the one
 * with the customer's own external id, or with none where the customer was linked to a user later on (Polar leaves the
 * member as it was). Grants of a followed customer count for its owner, those of other customers for their members.
 *
 * What the owner has of a purchase follows that purchase: where our server made it for another user, who typed in the
 * customer's e-mail address at Polar, its grants are that user's.
 */
const GRANTS = `SELECT ${GRANT} FROM billing_benefit_grants t LEFT JOIN billing_members m ON m.id = t.member_id
    LEFT JOIN billing_subscriptions ps ON ps.id = t.subscription_id LEFT JOIN billing_orders po ON po.id = t.order_id
    WHERE t.customer_id = (${FOLLOWED}) AND (t.member_id IS NULL OR (m.deleted_us IS NULL
      AND (m.external_id = ?1 OR (m.external_id IS NULL AND m.role = 'owner'))))
      AND COALESCE(ps.app_user_id, po.app_user_id, ?1) = ?1
  UNION ALL
  SELECT ${GRANT} FROM (
      SELECT id AS subscription_id, NULL AS order_id, customer_id FROM billing_subscriptions WHERE app_user_id = ?1
      UNION ALL SELECT NULL, id, customer_id FROM billing_orders WHERE app_user_id = ?1
    ) p CROSS JOIN billing_customers c CROSS JOIN billing_benefit_grants t
    LEFT JOIN billing_members m ON m.id = t.member_id
    WHERE c.id = p.customer_id AND c.external_id IS NOT ?1 AND c.deleted_us IS NULL AND t.customer_id = p.customer_id
      AND (t.subscription_id = p.subscription_id OR t.order_id = p.order_id)
      AND (t.member_id IS NULL OR (m.role = 'owner' AND m.deleted_us IS NULL))
  UNION ALL
  SELECT ${GRANT} FROM billing_members m CROSS JOIN billing_benefit_grants t CROSS JOIN billing_customers c
    WHERE m.external_id = ?1 AND m.deleted_us IS NULL AND t.member_id = m.id AND c.id = t.customer_id
      AND c.deleted_us IS NULL AND c.external_id IS NOT ?1`;

/** Everything the policy reads, in one query. D1 allows five SELECTs in one compound, hence the parts in parts. */
const HOLDINGS = `
  SELECT 'blocked' AS kind, NULL AS id, NULL AS customer_id, NULL AS product_id, NULL AS status, NULL AS created_us,
    NULL AS current_period_start_us, NULL AS current_period_end_us, NULL AS cancel_at_period_end, NULL AS ends_us,
    NULL AS past_due_us, NULL AS billing_reason, NULL AS subscription_id, NULL AS benefit_id, NULL AS is_granted,
    NULL AS is_revoked, NULL AS revoked_us, NULL AS dispute_status
    FROM billing_blocked_users WHERE user_id = ?1
  UNION ALL
  SELECT 'subscription', id, customer_id, product_id, status, created_us, current_period_start_us,
    current_period_end_us, cancel_at_period_end, ends_us, past_due_us, NULL, NULL, NULL, NULL, NULL, NULL, NULL
    FROM (${owned("billing_subscriptions", "t.*")})
  UNION ALL
  SELECT 'order', id, customer_id, product_id, status, created_us, NULL, NULL, NULL, NULL, NULL, billing_reason,
    subscription_id, NULL, NULL, NULL, NULL, dispute_status
    FROM (${owned("billing_orders", "t.*")})
  UNION ALL
  SELECT 'grant', g.id, NULL, NULL, s.status, NULL, s.current_period_start_us, NULL, NULL, NULL, s.past_due_us, NULL,
    g.subscription_id, g.benefit_id, g.is_granted, g.is_revoked, g.revoked_us, NULL
    FROM (${GRANTS}) g LEFT JOIN billing_subscriptions s ON s.id = g.subscription_id`;

/** Statement for `readHoldings`. */
export function holdingsOf(db: D1Database, userId: string): D1PreparedStatement {
  return db.prepare(HOLDINGS).bind(userId);
}

/** Sorts the rows of `holdingsOf` by what they are. */
export function readHoldings({ results }: D1Result): Holdings {
  const rows = results as unknown as HeldRow[];
  return {
    blocked: rows.some(({ kind }) => kind === "blocked"),
    subscriptions: rows.filter((row) => row.kind === "subscription"),
    orders: rows.filter((row) => row.kind === "order"),
    grants: rows.filter((row) => row.kind === "grant"),
  };
}

export function followedCustomerOf(db: D1Database, userId: string): D1PreparedStatement {
  return db.prepare(`SELECT id, external_id, email, name FROM billing_customers WHERE id = (${FOLLOWED})`).bind(userId);
}

/** Whether the user has bought anything, on whichever customer it lies. */
export async function hasPurchases(db: D1Database, userId: string): Promise<boolean> {
  const [subscriptions, orders] = await db.batch([subscriptionsOf(db, userId), ordersOf(db, userId)]);
  return (subscriptions?.results.length ?? 0) + (orders?.results.length ?? 0) > 0;
}

/** Whether a user is blocked: before and after any customer. */
export async function isBlocked(db: D1Database, userId: string): Promise<boolean> {
  return (await db.prepare("SELECT 1 FROM billing_blocked_users WHERE user_id = ?1").bind(userId).first()) !== null;
}

/** Whether a user has or had a trial, of whichever product, also as a customer that was deleted since. */
export async function hadTrial(db: D1Database, userId: string): Promise<boolean> {
  const found = await db
    .prepare(
      `SELECT 1 FROM billing_subscriptions WHERE app_user_id = ?1 AND trial_end_us IS NOT NULL
       UNION ALL SELECT 1 FROM billing_customers c CROSS JOIN billing_subscriptions s
         WHERE c.external_id = ?1 AND s.customer_id = c.id AND s.trial_end_us IS NOT NULL
       LIMIT 1`,
    )
    .bind(userId)
    .first();
  return found !== null;
}

/** All the user's own subscriptions, newest first: rows of `SubscriptionRow`. */
export function subscriptionsOf(db: D1Database, userId: string): D1PreparedStatement {
  return newestFirst(db, owned("billing_subscriptions", "t.*"), userId);
}

/** All the user's own orders, newest first: rows of `OrderRow`. */
export function ordersOf(db: D1Database, userId: string): D1PreparedStatement {
  return newestFirst(db, owned("billing_orders", "t.*"), userId);
}

function newestFirst(db: D1Database, query: string, userId: string): D1PreparedStatement {
  return db.prepare(`SELECT * FROM (${query}) ORDER BY created_us DESC, id DESC`).bind(userId);
}
