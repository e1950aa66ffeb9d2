/** Cookies travel with requests that other sites start, so a change asked for with a cookie must come from our pages. */
import { createMiddleware } from "hono/factory";
import { ApiError } from "../billing/errors";
import type { AppEnv } from "../context";
import type { Settings } from "../settings";

const SAFE_METHODS = ["GET", "HEAD", "OPTIONS"];

/** Refuses changes that another site's page asks for in the user's name. */
export const requireOwnPage = createMiddleware<AppEnv>(async (c, next) => {
  if (!isFromOwnPage(c.req.raw, c.get("services").settings)) throw new ApiError("forbidden_origin");
  await next();
});

/** Whether a request may act for the signed-in user: bearer tokens may, cookies only from our own origins. */
export function isFromOwnPage(request: Request, { appUrl, allowedOrigins }: Settings): boolean {
  if (SAFE_METHODS.includes(request.method) || request.headers.has("Authorization")) return true;
  const origin = request.headers.get("Origin");
  return origin !== null && [appUrl, ...allowedOrigins].includes(origin);
}
