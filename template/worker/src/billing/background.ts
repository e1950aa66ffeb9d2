/** What runs every minute, beside the requests. Each part stands alone: one that fails or hangs does not stop another. */
import { askOpenCheckouts } from "./checkout-status";
import { compareAccess } from "./compare-access";
import { findDisagreements } from "./disagreement";
import { retryFailed } from "./inbox";
import { errorName, logError } from "./log";
import { reportStuck } from "./monitor";
import { OUTBOX_LIMITS, type OutboxLimits, runOutbox } from "./outbox";
import type { Reactions } from "./reactions";
import { type PolarReader, reconcileCustomer } from "./reconcile";
import { retain } from "./retention";
import { customersToReconcile, postpone } from "./store/reconcile-store";
import { DAY_US } from "./time";

export interface BackgroundDeps {
  /** Null while the products are demo products: then there is nobody to ask. */
  readonly polar: PolarReader | null;
  readonly reactions: Reactions;
  readonly retentionDays: number;
  /** Requests to Polar that one run may make; the rest of Polar's limit is for checkouts. */
  readonly callsPerRun: number;
  readonly outbox?: OutboxLimits;
}

/** A customer takes four requests, more with long lists. */
const CALLS_PER_CUSTOMER = 4;
/** One call in so many is for checkouts that nobody polls. */
const SHARE_OF_CHECKOUTS = 4;
const PAGE_SIZE = 100;
/** Polar is down, or the token is wrong: further requests would fail too. */
const MAX_FAILURES_PER_RUN = 3;
/** Polar is slow: the next run goes on. */
const RECONCILE_SECONDS = 40;
const RECONCILE_EVERY_US = DAY_US;

/** Runs all parts. Throws at the end if any of them failed. */
export async function runBackground(db: D1Database, deps: BackgroundDeps, now: number): Promise<void> {
  const { reactions, retentionDays } = deps;
  const failures: unknown[] = [];
  const run = async (part: string, work: () => Promise<unknown>) => {
    await work().catch((error: unknown) => {
      logError("background_failed", { part, error: errorName(error) });
      failures.push(error);
    });
  };
  const ours = async () => {
    await run("retention", () => retain(db, retentionDays, now));
    await run("monitor", () => reportStuck(db));
  };
  await run("retry", () => retryFailed(db, now, reactions));
  await run("disagreement", () => findDisagreements(db, now));
  await run("access", () => compareAccess(db, reactions, now));
  // Polar and the user's own code may take long; neither waits for the other.
  await Promise.all([
    ours(),
    run("reconcile", () => reconcileDue(db, deps, now)),
    run("reactions", () => runOutbox(db, reactions, now, deps.outbox ?? OUTBOX_LIMITS)),
  ]);
  if (failures.length > 0) throw new AggregateError(failures, "Background work failed in part.");
}

/** Reconciles as many customers as the calls of one run allow: the marked ones, then those that were not for a day. */
async function reconcileDue(db: D1Database, deps: BackgroundDeps, now: number): Promise<void> {
  if (deps.polar === null) return;
  const began = Date.now();
  const { reader, used } = counting(deps.polar);
  const mayGoOn = () =>
    used() + CALLS_PER_CUSTOMER <= deps.callsPerRun && Date.now() - began < RECONCILE_SECONDS * 1000;
  const failures: unknown[] = [];
  if (reader.checkout !== undefined) {
    // First: whoever has paid waits, and what is found is reconciled below.
    const { checkout } = reader;
    const limit = Math.floor(deps.callsPerRun / SHARE_OF_CHECKOUTS);
    await askOpenCheckouts(db, { checkout }, now, limit).catch((error: unknown) => failures.push(error));
  }
  const most = Math.floor(deps.callsPerRun / CALLS_PER_CUSTOMER);
  for (const id of await customersToReconcile(db, now, now - RECONCILE_EVERY_US, most)) {
    if (!mayGoOn()) break;
    try {
      await reconcileCustomer(db, reader, id, now, deps.reactions);
    } catch (error) {
      failures.push(error);
      await postpone(db, id, now).run();
      if (failures.length === MAX_FAILURES_PER_RUN) break;
    }
  }
  if (failures.length > 0) throw new AggregateError(failures, failures.map(String).join("; "));
}

/** The same reader, and how many requests its calls took: one for each page of a list. */
function counting(polar: PolarReader): { reader: PolarReader; used: () => number } {
  let used = 0;
  const counted = async <T>(answer: Promise<T>): Promise<T> => {
    used += 1;
    const found = await answer;
    if (Array.isArray(found)) used += Math.max(0, Math.ceil(found.length / PAGE_SIZE) - 1);
    return found;
  };
  const { checkout, disputes } = polar;
  const reader: PolarReader = {
    ...(disputes === undefined ? {} : { disputes: (id: string) => counted(disputes.call(polar, id)) }),
    ...(checkout === undefined ? {} : { checkout: (id: string) => counted(checkout.call(polar, id)) }),
    customerState: (id) => counted(polar.customerState(id)),
    subscriptions: (id) => counted(polar.subscriptions(id)),
    orders: (id) => counted(polar.orders(id)),
    grants: (id) => counted(polar.grants(id)),
  };
  return { reader, used: () => used };
}
