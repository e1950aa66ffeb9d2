/** How a checkout stands: from our own tables, and from Polar while the answer can still change. */
import { accessOf } from "./access";
import type { Catalog } from "./catalog-types";
import { ApiError } from "./errors";
import { logError } from "./log";
import { type PolarApi, PolarApiError } from "./polar";
import type { PolarObject } from "./read";
import {
  boughtBy,
  type CheckoutRow,
  checkoutOf,
  dueToAsk,
  giveTurnBack,
  markUnlessBought,
  moveCheckout,
  type Turn,
  takeTurn,
} from "./store/checkout-store";
import { SECOND_US } from "./time";

/** State of a checkout as clients see it. */
export type CheckoutState = "pending" | "confirmed" | "succeeded" | "failed" | "expired";

interface Parts {
  readonly db: D1Database;
  readonly polar: PolarApi | null;
  readonly catalog: Catalog;
  /** Whether the user, and the whole app, may ask Polar once more in this minute. */
  readonly mayPoll: () => Promise<boolean>;
}

/** What the background asks Polar about a checkout. */
export interface CheckoutReader {
  checkout(id: string): Promise<PolarObject>;
}

/** Polar's checkout statuses and ours. One that is not listed may still change. */
const STATES: Readonly<Record<string, CheckoutState>> = {
  open: "pending",
  confirmed: "confirmed",
  succeeded: "succeeded",
  failed: "failed",
  expired: "expired",
};
const ASK_EVERY_US = 2 * SECOND_US;
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/**
 * The state of the user's own checkout, and whether the user has access by now. Another's is not found.
 *
 * It is `succeeded` only with the purchase: until that has come, what was paid is `confirmed`.
 */
export async function checkoutStatus(
  { db, polar, catalog, mayPoll }: Parts,
  userId: string,
  id: string,
  now: number,
): Promise<{ state: CheckoutState; access: boolean }> {
  const row = UUID.test(id) ? await checkoutOf(db, id, userId).first<CheckoutRow>() : null;
  if (row === null) throw new ApiError("not_found");
  const asked = mayChange(row.status) && polar !== null ? await ask(db, polar, id, now, mayPoll) : null;
  const { access } = await accessOf(db, userId, now, catalog);
  const state = stateOf(asked ?? row.status);
  if (state !== "succeeded" || access || row.bought === 1) return { state, access };
  const isHere = asked !== null && (await boughtBy(db, id).first("bought")) === 1;
  return { state: isHere ? "succeeded" : "confirmed", access };
}

/**
 * Asks Polar about own checkouts that nobody polls, a few times each: their events may be lost, and nothing else finds
 * a buyer whose customer is unknown here. Returns how many were asked about.
 */
export async function askOpenCheckouts(
  db: D1Database,
  polar: CheckoutReader,
  now: number,
  limit: number,
): Promise<number> {
  const { results } = await dueToAsk(db, now, limit).all<Turn>();
  for (const before of results) {
    const turn = await takeTurn(db, before.id, now, before.asked_us).first<Turn>();
    if (turn === null) continue;
    try {
      await adopt(db, await polar.checkout(turn.id), turn, now);
    } catch (error) {
      if (error instanceof PolarApiError && isAbout(error)) {
        logError("checkout_status", { status: error.status, error: error.error });
        continue;
      }
      await giveTurnBack(db, before.id, now, before.asked_us).run();
      throw error;
    }
  }
  return results.length;
}

/** Whether a failure is about this checkout: then the next one is asked about, and this one at its next time. */
function isAbout({ status }: PolarApiError): boolean {
  return status >= 400 && status < 500 && ![401, 403, 429].includes(status);
}

function stateOf(status: string): CheckoutState {
  return STATES[status] ?? "pending";
}

function mayChange(status: string): boolean {
  return ["pending", "confirmed"].includes(stateOf(status));
}

/** Asks Polar unless somebody did a moment ago; when Polar fails, what we know stands. */
async function ask(
  db: D1Database,
  polar: PolarApi,
  id: string,
  now: number,
  mayPoll: Parts["mayPoll"],
): Promise<string | null> {
  const turn = await takeTurn(db, id, now, now - ASK_EVERY_US).first<Turn>();
  if (turn === null || !(await mayPoll())) return null;
  try {
    return await adopt(db, await polar.checkout(id), turn, now);
  } catch (error) {
    if (!(error instanceof PolarApiError)) throw error;
    logError("checkout_status", { status: error.status, error: error.error });
    return null;
  }
}

/** Keeps what Polar answered, and has the customer reconciled whose purchase has not come. */
async function adopt(
  db: D1Database,
  { status, customer_id: customerId }: PolarObject,
  turn: Turn,
  now: number,
): Promise<string | null> {
  if (typeof status !== "string" || STATES[status] === undefined) return null;
  const move = moveCheckout(db, turn, status);
  if (status !== "succeeded" || typeof customerId !== "string") await move.run();
  else await db.batch([move, markUnlessBought(db, turn.id, customerId, now)]);
  return status;
}
