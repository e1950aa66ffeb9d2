/** Your own routes for paying users. Everyone who gets here is signed in and has access. */
import { Hono } from "hono";
import type { AppEnv } from "./context";

export const premium = new Hono<AppEnv>();

premium.get("/hello", (c) => c.json({ message: `Hello ${c.get("user").id}, thank you for subscribing.` }));

// Finer rules, from ./billing/require-access:
//   premium.get("/reports", requireProduct("pro_yearly"), (c) => …)
//   premium.get("/beta", requireBenefit("beta_features"), (c) => …)
