/**
 * Your own code: what happens when somebody pays, cancels, gains or loses access.
 *
 * Each handler runs in the background, at least once per transition, and again later if it throws. Pass `key` on as an
 * idempotency key, so that a second attempt sends no second mail. A handler that you remove is simply not run.
 */
import type { ReactionContext, Reactions } from "./billing/reactions";

export const reactions: Reactions = {
  access_granted: ({ user_id }, context) => note("access_granted", user_id, context),
  access_ended: ({ user_id }, context) => note("access_ended", user_id, context),
  subscription_started: ({ user_id }, context) => note("subscription_started", user_id, context),
  subscription_cancellation_scheduled: ({ user_id }, context) =>
    note("subscription_cancellation_scheduled", user_id, context),
  subscription_ended: ({ user_id }, context) => note("subscription_ended", user_id, context),
  payment_failed: ({ user_id }, context) => note("payment_failed", user_id, context),
  order_paid: ({ user_id }, context) => note("order_paid", user_id, context),
  order_refunded: ({ user_id }, context) => note("order_refunded", user_id, context),
};

function note(reaction: string, userId: string | null, { key, attempt }: ReactionContext): void {
  console.log(JSON.stringify({ event: "reaction", reaction, user_id: userId, key, attempt }));
}
