/** `retry`: applies the events once more that could not be applied. */
import { receive } from "../../src/billing/inbox.ts";
import { reactions } from "../../src/reactions.ts";
import { bad, foundProblem, good, type StoreOptions, show, storeCommand } from "../console.ts";
import { withProject } from "../project.ts";

interface Tried {
  readonly webhook_id: string;
  readonly outcome: string;
}

export const retry = storeCommand(
  "retry",
  `Apply the events that failed once more.

For when their cause is gone. Those are included that are not tried again by themselves. Ends with 1 where one still cannot be applied.`,
  "retry",
).action(async (options: StoreOptions) => {
  const events = await withProject(options, ({ db }) => retryAll(db));
  const stuck = events.filter(({ outcome }) => outcome === "failed");
  const lines = events.map(({ webhook_id, outcome }) =>
    (outcome === "failed" ? bad : good)(`${webhook_id} ${outcome}`),
  );
  lines.push(`Tried again: ${events.length} event(s), ${stuck.length} still cannot be applied.`);
  show({ events }, lines, options);
  if (stuck.length > 0) foundProblem();
});

async function retryAll(db: D1Database): Promise<Tried[]> {
  const { results } = await db
    .prepare(
      "SELECT webhook_id FROM billing_webhook_events WHERE state IN ('failed', 'dead') ORDER BY received_us, webhook_id",
    )
    .all<{ webhook_id: string }>();
  const tried: Tried[] = [];
  for (const { webhook_id } of results) tried.push({ webhook_id, outcome: await retryOne(db, webhook_id) });
  return tried;
}

async function retryOne(db: D1Database, webhookId: string): Promise<string> {
  const stored = await db
    .prepare("SELECT body FROM billing_webhook_events WHERE webhook_id = ?1")
    .bind(webhookId)
    .first<{ body: number[] | null }>();
  const body = new Uint8Array(stored?.body ?? []);
  return (await receive(db, { webhookId, body }, Date.now() * 1000, reactions)).outcome;
}
