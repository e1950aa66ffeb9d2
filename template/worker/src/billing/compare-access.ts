/** Who gained or lost access: the policy's answer against the one that was stored, on events and when time is up. */
import { CATALOG } from "./catalog";
import type { Catalog } from "./catalog-types";
import { errorName, logError } from "./log";
import { decide, type Verdict } from "./policy";
import { accessReaction, type Reactions } from "./reactions";
import {
  type AccessRow,
  markUsers,
  postponeCheck,
  settleAccess,
  usersToCheck,
  usersToSettle,
} from "./store/access-store";
import { holdingsOf, readHoldings } from "./store/holdings-store";
import { addForAccess } from "./store/reaction-store";
import { markForReconciliation } from "./store/reconcile-store";

const USERS_A_ROUND = 50;
const MAX_ROUNDS = 20;

/** Compares the access of users that are due, and writes the reactions to what changed. */
export async function compareAccess(
  db: D1Database,
  reactions: Reactions,
  now: number,
  catalog: Catalog = CATALOG,
): Promise<void> {
  for (let round = 0; round < MAX_ROUNDS; round++) {
    const due = await usersToCheck(db, now, USERS_A_ROUND);
    if (due.length > 0) await settle(db, due, reactions, now, catalog);
    if (due.length < USERS_A_ROUND) return;
  }
}

/**
 * Compares the access of every user that a customer concerns, with the given handlers.
 *
 * Without handlers (null) it is silent, and leaves out users whose check is due: an event waits for that, with reactions.
 */
export async function settleConcerned(
  db: D1Database,
  customerId: string,
  now: number,
  reactions: Reactions | null,
): Promise<void> {
  await markUsers(db, customerId).run();
  const notDueAt = reactions === null ? now : null;
  for (let after = ""; ; ) {
    const users = await usersToSettle(db, customerId, notDueAt, after, USERS_A_ROUND);
    if (users.length > 0) await settle(db, users, reactions ?? {}, now);
    if (users.length < USERS_A_ROUND) return;
    after = users.at(-1)?.user_id ?? after;
  }
}

/** Compares the access of these users and keeps the result. */
async function settle(
  db: D1Database,
  users: readonly AccessRow[],
  reactions: Reactions,
  now: number,
  catalog: Catalog = CATALOG,
): Promise<void> {
  const found = await db.batch(users.map(({ user_id: id }) => holdingsOf(db, id)));
  const statements = users.flatMap((user, index) => {
    try {
      const verdict = decide(readHoldings(found[index] as D1Result), now, catalog);
      return settleOne(db, user, verdict, reactions, now);
    } catch (error) {
      // Compared again later, after growing pauses: the others do not wait for it.
      logError("access_not_compared", { user_id: user.user_id, error: errorName(error) });
      return [postponeCheck(db, user.user_id, now)];
    }
  });
  await db.batch(statements);
}

function settleOne(
  db: D1Database,
  user: AccessRow,
  { decision, overdueCustomers, checkUs }: Verdict,
  reactions: Reactions,
  now: number,
): D1PreparedStatement[] {
  const statements = [
    settleAccess(db, user, decision.access, checkUs),
    ...overdueCustomers.map((customerId) => markForReconciliation(db, customerId, now)),
  ];
  if (decision.access === (user.access === 1)) return statements;
  const changes = user.changes + 1;
  const reaction = accessReaction(user.user_id, decision, changes);
  if (!Object.hasOwn(reactions, reaction.reaction)) return statements;
  return [...statements, addForAccess(db, reaction, { access: decision.access, changes, now })];
}
