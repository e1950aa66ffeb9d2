/** Running the user's reactions: at least once, one lease at a time, and never in the way of billing or of each other. */
import { errorName, logError } from "./log";
import type { ReactionContext, ReactionName, Reactions } from "./reactions";
import { type ClaimedReaction, claim, emailOf, endExhausted, fail, finish } from "./store/reaction-store";
import { HOUR_US, MINUTE_US, SECOND_US } from "./time";

/** Counted from the begin of a run, and longer than a run and a handler may take: nothing is tried while it still runs. */
const LEASE_US = 2 * MINUTE_US;
const FIRST_DELAY_US = 30 * SECOND_US;
const MAX_DELAY_US = HOUR_US;
const MAX_ATTEMPTS = 10;
const AT_ONCE = 10;
/** A reaction whose handler hangs leaves room for the others. */
const AT_ONCE_PER_NAME = 5;

/** How long handlers may take, and how much one run does. */
export interface OutboxLimits {
  readonly handlerSeconds: number;
  /** After so long a run begins no more: the next one begins every minute. */
  readonly runSeconds: number;
  /** D1 allows 1,000 statements for each run of a paid plan; a reaction takes two. */
  readonly perRun: number;
}

export const OUTBOX_LIMITS: OutboxLimits = { handlerSeconds: 20, runSeconds: 40, perRun: 400 };

type Handler = (payload: object, context: ReactionContext) => Promise<void> | void;

class HandlerTimeout extends Error {
  constructor(seconds: number) {
    super(`The handler took longer than ${seconds} seconds.`);
    this.name = "HandlerTimeout";
  }
}

/** Runs what is due. A reaction that fails or hangs is tried again later; this never throws for it. */
export async function runOutbox(
  db: D1Database,
  reactions: Reactions,
  now: number,
  limits: OutboxLimits = OUTBOX_LIMITS,
): Promise<void> {
  const began = Date.now();
  const isOver = () => Date.now() - began >= limits.runSeconds * 1000;
  await endExhausted(db, now, MAX_ATTEMPTS).run();
  const running = new Map<string, { readonly name: string; readonly done: Promise<void> }>();
  for (let left = limits.perRun; ; ) {
    const { limit, full } = room([...running.values()].map(({ name }) => name));
    const wanted = isOver() ? 0 : Math.min(limit, left);
    const claimed = wanted > 0 ? await claim(db, now, LEASE_US, wanted, MAX_ATTEMPTS, full) : [];
    left -= claimed.length;
    for (const reaction of claimed) {
      const done = runOne(db, reactions, reaction, now, limits.handlerSeconds).finally(() => {
        running.delete(reaction.key);
      });
      running.set(reaction.key, { name: reaction.reaction, done });
    }
    if (claimed.length > 0) continue;
    if (running.size === 0) return;
    await Promise.race([...running.values()].map(({ done }) => done));
  }
}

/** How many more may begin, and the names of which as many run as may. */
function room(names: readonly string[]): { limit: number; full: string[] } {
  const counts = new Map<string, number>();
  for (const name of names) counts.set(name, (counts.get(name) ?? 0) + 1);
  const full = [...counts].filter(([, count]) => count >= AT_ONCE_PER_NAME).map(([name]) => name);
  const most = Math.max(0, ...[...counts].filter(([name]) => !full.includes(name)).map(([, count]) => count));
  return { limit: Math.min(AT_ONCE - names.length, AT_ONCE_PER_NAME - most), full };
}

/** Runs one reaction and writes its own result, whatever its neighbours do. */
async function runOne(
  db: D1Database,
  reactions: Reactions,
  claimed: ClaimedReaction,
  now: number,
  seconds: number,
): Promise<void> {
  const handler = reactions[claimed.reaction as ReactionName] as Handler | undefined;
  let result = () => finish(db, claimed, now);
  try {
    // Without a handler it was removed since: it is done.
    if (handler !== undefined) await withTimeout(call(db, handler, claimed), seconds);
  } catch (error) {
    const text = error instanceof Error ? error.message : String(error);
    logError("reaction_failed", { key: claimed.key, attempt: claimed.attempts, error: errorName(error) });
    result = () => fail(db, claimed, text, claimed.attempts >= MAX_ATTEMPTS ? null : now + delay(claimed.attempts));
  }
  await result().run();
}

async function call(db: D1Database, handler: Handler, claimed: ClaimedReaction): Promise<void> {
  const payload = { user_id: claimed.user_id, ...(JSON.parse(claimed.payload) as { customer_id?: string }) };
  await handler(payload, { key: claimed.key, attempt: claimed.attempts, email: () => emailOf(db, payload) });
}

async function withTimeout(work: Promise<void>, seconds: number): Promise<void> {
  const stop = new AbortController();
  try {
    await Promise.race([work, timeout(seconds, stop.signal)]);
  } finally {
    stop.abort();
  }
}

function timeout(seconds: number, stopped: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    const timer = setTimeout(() => reject(new HandlerTimeout(seconds)), seconds * 1000);
    stopped.addEventListener("abort", () => clearTimeout(timer));
  });
}

function delay(attempts: number): number {
  return Math.min(FIRST_DELAY_US * 2 ** (attempts - 1), MAX_DELAY_US);
}
