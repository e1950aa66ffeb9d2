/** Checkouts: only what the user may choose comes from the client, all else is set here. */
import type { User } from "../auth/user";
import { liveSubscriptions } from "./account";
import { type Body, invalid, requiredString } from "./body";
import type { Catalog, Price, Product } from "./catalog-types";
import { ensureCustomer } from "./customers";
import { ApiError } from "./errors";
import { isFreeSubscription, isPurchasable, isUpgradable } from "./plans";
import { type CheckoutRequest, type PolarApi, PolarApiError } from "./polar";
import { instant, type PolarObject, requiredId, requiredText, text } from "./read";
import { hadTrial, isBlocked } from "./store/holdings-store";

export const CHECKOUT_KEYS = ["product", "locale", "amount", "path"] as const;
export type CheckoutBody = Body<(typeof CHECKOUT_KEYS)[number]>;

/** What the client chose, checked. */
export interface Choice {
  readonly product: Product;
  readonly locale: string | undefined;
  readonly amount: number | undefined;
  readonly successUrl: string;
}

/** Who buys, and from where. */
export interface Buyer {
  readonly user: User;
  /** Polar picks the currency by the buyer's address, not by the server's. */
  readonly ip: string | undefined;
}

interface Parts {
  readonly db: D1Database;
  readonly polar: PolarApi;
  readonly catalog: Catalog;
  readonly appUrl: string;
  readonly now: number;
}

const DEFAULT_PATH = "/billing/success";
const MAX_PATH_LENGTH = 512;
const OWN_PATH = /^\/(?![/\\])/;
const CONTROL = /\p{Cc}/u;
const LOCALE = /^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*$/;
const MAX_LOCALE_LENGTH = 35;
/** The largest amount that Polar takes, in minor units. */
const MAX_AMOUNT = 99_999_999;

/** Checks the body of `POST /billing/checkout`. */
export function readChoice(body: CheckoutBody, catalog: Catalog, appUrl: string): Choice {
  const key = requiredString("product", body.product);
  const locale = readLocale(body.locale);
  const amount = readAmount(body.amount);
  const successUrl = landingUrl(appUrl, body.path ?? DEFAULT_PATH);
  const product = catalog.products.find((candidate) => candidate.key === key);
  if (product === undefined) throw new ApiError("not_found", { message: "There is no such product." });
  if (!isPurchasable(product)) throw invalid("product: not for sale.");
  if (amount !== undefined) checkAmount(product, amount);
  return { product, locale, amount, successUrl };
}

/** Creates the checkout at Polar, for the signed-in user only. */
export async function createCheckout(
  { db, polar, catalog, appUrl, now }: Parts,
  { user, ip }: Buyer,
  choice: Choice,
): Promise<{ id: string; url: string }> {
  await refuseBlocked(db, user.id);
  const upgraded = await subscriptionToUpgrade(db, catalog, user.id, choice.product);
  await ensureCustomer(db, polar, user);
  const allowsTrial = !choice.product.recurring || !(await hadTrial(db, user.id));
  const request = checkoutRequest(user, ip, choice, appUrl, { upgraded, allowsTrial });
  const checkout = await polar.createCheckout(request).catch((error: unknown) => {
    // "Only free subscriptions can be upgraded.": it has become a paid one, or costs nothing only by a discount.
    throw error instanceof PolarApiError && error.concerns("subscription_id") ? isHeld(GIVEN) : error;
  });
  const answer = { id: requiredId(checkout, "id"), url: requiredText(checkout, "url") };
  await remember(db, checkout, user.id, choice.product.id, now);
  return answer;
}

/** Answers 403 to a user who is blocked. */
export async function refuseBlocked(db: D1Database, userId: string): Promise<void> {
  if (await isBlocked(db, userId)) throw new ApiError("blocked");
}

/** Where to land in the app after paying; Polar puts the checkout's id in. */
export function landingUrl(appUrl: string, path: unknown): string {
  const own =
    typeof path === "string" &&
    path.length <= MAX_PATH_LENGTH &&
    OWN_PATH.test(path) &&
    path.isWellFormed() &&
    !CONTROL.test(path);
  const url = own && URL.canParse(path, appUrl) ? new URL(path, appUrl) : undefined;
  if (url === undefined || url.origin !== appUrl) {
    throw invalid("path: must be a path of this app, such as /thanks.");
  }
  const separator = url.search === "" ? "?" : "&";
  return `${url.origin}${url.pathname}${url.search}${separator}checkout_id={CHECKOUT_ID}${url.hash}`;
}

