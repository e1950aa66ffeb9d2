/** Changing, cancelling and keeping a subscription: the user's own and live ones only. */
import { liveSubscriptions, type SubscriptionJson, subscriptionJson } from "./account";
import { type Body, invalid, requiredString } from "./body";
import { PRORATION } from "./catalog";
import type { Catalog } from "./catalog-types";
import { ApiError } from "./errors";
import { type PolarApi, PolarApiError, type SubscriptionChange } from "./polar";

export const CHANGE_KEYS = ["subscription", "product"] as const;
export const CANCEL_KEYS = ["subscription"] as const;

/** Reads the change to another product: a plan that is still sold. */
export function readPlanChange(body: Body<"product">, catalog: Catalog): SubscriptionChange {
  const key = requiredString("product", body.product);
  const product = catalog.products.find((candidate) => candidate.key === key);
  if (product === undefined) throw new ApiError("not_found", { message: "There is no such product." });
  if (product.archived || !product.recurring) throw invalid("product: not a plan to change to.");
  return { product_id: product.id, proration_behavior: PRORATION };
}

/** Changes the user's own live subscription at Polar, and answers it as the account shows it. */
export async function updateSubscription(
  { db, polar, catalog }: { db: D1Database; polar: PolarApi; catalog: Catalog },
  userId: string,
  subscription: unknown,
  change: SubscriptionChange,
): Promise<SubscriptionJson> {
  const id = requiredString("subscription", subscription);
  const own = await liveSubscriptions(db, userId);
  if (!own.some((row) => row.id === id)) {
    throw new ApiError("not_found", { message: "There is no such subscription." });
  }
  return subscriptionJson(await send(polar, id, change), catalog);
}

async function send(polar: PolarApi, id: string, change: SubscriptionChange) {
  try {
    return await polar.updateSubscription(id, change);
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
