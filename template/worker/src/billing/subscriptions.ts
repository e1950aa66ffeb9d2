/** Changing, cancelling and keeping a subscription: the user's own and live ones only. */
import { liveSubscriptions, type StoredSubscription, type SubscriptionJson, subscriptionRowJson } from "./account";
import { type Body, invalid, requiredString } from "./body";
import { PRORATION } from "./catalog";
import type { Catalog, Product } from "./catalog-types";
import { ApiError } from "./errors";
import { logError } from "./log";
import { isFreeSubscription, isPurchasable } from "./plans";
import { type PolarApi, PolarApiError, type SubscriptionChange } from "./polar";
import { subscription as SUBSCRIPTIONS, type SubscriptionRow } from "./projections/subscription";
import { type PolarObject, Unreadable } from "./read";
import { changedColumns, writeAnswer } from "./store/reconcile-store";

export const CHANGE_KEYS = ["subscription", "product"] as const;
export const ACTION_KEYS = ["subscription"] as const;

interface Parts {
  readonly db: D1Database;
  readonly polar: PolarApi;
  readonly catalog: Catalog;
  readonly now: number;
}

/** What Polar is asked for, and how a subscription shows that it was done. */
interface Action {
  readonly change: SubscriptionChange;
  readonly isDone: (row: SubscriptionRow) => boolean;
}

/** What a user may do with a subscription beside changing the plan; Polar says in which state. */
export const ACTIONS = {
  cancel: {
    change: { cancel_at_period_end: true },
    isDone: (row) => row.cancel_at_period_end === 1,
  },
  uncancel: {
    change: { cancel_at_period_end: false },
    isDone: (row) => row.cancel_at_period_end === 0 && row.ended_us === null,
  },
  resume: {
    change: { resume: true },
    isDone: (row) => ["active", "trialing"].includes(row.status),
  },
  revoke: {
    change: { revoke: true },
    isDone: (row) => row.ended_us !== null,
  },
} as const satisfies Record<string, Action>;
export type ActionName = keyof typeof ACTIONS;

const GIVEN =
  "This plan costs money: end the subscription with POST /billing/subscription/revoke, then buy with POST /billing/checkout.";

/** Reads the plan to change to: one that is for sale. */
export function readPlan(body: Body<"product">, catalog: Catalog): Product {
  const key = requiredString("product", body.product);
  const product = catalog.products.find((candidate) => candidate.key === key);
  if (product === undefined) throw new ApiError("not_found", { message: "There is no such product." });
  if (!isPurchasable(product) || !product.recurring) throw invalid("product: not a plan to change to.");
  return product;
}

/**
 * Moves the user's own live subscription to another plan.
 *
 * Polar's API asks for no card: it would start a paid plan that nobody pays for. So the way from a free plan to one that
 * costs money is the checkout.
 */
export async function changePlan(
  parts: Parts,
  userId: string,
  subscription: unknown,
  plan: Product,
): Promise<SubscriptionJson> {
  const held = await ownLiveSubscription(parts.db, userId, subscription);
  if (!plan.free && isFreeSubscription(held, parts.catalog)) {
    const known = parts.catalog.products.find(({ id }) => id === held.product_id);
    const isGiven = known !== undefined && !known.free;
    throw new ApiError("checkout_required", isGiven ? { message: GIVEN } : {});
  }
  return send(parts, held, {
    change: { product_id: plan.id, proration_behavior: PRORATION },
    isDone: (row) => row.product_id === plan.id || row.pending_product_id === plan.id,
  });
}

/** Does something else with the user's own live subscription, and answers it as the account shows it. */
export async function act(
  parts: Parts,
  userId: string,
  subscription: unknown,
  name: ActionName,
): Promise<SubscriptionJson> {
  const held = await ownLiveSubscription(parts.db, userId, subscription);
  return send(parts, held, ACTIONS[name]);
}

async function ownLiveSubscription(db: D1Database, userId: string, subscription: unknown): Promise<StoredSubscription> {
  const id = requiredString("subscription", subscription);
  const held = (await liveSubscriptions(db, userId)).find((row) => row.id === id);
  if (held === undefined) throw new ApiError("not_found", { message: "There is no such subscription." });
  return held;
}

/** Asks Polar, and keeps the answer as if it was reconciled: any event is newer, and runs the reactions. */
async function send(parts: Parts, held: StoredSubscription, action: Action): Promise<SubscriptionJson> {
  const row = await answerOf(parts.polar, held, action);
  const changes = changedColumns(held, row);
  if (Object.keys(changes).length > 0) {
    await writeAnswer(parts.db, SUBSCRIPTIONS.table, held, changes, parts.now).run();
  }
  return subscriptionRowJson(row, parts.catalog);
}

async function answerOf(polar: PolarApi, held: StoredSubscription, action: Action): Promise<SubscriptionRow> {
  const { id } = held;
  try {
    return readOne(await polar.updateSubscription(id, action.change), id);
  } catch (error) {
    if (!mayHaveHappened(error)) throw error instanceof PolarApiError ? refusal(error) : error;
    const row = await lookAfter(polar, id, error);
    if (row !== null && action.isDone(row) && !action.isDone(held)) return row;
    // Polar may still be charging the card.
    throw error instanceof PolarApiError && error.status === 0 ? new ApiError("unconfirmed") : error;
  }
}

/** No answer, one that cannot be read, or a server error, which a proxy may have made: Polar may have done it. */
function mayHaveHappened(error: unknown): boolean {
  if (error instanceof Unreadable) return true;
  return error instanceof PolarApiError && (error.status < 300 || error.status >= 500);
}

/** How the subscription stands now; null where Polar does not say that either. */
async function lookAfter(polar: PolarApi, id: string, before: unknown): Promise<SubscriptionRow | null> {
  logError("subscription_unconfirmed", { subscription_id: id, error: String(before) });
  try {
    return readOne(await polar.subscription(id), id);
  } catch (error) {
    if (error instanceof PolarApiError || error instanceof Unreadable) return null;
    throw error;
  }
}

function readOne(data: PolarObject, id: string): SubscriptionRow {
  const { row } = SUBSCRIPTIONS.read(data);
  if (row.id !== id) throw new Unreadable("subscription: another one");
  return row;
}

/** Why Polar does not do it: the card, or the state that the subscription is in. Any other failure stays what it is. */
function refusal(error: PolarApiError): ApiError | PolarApiError {
  const { status, error: name } = error;
  if (status === 402) return new ApiError("payment_failed");
  if (status === 404 && name === "ResourceNotFound") {
    return new ApiError("not_found", { message: "There is no such subscription." });
  }
  return isOfState(status, name) ? new ApiError("subscription_state") : error;
}

/**
 * Whether a refusal is about the state: `AlreadyCanceledSubscription` (403), `NotPausedSubscription` (409),
 * `BadRequest` (400, to keep what does not end), `ResourceUnavailable` (410, over), and whatever does not validate.
 * Errors of the token, such as `insufficient_scope` (403), have no name of a class.
 */
function isOfState(status: number, name: string): boolean {
  if (status === 409 || status === 422) return true;
  if (status === 403) return name.includes("Subscription");
  return [400, 410, 423].includes(status) && /^[A-Z]/.test(name);
}
