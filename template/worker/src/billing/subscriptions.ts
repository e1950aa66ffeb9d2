/** Changing, cancelling and keeping a subscription: the user's own and live ones only. */
import { liveSubscriptions, type SubscriptionJson, subscriptionJson } from "./account";
import { type Body, invalid, requiredString } from "./body";
import { PRORATION } from "./catalog";
import type { Catalog, Product } from "./catalog-types";
import { ApiError } from "./errors";
import { isFreeSubscription, isPurchasable } from "./plans";
import { type PolarApi, PolarApiError, type SubscriptionChange } from "./polar";
import type { SubscriptionRow } from "./projections/subscription";

export const CHANGE_KEYS = ["subscription", "product"] as const;
export const CANCEL_KEYS = ["subscription"] as const;

interface Parts {
  readonly db: D1Database;
  readonly polar: PolarApi;
  readonly catalog: Catalog;
}

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
export async function changePlan(parts: Parts, userId: string, subscription: unknown, plan: Product) {
  const held = await ownLiveSubscription(parts.db, userId, subscription);
  if (!plan.free && isFreeSubscription(held, parts.catalog)) throw new ApiError("checkout_required");
  return sendChange(parts, held.id, { product_id: plan.id, proration_behavior: PRORATION });
}

/** Changes the user's own live subscription at Polar, and answers it as the account shows it. */
export async function updateSubscription(
  parts: Parts,
  userId: string,
  subscription: unknown,
  change: SubscriptionChange,
): Promise<SubscriptionJson> {
  const held = await ownLiveSubscription(parts.db, userId, subscription);
  return sendChange(parts, held.id, change);
}

async function ownLiveSubscription(db: D1Database, userId: string, subscription: unknown): Promise<SubscriptionRow> {
  const id = requiredString("subscription", subscription);
  const held = (await liveSubscriptions(db, userId)).find((row) => row.id === id);
  if (held === undefined) throw new ApiError("not_found", { message: "There is no such subscription." });
  return held;
}

async function sendChange(
  { polar, catalog }: Parts,
  id: string,
  change: SubscriptionChange,
): Promise<SubscriptionJson> {
  try {
    return subscriptionJson(await polar.updateSubscription(id, change), catalog);
  } catch (error) {
    throw error instanceof PolarApiError ? refusal(error) : error;
  }
}

/** Why Polar does not do it: the card, or the state that the subscription is in. Any other failure stays what it is. */
function refusal(error: PolarApiError): ApiError | PolarApiError {
  const { status, error: name } = error;
  if (status === 402) return new ApiError("payment_failed");
  if (status === 404 && name === "ResourceNotFound") {
    return new ApiError("not_found", { message: "There is no such subscription." });
  }
  // 403 is also what a token without the scope gets; that is no matter of the subscription.
  const refused = status === 403 && name.includes("Subscription");
  return refused || status === 409 || status === 422 ? new ApiError("subscription_state") : error;
}
