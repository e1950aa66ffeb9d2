/** Personal data that is no longer needed: bodies of events, and what reactions were told. */
import { emptyBodies, emptyBodiesOfDeleted } from "./store/inbox-store";
import { emptyDone } from "./store/reaction-store";
import { DAY_US } from "./time";

/** Empties what is older than the given number of days; ids and keys stay, so that nothing is done twice. */
export async function retain(db: D1Database, days: number, now: number): Promise<void> {
  const before = now - days * DAY_US;
  await db.batch([emptyBodies(db, before), emptyBodiesOfDeleted(db), emptyDone(db, before)]);
}
