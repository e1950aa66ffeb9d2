/** Limits per user: checkouts and portal sessions share what Polar allows the whole organization per minute. */
import { ApiError } from "./errors";

const PERIOD_SECONDS = 60;

/** Counts one request of the user, and refuses those above the limit in wrangler.jsonc. */
export async function limitRate(limiter: RateLimit, userId: string): Promise<void> {
  const { success } = await limiter.limit({ key: userId });
  if (!success) throw new ApiError("rate_limited", { retryAfter: PERIOD_SECONDS });
}
