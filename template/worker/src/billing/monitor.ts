/** What is stuck, told every minute in the log as long as it is: something for an alarm to listen to. */
import { logError } from "./log";

/** Logs how many events failed or are dead, and how many reactions are dead; nothing when all is well. */
export async function reportStuck(db: D1Database): Promise<void> {
  const stuck = await db
    .prepare(
      `SELECT COUNT(*) FILTER (WHERE state = 'failed') AS failed, COUNT(*) FILTER (WHERE state = 'dead') AS dead,
         (SELECT COUNT(*) FROM billing_reactions WHERE state = 'dead') AS dead_reactions
       FROM billing_webhook_events WHERE state IN ('failed', 'dead')`,
    )
    .first<{ failed: number; dead: number; dead_reactions: number }>();
  if (stuck === null || stuck.failed + stuck.dead + stuck.dead_reactions === 0) return;
  logError("inbox", stuck);
}
