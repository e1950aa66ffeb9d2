/** Polar's API: the few calls that billing needs, over the SDK's core client (facts: polar.sh/docs/api-reference). */
import { PolarClientError, PolarRateLimitError, PolarServerError } from "@polar-sh/sdk";
import type { PolarSettings } from "../settings";
import type { Proration } from "./catalog-types";
import {
  createCheckouts,
  createCustomerSessions,
  createCustomers,
  createPolarCore,
  getCheckouts,
  getExternalCustomers,
  getStateCustomers,
  getSubscriptions,
  listBenefitGrants,
  listCustomers,
  listDisputes,
  listOrders,
  listSubscriptions,
  type models,
  type PolarCore,
  updateSubscriptions,
} from "./polar-sdk";
import { isObject, type PolarObject } from "./read";
import { PolarGone, type PolarReader } from "./reconcile";

export type CheckoutRequest = models.CheckoutCreate;

/** What may be changed on a subscription, one at a time. */
export type SubscriptionChange =
  | { product_id: string; proration_behavior: Proration }
  | { cancel_at_period_end: boolean }
  | { resume: true }
  | { revoke: true };

export const PAGE_SIZE = 100;
export const MAX_PAGES = 50;
const TIMEOUT_SECONDS = 5;
/** A change may charge a card within the request; giving up early would look like a failure and is none. */
const CHANGE_TIMEOUT_SECONDS = 30;

/** Polar refused, failed, or could not be reached (status 0). */
export class PolarApiError extends Error {
  readonly status: number;
  /** Polar's name of the error, such as `ResourceNotFound`; empty when the body has none. */
  readonly error: string;
  readonly detail: unknown;
  /** Seconds that Polar asks to wait. */
  readonly retryAfter: number | null;

  constructor(status: number, error = "", detail: unknown = null, retryAfter: number | null = null) {
    super(status === 0 ? `No answer from Polar: ${error}` : `Polar answered ${status} ${error}`.trim());
    this.name = "PolarApiError";
    this.status = status;
    this.error = error;
    this.detail = detail;
    this.retryAfter = retryAfter;
  }

  /** Whether a 422 is about this member of the request (Polar: `detail[].loc`). */
  concerns(member: string): boolean {
    if (this.status !== 422 || !Array.isArray(this.detail)) return false;
    return this.detail.some((problem) => isObject(problem) && locationOf(problem).includes(member));
  }

  /** Whether the request has the wrong form for Polar, as opposed to refused content (`PolarRequestValidationError`). */
  isMalformed(): boolean {
    return this.error === "RequestValidationError";
  }
}

/** The SDK's client. */
export function createCore({ accessToken, environment, baseUrl }: PolarSettings, timeout = TIMEOUT_SECONDS): PolarCore {
  return createPolarCore({ accessToken, environment, timeout, ...(baseUrl === undefined ? {} : { baseUrl }) });
}

/** Everything this project asks of Polar. Failures are `PolarApiError`; what a reader's call cannot find is `PolarGone`. */
export class PolarApi implements PolarReader {
  readonly #core: PolarCore;
  readonly #changeTimeout: number;

  constructor(settings: PolarSettings, core = createCore(settings), changeTimeout = CHANGE_TIMEOUT_SECONDS) {
    this.#core = core;
    this.#changeTimeout = changeTimeout;
  }

