/** A stand-in for Polar's API: takes the requests of the real SDK, keeps state, and answers as Polar was seen to. */
import { afterEach, vi } from "vitest";
import { API_VERSION } from "../../src/billing/polar-sdk";

export const POLAR_URL = "https://polar.test";
export const TOKEN = "polar_oat_of_these_tests";

afterEach(() => {
  vi.restoreAllMocks();
});

type Json = Record<string, unknown>;

/** A request as it left, checked for the headers that every one must carry. */
export interface Sent {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly body: Json | undefined;
}

/** Answers one request, or lets the usual answer through with undefined. */
type Interruption = (sent: Sent) => Response | Promise<Response> | undefined;

export class PolarStandIn {
  readonly sent: Sent[] = [];
  readonly customers: Json[] = [];
  readonly checkouts = new Map<string, Json>();
  readonly subscriptions = new Map<string, Json>();
  readonly orders: Json[] = [];
  readonly grants: Json[] = [];
  /** Set to make requests fail. */
  interrupt: Interruption | undefined;

  /** Takes every outgoing request of the Worker until the mocks are restored. */
  install(): this {
    vi.spyOn(globalThis, "fetch").mockImplementation((input, init) => this.#receive(new Request(input, init)));
    return this;
  }

  /** What was sent by this method to paths that begin so. */
  requests(method: string, path: string): Sent[] {
    return this.sent.filter((sent) => sent.method === method && sent.path.startsWith(path));
  }

  addCustomer(externalId: string | null, email: string | null): Json {
    const customer = {
      id: crypto.randomUUID(),
      created_at: "2026-11-23T07:21:06.542442Z",
      external_id: externalId,
      email,
      name: null,
      type: "individual",
      deleted_at: null,
    };
    this.customers.push(customer);
    return customer;
  }

  addSubscription(customerId: string, productId: string, more: Json = {}): Json & { id: string } {
    const subscription = {
      id: crypto.randomUUID(),
      created_at: "2026-11-23T07:21:15.969168Z",
      customer_id: customerId,
      product_id: productId,
      status: "active",
      cancel_at_period_end: false,
      ...more,
    };
    this.subscriptions.set(subscription.id, subscription);
    return subscription;
  }

  async #receive(request: Request): Promise<Response> {
    const url = new URL(request.url);
    if (url.origin !== POLAR_URL) throw new TypeError(`unexpected request to ${url.origin}`);
    const text = await request.text();
    const sent = {
      method: request.method,
      path: url.pathname,
      query: url.searchParams,
      body: text === "" ? undefined : (JSON.parse(text) as Json),
    };
    this.sent.push(sent);
    return (await this.interrupt?.(sent)) ?? this.#checkHeaders(request.headers) ?? this.#answer(sent);
  }

