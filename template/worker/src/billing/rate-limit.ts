/**
 * Limits per user and of the whole app (wrangler.jsonc): all users share what Polar allows the organization, and one of
 * them must not use it up. Checkouts take nothing from the app's: they are what the rest of Polar's limit is left for.
 */
import type { Bindings } from "../settings";
import { ApiError } from "./errors";

/** Routes that are counted together. */
export type Group = "CHECKOUT" | "PORTAL" | "SUBSCRIPTION";

const PERIOD_SECONDS = 60;
const WHOLE_APP = "app";

/** Counts one request of the user: 429 above the user's limit, 503 above the app's. */
export async function limitRate(env: Bindings, group: Group, userId: string): Promise<void> {
  const { success } = await env[`RATE_LIMITER_${group}`].limit({ key: userId });
  if (!success) throw new ApiError("rate_limited", { retryAfter: PERIOD_SECONDS });
  if (group !== "CHECKOUT" && !(await appMayCall(env)))
    throw new ApiError("unavailable", { retryAfter: PERIOD_SECONDS });
}

/** Counts a question about a checkout. Whether Polar may be asked: who polls is answered in any case. */
export async function mayPoll(env: Bindings, userId: string): Promise<boolean> {
  const { success } = await env.RATE_LIMITER_POLLING.limit({ key: userId });
  return success && (await appMayCall(env));
}

async function appMayCall(env: Bindings): Promise<boolean> {
  return (await env.RATE_LIMITER_APP.limit({ key: WHOLE_APP })).success;
}
