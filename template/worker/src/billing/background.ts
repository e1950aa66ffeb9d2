/** What runs every minute, beside the requests. Each part stands alone: one that fails does not stop the next. */
import { compareAccess } from "./compare-access";
import { findDisagreements } from "./disagreement";
import { retryFailed } from "./inbox";
import { errorName, logError } from "./log";
import { reportStuck } from "./monitor";
import { runOutbox } from "./outbox";
import type { Reactions } from "./reactions";
import { type PolarReader, reconcileCustomer } from "./reconcile";
import { retain } from "./retention";
import { customersToReconcile, postponed } from "./store/reconcile-store";
import { DAY_US, MINUTE_US } from "./time";

export interface BackgroundDeps {
  /** Null while the products are demo products: then there is nobody to ask. */
  readonly polar: PolarReader | null;
  readonly reactions: Reactions;
  readonly retentionDays: number;
}

/** With four requests a customer, well below Polar's limit of 100 a minute in its sandbox. */
const CUSTOMERS_A_RUN = 10;
/** Polar is down, or the token is wrong: no use in asking on. */
const MAX_FAILURES_A_RUN = 3;
const RECONCILE_EVERY_US = DAY_US;
const POSTPONED_US = 15 * MINUTE_US;

/** Runs all parts in order, the user's own code after ours. Throws at the end if any of them failed. */
export async function runBackground(db: D1Database, deps: BackgroundDeps, now: number): Promise<void> {
  const { polar, reactions, retentionDays } = deps;
  const parts: Readonly<Record<string, () => Promise<unknown>>> = {
    retry: () => retryFailed(db, now, reactions),
    access: () => compareAccess(db, reactions, now),
    disagreement: () => findDisagreements(db, now),
    reconcile: () => reconcileDue(db, polar, now),
    retention: () => retain(db, retentionDays, now),
    reactions: () => runOutbox(db, reactions, now),
    monitor: () => reportStuck(db),
  };
  const failures: unknown[] = [];
  for (const [part, run] of Object.entries(parts)) {
    await run().catch((error: unknown) => {
      logError("background_failed", { part, error: errorName(error) });
      failures.push(error);
    });
  }
  if (failures.length > 0) throw new AggregateError(failures, "Background work failed in part.");
}

/** Reconciles a few customers: the marked ones, then those that were not for a day. */
async function reconcileDue(db: D1Database, polar: PolarReader | null, now: number): Promise<void> {
  if (polar === null) return;
  const failures: unknown[] = [];
  for (const id of await customersToReconcile(db, now, now - RECONCILE_EVERY_US, CUSTOMERS_A_RUN)) {
    try {
      await reconcileCustomer(db, polar, id, now);
    } catch (error) {
      failures.push(error);
      await postponed(db, id, now + POSTPONED_US).run();
      if (failures.length === MAX_FAILURES_A_RUN) break;
    }
  }
  if (failures.length > 0) throw new AggregateError(failures, failures.map(String).join("; "));
}
