/** What a user sees of their own billing: access, customer, subscriptions and orders. */
import type { CustomerRow, Decision } from "./access";
import { CATALOG } from "./catalog";
import type { Catalog } from "./catalog-types";
import { decide } from "./policy";
import type { OrderRow } from "./projections/order";
import type { SubscriptionRow } from "./projections/subscription";
import { followedCustomerOf, holdingsOf, ordersOf, readHoldings, subscriptionsOf } from "./store/holdings-store";
import type { StoredRow } from "./store/reconcile-store";
import { formatInstant, formatOptionalInstant } from "./time";

export interface Account {
  readonly access: Decision;
  readonly customer: CustomerRow | null;
  readonly subscriptions: readonly SubscriptionJson[];
  readonly orders: readonly OrderJson[];
}

export type StoredSubscription = SubscriptionRow & StoredRow;
export type SubscriptionJson = ReturnType<typeof subscriptionRowJson>;
export type OrderJson = ReturnType<typeof orderRowJson>;

/** Statuses in which a subscription runs, is still being paid for, or will go on: nobody buys a second one beside it. */
const LIVE: readonly string[] = ["active", "trialing", "past_due", "paused"];

/** The account of a user, in one round trip. */
export async function accountOf(
  db: D1Database,
  userId: string,
  now: number,
  catalog: Catalog = CATALOG,
): Promise<Account> {
  const [holdings, customer, subscriptions, orders] = await db.batch([
    holdingsOf(db, userId),
    followedCustomerOf(db, userId),
    subscriptionsOf(db, userId),
    ordersOf(db, userId),
  ]);
  return {
    access: decide(readHoldings(holdings as D1Result), now, catalog).decision,
    customer: rowsOf<CustomerRow>(customer)[0] ?? null,
    subscriptions: rowsOf<SubscriptionRow>(subscriptions).map((row) => subscriptionRowJson(row, catalog)),
    orders: rowsOf<OrderRow>(orders).map((row) => orderRowJson(row, catalog)),
  };
}

/** The user's own subscriptions that are not over, newest first. */
export async function liveSubscriptions(db: D1Database, userId: string): Promise<StoredSubscription[]> {
  const { results } = await subscriptionsOf(db, userId).all<StoredSubscription>();
  return results.filter(({ status }) => LIVE.includes(status));
}

/** A subscription in the shape of the account. */
export function subscriptionRowJson(row: SubscriptionRow, catalog: Catalog = CATALOG) {
  return {
    id: row.id,
    product_id: row.product_id,
    key: keyOf(row.product_id, catalog),
    status: row.status,
    amount: row.amount,
    currency: row.currency,
    recurring_interval: row.recurring_interval,
    recurring_interval_count: row.recurring_interval_count,
    current_period_start: formatOptionalInstant(row.current_period_start_us),
    current_period_end: formatOptionalInstant(row.current_period_end_us),
    trial_end: formatOptionalInstant(row.trial_end_us),
    cancel_at_period_end: row.cancel_at_period_end === 1,
    canceled_at: formatOptionalInstant(row.canceled_us),
    started_at: formatOptionalInstant(row.started_us),
    ends_at: formatOptionalInstant(row.ends_us),
    ended_at: formatOptionalInstant(row.ended_us),
    past_due_at: formatOptionalInstant(row.past_due_us),
    pause_at_period_end: row.pause_at_period_end === 1,
    resumes_at: formatOptionalInstant(row.resumes_us),
    seats: row.seats,
    pending_product_id: row.pending_product_id,
  };
}

/** An order in the shape of the account. */
export function orderRowJson(row: OrderRow, catalog: Catalog = CATALOG) {
  return {
    id: row.id,
    product_id: row.product_id,
    key: keyOf(row.product_id, catalog),
    status: row.status,
    amount: row.amount,
    refunded_amount: row.refunded_amount,
    currency: row.currency,
    billing_reason: row.billing_reason,
    subscription_id: row.subscription_id,
    created_at: formatInstant(row.created_us),
  };
}

function keyOf(productId: string | null, catalog: Catalog): string | null {
  return catalog.products.find(({ id }) => id === productId)?.key ?? null;
}

function rowsOf<T>(result: D1Result | undefined): T[] {
  return (result?.results ?? []) as T[];
}
