/** Your own routes beside billing; those that only paying users may use are in premium.ts. */
import { Hono } from "hono";
import type { AppEnv } from "./context";

export const ownRoutes = new Hono<AppEnv>();

// For signed-in users, and for those of some products, with guards from ./billing/require-access:
//   ownRoutes.get("/profile", requireUser, (c) => …)
//   ownRoutes.get("/reports", requireProduct("pro_yearly"), (c) => …)
