/** The signature, and one insert. */
import { webhooks } from "@polar-sh/sdk/2026-10";
import { Hono } from "hono";

const app = new Hono<{ Bindings: { readonly DB: D1Database; readonly POLAR_WEBHOOK_SECRET: string } }>();

app.get("/healthz", async (c) =>
  c.json(await c.env.DB.prepare("SELECT COUNT(*) AS events FROM billing_webhook_events").first()),
);

app.post("/webhooks/polar", async (c) => {
  const body = new Uint8Array(await c.req.arrayBuffer());
  const headers = c.req.header();
  const event = await webhooks.validateEvent(body, headers, c.env.POLAR_WEBHOOK_SECRET);
  const { customer_id: customerId } = event.data as unknown as { customer_id: string };
  await c.env.DB.prepare(
    `INSERT INTO billing_webhook_events (webhook_id, type, state, customer_id, body, received_us, processed_us)
     VALUES (?1, ?2, 'processed', ?3, ?4, ?5, ?5)`,
  )
    .bind(headers["webhook-id"], event.type, customerId, body, Date.now() * 1000)
    .run();
  return c.json({ received: true }, 202);
});

export default app;