function readLocale(value: unknown): string | undefined {
  if (isAbsent(value)) return undefined;
  if (typeof value !== "string" || value.length > MAX_LOCALE_LENGTH || !LOCALE.test(value)) {
    throw invalid("locale: must be a language tag such as en or fr-CA.");
  }
  return value;
}

function readAmount(value: unknown): number | undefined {
  if (isAbsent(value)) return undefined;
  if (!Number.isSafeInteger(value)) throw invalid("amount: must be a whole number of minor units.");
  return value as number;
}

/** Refuses an amount that no currency of the product allows; which currency counts is decided by Polar. */
function checkAmount({ prices }: Product, amount: number): void {
  const custom = prices.filter(({ type }) => type === "custom");
  if (custom.length === 0) throw invalid("amount: only for products whose price the buyer chooses.");
  if (!custom.some((price) => allows(price, amount))) {
    throw invalid("amount: outside the limits of the product.");
  }
}

function isAbsent(value: unknown): value is undefined | null {
  return value === undefined || value === null;
}

function allows({ minimum, maximum }: Price, amount: number): boolean {
  return amount >= (minimum ?? 0) && amount <= (maximum ?? MAX_AMOUNT);
}

const PAUSED =
  "There is a paused subscription: resume it with POST /billing/subscription/resume, or end it with /revoke.";
const GIVEN =
  "There is a live subscription that costs nothing: end it with POST /billing/subscription/revoke, then buy this one.";

function isHeld(message: string): ApiError {
  return new ApiError("has_subscription", { message });
}

/**
 * The live free subscription that this purchase turns into a paid one (Polar: `subscription_id`), if any.
 * Refuses a second paid subscription where the organization allows one: Polar would, but only at the very end. It would
 * sell one beside a paused one, and both would run when that resumes.
 */
async function subscriptionToUpgrade(
  db: D1Database,
  catalog: Catalog,
  userId: string,
  product: Product,
): Promise<string | undefined> {
  if (!product.recurring) return undefined;
  const several = catalog.organization.allowMultipleSubscriptions;
  let upgraded: string | undefined;
  for (const held of await liveSubscriptions(db, userId)) {
    const isFree = isUpgradable(held, catalog);
    const isPaused = held.status === "paused";
    if (isFree && !isPaused && held.product_id !== product.id) upgraded ??= held.id;
    else if (!several && isPaused) throw isHeld(PAUSED);
    else if (!several && !isFree && isFreeSubscription(held, catalog)) throw isHeld(GIVEN);
    else if (!several || (isFree && held.product_id === product.id)) throw new ApiError("has_subscription");
  }
  return upgraded;
}

function checkoutRequest(
  user: User,
  ip: string | undefined,
  { product, locale, amount, successUrl }: Choice,
  appUrl: string,
  { upgraded, allowsTrial }: { upgraded: string | undefined; allowsTrial: boolean },
): CheckoutRequest {
  return {
    products: [product.id],
    external_customer_id: user.id,
    // Copied by Polar to the subscription and the order: tells whose they are, whatever e-mail is typed in.
    metadata: { app_user_id: user.id },
    success_url: successUrl,
    return_url: appUrl,
    ...(ip === undefined ? {} : { customer_ip_address: ip }),
    ...(locale === undefined ? {} : { locale }),
    ...(amount === undefined ? {} : { amount }),
    ...(allowsTrial ? {} : { allow_trial: false }),
    ...(upgraded === undefined ? {} : { subscription_id: upgraded }),
  };
}

/** Stores which user a checkout belongs to. Its event may have come first; then only the user is added. */
async function remember(
  db: D1Database,
  checkout: PolarObject,
  userId: string,
  productId: string,
  now: number,
): Promise<void> {
  await db
    .prepare(
      `INSERT INTO billing_checkouts (id, user_id, customer_id, product_id, subscription_id, status, expires_us, created_us)
       VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
       ON CONFLICT (id) DO UPDATE SET user_id = COALESCE(billing_checkouts.user_id, excluded.user_id)`,
    )
    .bind(
      requiredId(checkout, "id"),
      userId,
      text(checkout, "customer_id"),
      productId,
      text(checkout, "subscription_id"),
      text(checkout, "status") ?? "open",
      instant(checkout, "expires_at"),
      instant(checkout, "created_at") ?? now,
    )
    .run();
}
