/** The writes of the generated Worker for such an event, one statement at a time. */
import { webhooks } from "@polar-sh/sdk/2026-10";
import { Hono } from "hono";
import { projectionOf } from "./billing/events";
import { PROJECTIONS } from "./billing/projections";
import { reactionsTo } from "./billing/reactions";
import { parseInstant } from "./billing/time";

type Row = Readonly<Record<string, unknown>>;

const app = new Hono<{ Bindings: { readonly DB: D1Database; readonly POLAR_WEBHOOK_SECRET: string } }>();

app.get("/healthz", async (c) =>
  c.json(await c.env.DB.prepare("SELECT COUNT(*) AS events FROM billing_webhook_events").first()),
);

app.post("/webhooks/polar", async (c) => {
  const body = new Uint8Array(await c.req.arrayBuffer());
  const headers = c.req.header();
  const event = await webhooks.validateEvent(body, headers, c.env.POLAR_WEBHOOK_SECRET);
  for (const [table, key, row] of writes(event, headers["webhook-id"] ?? "", body, Date.now() * 1000)) {
    await upsert(c.env.DB, table, key, row);
  }
  return c.json({ received: true }, 202);
});

/** The rows that the Worker writes for an event of a subscription or an order. */
function* writes(
  event: { type: string; timestamp: string; data: unknown },
  webhookId: string,
  body: Uint8Array,
  now: number,
): Generator<[table: string, key: string, row: Row]> {
  const name = projectionOf(event.type);
  if (name === null) throw new Error(event.type);
  const projection = PROJECTIONS[name];
  const version = parseInstant(event.timestamp) ?? 0;
  const { row, modifiedUs, customer } = projection.read(event.data as never, { type: event.type, version });
  const done = { state: "processed", received_us: now, processed_us: now };
  const inbox = { webhook_id: webhookId, type: event.type, customer_id: customer?.id ?? null, body, ...done };
  yield ["billing_webhook_events", "webhook_id", inbox];
  yield ["billing_customers", "id", { id: customer?.id, external_id: customer?.externalId ?? null }];
  yield [projection.table, projection.key, { ...row, version, modified_us: modifiedUs, webhook_id: webhookId }];
  for (const { key, reaction, objectId, payload } of reactionsTo(projection.table, row)) {
    const told = { key, reaction, object_id: objectId, user_id: row.app_user_id, payload: JSON.stringify(payload) };
    yield ["billing_reactions", "key", { ...told, next_attempt_us: now, created_us: now }];
  }
  yield ["billing_access", "user_id", { user_id: row.app_user_id, check_us: now }];
}

async function upsert(db: D1Database, table: string, key: string, row: Row): Promise<void> {
  const columns = Object.keys(row);
  const updated = columns.filter((column) => column !== key).map((column) => `${column} = excluded.${column}`);
  const change = table === "billing_reactions" ? "NOTHING" : `UPDATE SET ${updated.join(", ")}`;
  await db
    .prepare(
      `INSERT INTO ${table} (${columns.join(", ")}) VALUES (${columns.map(() => "?").join(", ")})
       ON CONFLICT (${key}) DO ${change}`,
    )
    .bind(...Object.values(row))
    .run();
}

export default app;
