/** Polar's customer portal, for the signed-in user only: no e-mail and no customer id comes from the client. */
import { followedCustomer } from "./access";
import { ApiError } from "./errors";
import { type PolarApi, PolarApiError } from "./polar";
import { requiredText } from "./read";
import { hasPurchases } from "./store/holdings-store";

/** A portal session of the user's own customer, good for an hour. */
export async function openPortal(
  db: D1Database,
  polar: PolarApi,
  userId: string,
  returnUrl: string,
): Promise<{ url: string }> {
  const customer = await followedCustomer(db, userId);
  // The buyer typed in the e-mail address of another customer: the purchase lies there.
  if (customer === null) throw new ApiError((await hasPurchases(db, userId)) ? "customer_mismatch" : "no_customer");
  const session = await createSession(polar, customer.id, returnUrl);
  return { url: requiredText(session, "customer_portal_url") };
}

async function createSession(polar: PolarApi, customerId: string, returnUrl: string) {
  try {
    return await polar.createPortalSession(customerId, returnUrl);
  } catch (error) {
    // Deleted at Polar a moment ago ("Customer does not exist."), and the event is still on its way.
    if (error instanceof PolarApiError && error.concerns("customer_id")) throw new ApiError("no_customer");
    throw error;
  }
}
