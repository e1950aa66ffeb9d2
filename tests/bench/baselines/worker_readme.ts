/** The handler in the SDK's README, with Hono in place of Express; nothing is stored. */
import { webhooks } from "@polar-sh/sdk/2026-10";
import { Hono } from "hono";

const app = new Hono<{ Bindings: { readonly POLAR_WEBHOOK_SECRET: string } }>();

app.get("/healthz", (c) => c.json({ events: 0 }));

app.post("/webhooks/polar", async (c) => {
  try {
    const event = await webhooks.validateEvent(
      new Uint8Array(await c.req.arrayBuffer()),
      {
        "webhook-id": c.req.header("webhook-id") ?? "",
        "webhook-timestamp": c.req.header("webhook-timestamp") ?? "",
        "webhook-signature": c.req.header("webhook-signature") ?? "",
      },
      c.env.POLAR_WEBHOOK_SECRET,
    );
    if (event.type === "order.created") {
      console.log(event.data.id);
    }
    return c.json({ received: true });
  } catch (error) {
    if (error instanceof webhooks.PolarWebhookVerificationError) {
      return c.json({ error: "Invalid webhook signature" }, 403);
    }
    if (error instanceof webhooks.PolarWebhookError) {
      return c.json({ error: "Invalid webhook payload" }, 400);
    }
    throw error;
  }
});

export default app;
