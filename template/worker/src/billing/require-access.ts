/** Guards for your own routes: sign-in, a premium product, a named product or benefit. */
import { createMiddleware } from "hono/factory";
import type { AppEnv } from "../context";
import { accessOf, type Decision } from "./access";
import type { BenefitKey, ProductKey } from "./catalog";
import { ApiError } from "./errors";

const UPGRADE_PATH = "/pricing";

/** Lets signed-in users in. */
export const requireUser = createMiddleware<AppEnv>(async (c, next) => {
  const user = await c.get("services").authenticate(c.req.raw);
  if (user === null) throw new ApiError("unauthorized");
  c.set("user", user);
  await next();
});

/** Lets users with any premium product in. */
export const requireAccess = guard(({ access }) => access);

/** Lets users with one of these products in. */
export function requireProduct(...keys: ProductKey[]) {
  return guard(({ products }) => products.some(({ key }) => (keys as string[]).includes(key)));
}

/** Lets users with one of these benefits in. */
export function requireBenefit(...keys: BenefitKey[]) {
  return guard(({ benefits }) => benefits.some(({ key }) => (keys as (string | null)[]).includes(key)));
}

function guard(allows: (decision: Decision) => boolean) {
  return createMiddleware<AppEnv>(async (c, next) => {
    const { authenticate, settings } = c.get("services");
    const upgradeUrl = settings.appUrl + UPGRADE_PATH;
    const user = await authenticate(c.req.raw);
    if (user === null) throw new ApiError("unauthorized", { upgradeUrl });
    const decision = await accessOf(c.env.DB, user.id, c.get("now"));
    if (!allows(decision)) throw new ApiError("no_access", { upgradeUrl });
    c.set("user", user);
    await next();
  });
}