  createCheckout(request: CheckoutRequest): Promise<PolarObject> {
    return one(createCheckouts(this.#core)(request));
  }

  checkout(id: string): Promise<PolarObject> {
    return one(getCheckouts(this.#core)(id));
  }

  createCustomer(request: { external_id: string; email: string; name?: string }): Promise<PolarObject> {
    return one(createCustomers(this.#core)(request));
  }

  /** The customer with this external id, or null. */
  async customerByExternalId(externalId: string): Promise<PolarObject | null> {
    const customer = fitsInPath(externalId)
      ? await orNull(one(getExternalCustomers(this.#core)(externalId)))
      : await this.#findCustomer(externalId);
    return customer?.external_id === externalId ? customer : null;
  }

  createPortalSession(customerId: string, returnUrl: string): Promise<PolarObject> {
    return one(createCustomerSessions(this.#core)({ customer_id: customerId, return_url: returnUrl }));
  }

  updateSubscription(id: string, change: SubscriptionChange): Promise<PolarObject> {
    return one(updateSubscriptions(this.#core)(id, change, { timeout: this.#changeTimeout }));
  }

  subscription(id: string): Promise<PolarObject> {
    return one(getSubscriptions(this.#core)(id));
  }

  customerState(id: string): Promise<PolarObject> {
    return orGone(one(getStateCustomers(this.#core)(id)));
  }

  subscriptions(customerId: string): Promise<PolarObject[]> {
    return orGone(all((paging) => listSubscriptions(this.#core)({ customer_id: customerId, ...paging })));
  }

  orders(customerId: string): Promise<PolarObject[]> {
    return orGone(all((paging) => listOrders(this.#core)({ customer_id: customerId, ...paging })));
  }

  grants(customerId: string): Promise<PolarObject[]> {
    return orGone(all((paging) => listBenefitGrants(this.#core)({ customer_id: customerId, ...paging })));
  }

  /** Null where the token may not read disputes: then nothing is known of them. */
  async disputes(orderId: string): Promise<PolarObject[] | null> {
    try {
      return await all((paging) => listDisputes(this.#core)({ order_id: orderId, ...paging }));
    } catch (error) {
      if (error instanceof PolarApiError && error.status === 403) return null;
      throw error;
    }
  }

  async #findCustomer(externalId: string): Promise<PolarObject | null> {
    const found = await all((paging) => listCustomers(this.#core)({ query: externalId, ...paging }));
    return found.find((customer) => customer.external_id === externalId) ?? null;
  }
}

/**
 * Whether an id survives as one segment of a path: Polar's router does not take an escaped `/`,
 * and `.` and `..` are resolved before the request leaves.
 */
function fitsInPath(id: string): boolean {
  return !id.includes("/") && id !== "." && id !== "..";
}

/** The answer to a request, which must be an object. */
export async function one(request: Promise<unknown>): Promise<PolarObject> {
  const answer = await request.catch((error: unknown) => {
    throw asPolarApiError(error);
  });
  if (!isObject(answer)) throw new PolarApiError(200, "UnreadableAnswer");
  return answer;
}

/** All items of a list, page by page. A list without end is an error: half of it would look like losses. */
export async function all(
  list: (paging: { page: number; limit: number }) => Promise<unknown>,
  maxPages = MAX_PAGES,
): Promise<PolarObject[]> {
  const items: PolarObject[] = [];
  for (let page = 1; page <= maxPages; page++) {
    const answer = await one(list({ page, limit: PAGE_SIZE }));
    const { items: found, pagination } = answer;
    const maxPage = isObject(pagination) ? pagination.max_page : undefined;
    if (!Array.isArray(found) || !found.every(isObject) || typeof maxPage !== "number") {
      throw new PolarApiError(200, "UnreadableAnswer");
    }
    items.push(...found);
    if (page >= maxPage) return items;
  }
  throw new PolarApiError(200, "TooManyPages");
}

/** Only this answer means that the object is gone: an expired API version, say, is a 404 too. */
export function isGone(error: unknown): boolean {
  return error instanceof PolarApiError && error.status === 404 && error.error === "ResourceNotFound";
}

async function orNull(answer: Promise<PolarObject>): Promise<PolarObject | null> {
  return answer.catch((error: unknown) => {
    if (isGone(error)) return null;
    throw error;
  });
}

async function orGone<T>(answer: Promise<T>): Promise<T> {
  return answer.catch((error: unknown) => {
    throw isGone(error) ? new PolarGone() : error;
  });
}

/** What the SDK throws, as this project has it. */
export function asPolarApiError(error: unknown): PolarApiError {
  if (error instanceof PolarApiError) return error;
  if (error instanceof PolarRateLimitError) {
    // Not a number where Polar, or a proxy before it, names a date.
    return new PolarApiError(429, "RateLimited", null, Number.isFinite(error.retryAfter) ? error.retryAfter : null);
  }
  if (error instanceof PolarClientError) {
    const body = typeof error.error === "string" ? parse(error.error) : error.error;
    const { error: name, detail } = isObject(body) ? body : {};
    return new PolarApiError(error.statusCode, typeof name === "string" ? name : "", detail);
  }
  if (error instanceof PolarServerError) return new PolarApiError(500, "ServerError");
  if (error instanceof SyntaxError) return new PolarApiError(200, "unreadable"); // a body that is not JSON
  // A time-out, or a broken connection.
  return new PolarApiError(0, error instanceof Error ? error.name : "Unknown");
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

function locationOf(problem: PolarObject): unknown[] {
  return Array.isArray(problem.loc) ? problem.loc : [];
}
