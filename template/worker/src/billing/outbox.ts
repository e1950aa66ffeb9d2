/** Running the user's reactions: at least once, one lease at a time, and never in the way of billing. */
import { errorName, logError } from "./log";
import type { ReactionContext, ReactionName, Reactions } from "./reactions";
import { type ClaimedReaction, claim, emailOf, fail, finish } from "./store/reaction-store";
import { HOUR_US, MINUTE_US, SECOND_US } from "./time";

const LEASE_US = MINUTE_US;
const FIRST_DELAY_US = 30 * SECOND_US;
const MAX_DELAY_US = HOUR_US;
const MAX_ATTEMPTS = 10;
const AT_ONCE = 10;
const MAX_ROUNDS = 5;

type Handler = (payload: object, context: ReactionContext) => Promise<void> | void;

/** Runs what is due. A failing reaction is tried again later; this never throws for it. */
export async function runOutbox(db: D1Database, reactions: Reactions, now: number): Promise<void> {
  for (let round = 0; round < MAX_ROUNDS; round++) {
    const claimed = await claim(db, now, LEASE_US, AT_ONCE);
    if (claimed.length > 0) {
      await db.batch(await Promise.all(claimed.map((reaction) => runOne(db, reactions, reaction, now))));
    }
    if (claimed.length < AT_ONCE) return;
  }
}

async function runOne(
  db: D1Database,
  reactions: Reactions,
  claimed: ClaimedReaction,
  now: number,
): Promise<D1PreparedStatement> {
  try {
    const handler = reactions[claimed.reaction as ReactionName] as Handler | undefined;
    if (handler === undefined) throw new Error(`No handler for ${claimed.reaction}`);
    const payload = { user_id: claimed.user_id, ...(JSON.parse(claimed.payload) as { customer_id?: string }) };
    const email = () => emailOf(db, payload);
    await handler(payload, { key: claimed.key, attempt: claimed.attempts, email });
    return finish(db, claimed, now);
  } catch (error) {
    const text = error instanceof Error ? error.message : String(error);
    logError("reaction_failed", { key: claimed.key, attempt: claimed.attempts, error: errorName(error) });
    return fail(db, claimed, text, claimed.attempts >= MAX_ATTEMPTS ? null : now + delay(claimed.attempts));
  }
}

function delay(attempts: number): number {
  return Math.min(FIRST_DELAY_US * 2 ** (attempts - 1), MAX_DELAY_US);
}