  #checkHeaders(headers: Headers): Response | undefined {
    if (headers.get("Polar-Version") !== API_VERSION) return json(404, { detail: "Not Found" });
    if (headers.get("Authorization") !== `Bearer ${TOKEN}`) return json(401, { error: "invalid_token" });
    if (headers.get("Content-Type") !== "application/json") return json(415, { error: "not JSON" });
    return undefined;
  }

  #answer(sent: Sent): Response {
    const { method, path } = sent;
    // Polar's router takes an escaped slash for a slash.
    if (/%2f/i.test(path)) return json(404, { detail: "Not Found" });
    const last = decodeURIComponent(path.split("/").at(-1) ?? "");
    const route = `${method} ${path.replace(/[^/]+$/, (tail) => (/^(state)$/.test(tail) ? tail : "{id}"))}`;
    if (route === "POST /v1/customers/") return this.#createCustomer(sent.body ?? {});
    if (route === "GET /v1/customers/external/{id}") return found(this.#external(last));
    if (route === "GET /v1/customers/") return this.#searchCustomers(sent.query);
    if (route === "POST /v1/checkouts/") return this.#createCheckout(sent.body ?? {});
    if (route === "GET /v1/checkouts/{id}") return found(this.checkouts.get(last));
    if (route === "POST /v1/customer-sessions/") return this.#createSession(sent.body ?? {});
    if (route === "GET /v1/subscriptions/{id}" && last !== "") return found(this.subscriptions.get(last));
    if (route === "PATCH /v1/subscriptions/{id}") return this.#updateSubscription(last, sent.body ?? {});
    return this.#read(sent) ?? json(404, { detail: "Not Found" });
  }

  #read({ method, path, query }: Sent): Response | undefined {
    if (method !== "GET") return undefined;
    const ofCustomer = (rows: Iterable<Json>) =>
      page(
        [...rows].filter(({ customer_id: id }) => id === query.get("customer_id")),
        query,
      );
    if (path === "/v1/subscriptions/") return ofCustomer(this.subscriptions.values());
    if (path === "/v1/orders/") return ofCustomer(this.orders);
    if (path === "/v1/benefit-grants/") return ofCustomer(this.grants);
    const state = /^\/v1\/customers\/([^/]+)\/state$/.exec(path);
    return state === null ? undefined : found(this.#state(String(state[1])));
  }

  #state(customerId: string): Json | undefined {
    const customer = this.customers.find(({ id }) => id === customerId);
    if (customer === undefined) return undefined;
    const own = [...this.subscriptions.values()].filter(({ customer_id: id }) => id === customerId);
    const active = own.filter(({ status }) => status === "active" || status === "trialing");
    return { ...customer, active_subscriptions: active, granted_benefits: [] };
  }

  #external(id: string): Json | undefined {
    return this.customers.find((customer) => customer.external_id === id);
  }

  #createCustomer(body: Json): Response {
    for (const member of ["external_id", "email"]) {
      if (this.customers.some((customer) => customer[member] === body[member])) {
        return invalid(member, "A customer with this value already exists.");
      }
    }
    const customer = this.addCustomer(String(body.external_id), String(body.email));
    return json(201, Object.assign(customer, { name: body.name ?? null }));
  }

  #searchCustomers(query: URLSearchParams): Response {
    const text = query.get("query") ?? "";
    return page(
      this.customers.filter(({ external_id: id }) => typeof id === "string" && id.includes(text)),
      query,
    );
  }

  #createCheckout(body: Json): Response {
    const id = crypto.randomUUID();
    const customer = this.#external(String(body.external_customer_id));
    const checkout = {
      id,
      url: `${POLAR_URL}/checkout/${id}`,
      status: "open",
      created_at: "2026-11-23T09:09:28.269221Z",
      expires_at: "2026-11-24T09:09:28.269178Z",
      customer_id: customer?.id ?? null,
      subscription_id: body.subscription_id ?? null,
    };
    this.checkouts.set(id, checkout);
    return json(201, checkout);
  }

  #createSession(body: Json): Response {
    if (!this.customers.some(({ id }) => id === body.customer_id)) {
      return invalid("customer_id", "Customer does not exist.");
    }
    return json(201, { customer_portal_url: `${POLAR_URL}/portal/${body.customer_id}` });
  }

  #updateSubscription(id: string, body: Json): Response {
    const subscription = this.subscriptions.get(id);
    if (subscription === undefined) return found(undefined);
    const refused = refusal(subscription, body);
    if (refused !== undefined) return refused;
    const { proration_behavior: _, resume, revoke, ...change } = body;
    if (resume === true) subscription.status = "active";
    if (revoke === true) Object.assign(subscription, { status: "canceled", ended_at: "2026-11-23T07:21:15.969168Z" });
    return json(200, Object.assign(subscription, change));
  }
}

/** What Polar does not do with a subscription in this state. */
function refusal({ status, cancel_at_period_end: ends }: Json, body: Json): Response | undefined {
  const isOver = status === "canceled";
  const canceled = json(403, {
    error: "AlreadyCanceledSubscription",
    detail: "This subscription is already canceled.",
  });
  if (body.resume === true) {
    return status === "paused" ? undefined : json(409, { error: "NotPausedSubscription", detail: "Not paused." });
  }
  if (body.cancel_at_period_end === false) {
    if (isOver) return json(410, { error: "ResourceUnavailable", detail: "Unavailable" });
    return ends === true ? undefined : json(400, { error: "BadRequest", detail: "Bad request" });
  }
  if (body.cancel_at_period_end === true && status === "paused") return canceled;
  return isOver || (ends === true && body.revoke !== true) ? canceled : undefined;
}

/** Polar's answer to a request that does not validate. */
export function invalid(member: string, message: string): Response {
  const detail = [{ type: "value_error", loc: ["body", member], msg: message, input: null }];
  return json(422, { error: "PolarRequestValidationError", detail });
}

/** Any JSON answer. */
export function json(status: number, body: unknown, headers: Record<string, string> = {}): Response {
  return Response.json(body, { status, headers: { "Polar-Version": API_VERSION, ...headers } });
}

function found(value: Json | undefined): Response {
  return value === undefined ? json(404, { error: "ResourceNotFound", detail: "Not found" }) : json(200, value);
}

function page(rows: Json[], query: URLSearchParams): Response {
  const limit = Math.min(Number(query.get("limit") ?? 10), 100);
  const start = (Number(query.get("page") ?? 1) - 1) * limit;
  const pagination = { total_count: rows.length, max_page: Math.ceil(rows.length / limit) };
  return json(200, { items: rows.slice(start, start + limit), pagination });
}
