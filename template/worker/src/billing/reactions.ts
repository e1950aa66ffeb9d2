/** What the user's own code can react to, and under which keys: a key names a transition, not an event. */

import type { OrderJson, SubscriptionJson } from "./account";
import { orderRowJson, subscriptionRowJson } from "./account";
import type { Decision } from "./policy";
import type { OrderRow } from "./projections/order";
import type { Row } from "./projections/projection";
import type { SubscriptionRow } from "./projections/subscription";
import type { NewReaction } from "./store/reaction-store";

/** The user is null for a buyer that no user is linked to. */
export type SubscriptionReaction = SubscriptionJson & { user_id: string | null; customer_id: string };
export type OrderReaction = OrderJson & { user_id: string | null; customer_id: string };
export type AccessReaction = Decision & { user_id: string };

/** The payload of each reaction. */
export interface ReactionPayloads {
  /** A user gained access to a premium product. */
  access_granted: AccessReaction;
  /** A user lost access to every premium product. */
  access_ended: AccessReaction;
  /** A subscription became active, or its trial began. */
  subscription_started: SubscriptionReaction;
  /** A subscription will end with its current period. */
  subscription_cancellation_scheduled: SubscriptionReaction;
  /** A subscription is over. */
  subscription_ended: SubscriptionReaction;
  /** A renewal payment was declined; Polar retries it. */
  payment_failed: SubscriptionReaction;
  /** An order was paid. The amount can be 0: trials, free products, full discounts. */
  order_paid: OrderReaction;
  /** An order was refunded, in part or in full. */
  order_refunded: OrderReaction;
}

export type ReactionName = keyof ReactionPayloads;

/** Beside the payload: the same key on every attempt, good as an idempotency key elsewhere. */
export interface ReactionContext {
  readonly key: string;
  readonly attempt: number;
  /** Looks up the e-mail address of the customer. It is not in the payload, since that is kept longer. */
  email(): Promise<string | null>;
}

/** Your handlers, by name. A reaction without one is never written. */
export type Reactions = {
  readonly [Name in ReactionName]?: (payload: ReactionPayloads[Name], context: ReactionContext) => Promise<void> | void;
};

/** The transitions that a subscription or order has made, judged by its state: what was missed on the way counts too. */
export function reactionsTo(table: string, row: Row): NewReaction[] {
  if (table === "billing_subscriptions") return subscriptionReactions(row as SubscriptionRow);
  return table === "billing_orders" ? orderReactions(row as OrderRow) : [];
}

/** The transition of a user's access. */
export function accessReaction(userId: string, decision: Decision, changes: number): NewReaction {
  const reaction: ReactionName = decision.access ? "access_granted" : "access_ended";
  return { key: `${reaction}:${userId}:${changes}`, reaction, objectId: userId, payload: { ...decision } };
}

function subscriptionReactions(row: SubscriptionRow): NewReaction[] {
  const payload = { customer_id: row.customer_id, ...subscriptionRowJson(row) };
  const about = (reaction: ReactionName, transition: readonly (number | null)[]): NewReaction => {
    const key = [reaction, row.id, ...transition.map((instant) => instant ?? 0)].join(":");
    return { key, reaction, objectId: row.id, payload };
  };
  const found: NewReaction[] = [];
  if (["active", "trialing"].includes(row.status)) found.push(about("subscription_started", []));
  if (row.cancel_at_period_end === 1 && row.ended_us === null) {
    found.push(about("subscription_cancellation_scheduled", [row.canceled_us]));
  }
  if (row.status === "past_due") found.push(about("payment_failed", [row.past_due_us ?? row.current_period_start_us]));
  if (["canceled", "unpaid"].includes(row.status) && row.ended_us !== null) {
    found.push(about("subscription_ended", [row.ended_us]));
  }
  return found;
}

function orderReactions(row: OrderRow): NewReaction[] {
  const payload = { customer_id: row.customer_id, ...orderRowJson(row) };
  const isRefunded = ["partially_refunded", "refunded"].includes(row.status);
  const found: NewReaction[] = [];
  if (row.status === "paid" || isRefunded) {
    found.push({ key: `order_paid:${row.id}`, reaction: "order_paid", objectId: row.id, payload });
  }
  if (isRefunded) {
    const key = `order_refunded:${row.id}:${row.refunded_amount}`;
    found.push({ key, reaction: "order_refunded", objectId: row.id, payload });
  }
  return found;
}
