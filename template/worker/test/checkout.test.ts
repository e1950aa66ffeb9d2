import { env } from "cloudflare:workers";
import { beforeEach, describe, expect, it, vi } from "vitest";
import { APP_URL, addCustomer, addSubscription, bindings, type Call, call } from "./support/app";
import { PRODUCTS, TEST_CATALOG } from "./support/catalog";
import { invalid, json, POLAR_URL, PolarStandIn } from "./support/polar-api";

let polar: PolarStandIn;
let number = 0;
let user: string;

beforeEach(() => {
  polar = new PolarStandIn().install();
  user = `user_${++number}`;
});

function buy(body: unknown, options: Call = {}) {
  return call("POST", "/billing/checkout", { user, catalog: TEST_CATALOG, body, ...options });
}

function created() {
  return polar.requests("POST", "/v1/checkouts/").map(({ body }) => body);
}

describe("a checkout", () => {
  it("is made for a customer that exists, with everything but the choice set by the server", async () => {
    const headers = { "CF-Connecting-IP": "203.0.113.9" };
    const { status, json } = await buy({ product: "pro" }, { email: "a@example.com", headers });
    expect(status).toBe(201);
    expect(json).toEqual({ id: expect.any(String), url: expect.stringContaining("/checkout/") });
    expect(polar.sent.map(({ method, path }) => `${method} ${path}`)).toEqual([
      "POST /v1/customers/",
      "POST /v1/checkouts/",
    ]);
    expect(polar.sent[0]?.body).toEqual({ external_id: user, email: "a@example.com" });
    expect(polar.sent[1]?.body).toEqual({
      products: [PRODUCTS.pro.id],
      external_customer_id: user,
      metadata: { app_user_id: user },
      success_url: `${APP_URL}/billing/success?checkout_id={CHECKOUT_ID}`,
      return_url: APP_URL,
      customer_ip_address: "203.0.113.9",
    });
  });

  it("is remembered as the user's", async () => {
    const { json } = await buy({ product: "pro" }, { email: "a@example.com" });
    const row = await env.DB.prepare("SELECT * FROM billing_checkouts WHERE id = ?").bind(json.id).first();
    expect(row).toMatchObject({ user_id: user, product_id: PRODUCTS.pro.id, status: "open", version: 0 });
    const customer = await env.DB.prepare("SELECT * FROM billing_customers").first();
    expect(customer).toMatchObject({ external_id: user, email: "a@example.com", version: 0 });
  });

  it("keeps the owner that an earlier event wrote", async () => {
    polar.interrupt = ({ path }) =>
      path === "/v1/checkouts/"
        ? json(201, { id: "11111111-1111-4111-8111-111111111111", url: "x", status: "open" })
        : undefined;
    await env.DB.prepare(
      "INSERT INTO billing_checkouts (id, user_id, status, created_us, version) VALUES (?, 'first', 'confirmed', 1, 7)",
    )
      .bind("11111111-1111-4111-8111-111111111111")
      .run();
    expect((await buy({ product: "pro" })).status).toBe(201);
    const row = await env.DB.prepare("SELECT user_id, status, version FROM billing_checkouts").first();
    expect(row).toEqual({ user_id: "first", status: "confirmed", version: 7 });
  });

  it("does not make a customer that is known", async () => {
    await addCustomer("c1", user);
    await buy({ product: "pro" }, { email: "a@example.com" });
    expect(polar.requests("POST", "/v1/customers/")).toEqual([]);
    expect(created()).toHaveLength(1);
  });

  it("goes without a customer for a user without an e-mail", async () => {
    expect((await buy({ product: "pro" })).status).toBe(201);
    expect(polar.sent).toHaveLength(1);
    expect(created()[0]).toMatchObject({ external_customer_id: user, metadata: { app_user_id: user } });
    expect(created()[0]).not.toHaveProperty("customer_email");
  });

  it.each(["user/with/slashes", "..", ".", "ünï💜", "a b?c#d%2F", "$&'", "x".repeat(255)])(
    "is made for the user %j",
    async (id) => {
      polar.addCustomer(`${id} not quite`, "other@example.com");
      const known = polar.addCustomer(id, "a@example.com");
      polar.interrupt = ({ method, path }) =>
        // As if the first request's answer had been lost.
        method === "POST" && path === "/v1/customers/"
          ? json(422, { error: "RequestValidationError", detail: [{ loc: ["body", "email"], msg: "taken" }] })
          : undefined;
      expect((await buy({ product: "pro" }, { user: id, email: "a@example.com" })).status).toBe(201);
      expect(created()[0]).toMatchObject({ external_customer_id: id, metadata: { app_user_id: id } });
      const row = await env.DB.prepare("SELECT id FROM billing_customers WHERE external_id = ?").bind(id).first();
      expect(row).toEqual({ id: known.id });
    },
  );

  it("is made when Polar knows the external id already", async () => {
    const known = polar.addCustomer(user, "old@example.com");
    expect((await buy({ product: "pro" }, { email: "new@example.com" })).status).toBe(201);
    const portal = await call("POST", "/billing/portal", { user, body: {} });
    expect(portal.json).toEqual({ url: `${POLAR_URL}/portal/${known.id}` });
  });

  it("is made when the customer that Polar had is gone a moment later", async () => {
    polar.interrupt = ({ method, path }) =>
      method === "POST" && path === "/v1/customers/" ? invalid("external_id", "taken") : undefined;
    expect((await buy({ product: "pro" }, { email: "a@example.com" })).status).toBe(201);
    expect(await env.DB.prepare("SELECT * FROM billing_customers").all()).toMatchObject({ results: [] });
  });

  it("goes without a customer when Polar does not take the e-mail for an address", async () => {
    const detail = [{ type: "value_error", loc: ["body", "email"], msg: "value is not a valid email address" }];
    polar.interrupt = ({ method, path }) =>
      method === "POST" && path === "/v1/customers/"
        ? json(422, { error: "RequestValidationError", detail })
        : undefined;
    expect((await buy({ product: "pro" }, { email: "root@localhost" })).status).toBe(201);
    expect(created()[0]).toMatchObject({ metadata: { app_user_id: user } });
    expect(created()[0]).not.toHaveProperty("customer_email");
  });

  it.each(["plain", "with/slash", ".."])("is refused when another has the e-mail of %j", async (id) => {
    polar.addCustomer(null, "a@example.com");
    const { status, json } = await buy({ product: "pro" }, { user: id, email: "a@example.com" });
    expect([status, json.error]).toEqual([409, "customer_unlinked"]);
    expect(created()).toEqual([]);
  });
});

describe("what the client may choose", () => {
  it("reaches Polar when it is allowed", async () => {
    await buy({ product: "tip", locale: "fr-CA", amount: 700, path: "/thanks?from=tip#top" });
    expect(created()[0]).toMatchObject({
      locale: "fr-CA",
      amount: 700,
      success_url: `${APP_URL}/thanks?from=tip&checkout_id={CHECKOUT_ID}#top`,
    });
  });

  it("may be left out by null", async () => {
    expect((await buy({ product: "tip", locale: null, amount: null, path: null })).status).toBe(201);
    expect(Object.keys(created()[0] ?? {})).not.toContain("amount");
    expect(created()[0]?.success_url).toBe(`${APP_URL}/billing/success?checkout_id={CHECKOUT_ID}`);
  });

  it.each([
    "customer_id",
    "external_customer_id",
    "metadata",
    "success_url",
    "discount_id",
    "subscription_id",
    "customer_email",
    "prices",
    "__proto__",
  ])("is never %s", async (key) => {
    const { status, json } = await buy(`{"product": "pro", "${key}": "x"}`);
    expect([status, json.error]).toEqual([400, "invalid_body"]);
    expect(json.message).toContain(key);
    expect(polar.sent).toEqual([]);
  });

  it.each([
    [{}, 400],
    [{ product: 7 }, 400],
    [{ product: "" }, 400],
    [{ product: "nothing" }, 404],
    [{ product: "toString" }, 404],
    [{ product: PRODUCTS.pro.id }, 404],
    [{ product: "old" }, 400],
    [{ product: "seats" }, 400],
    [{ product: "pro", locale: "../x" }, 400],
    [{ product: "pro", locale: 1 }, 400],
    [{ product: "pro", amount: 700 }, 400],
    [{ product: "tip", amount: 499 }, 400],
    [{ product: "tip", amount: 1001 }, 400],
    [{ product: "tip", amount: 700.5 }, 400],
    [{ product: "tip", amount: "700" }, 400],
    [{ product: "tip", amount: -1 }, 400],
  ])("%j is refused with %i before Polar is asked", async (body, expected) => {
    expect((await buy(body)).status).toBe(expected);
    expect(polar.sent).toEqual([]);
  });

  it.each([
    [500, 201],
    [1000, 201],
    [80_000, 201],
    [9_000_000, 201],
  ])("amount %i is within the limits of a currency", async (amount, expected) => {
    expect((await buy({ product: "tip", amount })).status).toBe(expected);
  });

  it.each([
    "//evil.example",
    "/\\evil.example",
    "\\\\evil.example",
    "https://evil.example",
    "https:evil.example",
    "javascript:alert(1)",
    "evil.example",
    "",
    "/\t/evil.example",
    "/\n/evil.example",
    "/ok\u0000",
    "/ok\u0085",
    "/\ud800",
    `/${"a".repeat(512)}`,
    7,
    ["/ok"],
  ])("path %j does not leave the app", async (path) => {
    expect((await buy({ product: "pro", path })).status).toBe(400);
    expect(polar.sent).toEqual([]);
  });

  it.each(["/./\\evil.example", "/..//evil.example", "/@evil.example", "/%2f%2fevil.example", "/?u=//evil.example"])(
    "path %j stays at the app's own origin",
    async (path) => {
      expect((await buy({ product: "pro", path })).status).toBe(201);
      expect(new URL(String(created()[0]?.success_url)).origin).toBe(APP_URL);
    },
  );
});

describe("a user with a subscription", () => {
  beforeEach(() => addCustomer("c1", user));

  it("turns a free one into a paid one", async () => {
    await addSubscription("s1", "c1", PRODUCTS.free.id, { amount: 0 });
    expect((await buy({ product: "pro" })).status).toBe(201);
    expect(created()[0]?.subscription_id).toBe("s1");
  });

  it("turns a free one of an unknown product into a paid one", async () => {
    await addSubscription("s1", "c1", "00000000-0000-4000-8000-00000000ffff", { amount: 0 });
    expect((await buy({ product: "pro" })).status).toBe(201);
    expect(created()[0]?.subscription_id).toBe("s1");
  });

  it("does not buy the same free one again", async () => {
    await addSubscription("s1", "c1", PRODUCTS.free.id, { amount: 0 });
    expect((await buy({ product: "free" })).json.error).toBe("has_subscription");
  });

  it.each(["active", "trialing", "past_due"])("does not buy a second one while one is %s", async (status) => {
    await addSubscription("s1", "c1", PRODUCTS.pro.id, { status, past_due_us: Date.now() * 1000 });
    const { status: answer, json } = await buy({ product: "team" });
    expect([answer, json.error]).toEqual([409, "has_subscription"]);
    expect(polar.sent).toEqual([]);
  });

  it("does not buy a second one beside a paused one: both would run when it resumes", async () => {
    await addSubscription("s1", "c1", PRODUCTS.pro.id, { status: "paused" });
    const { status, json } = await buy({ product: "team" });
    expect([status, json.error]).toEqual([409, "has_subscription"]);
    expect(json.message).toContain("resume");
    expect(polar.sent).toEqual([]);
  });

  it("does not turn into a paid one what Polar does not upgrade", async () => {
    await addSubscription("s1", "c1", PRODUCTS.free.id, { amount: 0 });
    polar.interrupt = () => invalid("subscription_id", "Only free subscriptions can be upgraded.");
    expect((await buy({ product: "pro" })).json.error).toBe("has_subscription");
  });

  it.each(["canceled", "unpaid", "incomplete_expired"])("buys another when the old one is %s", async (status) => {
    await addSubscription("s1", "c1", PRODUCTS.pro.id, { status });
    expect((await buy({ product: "team" })).status).toBe(201);
    expect(created()[0]).not.toHaveProperty("subscription_id");
  });

  it("buys something once all the same", async () => {
    await addSubscription("s1", "c1", PRODUCTS.pro.id);
    expect((await buy({ product: "book" })).status).toBe(201);
  });

  it("buys a second one where the organization allows several", async () => {
    await addSubscription("s1", "c1", PRODUCTS.pro.id);
    const organization = { ...TEST_CATALOG.organization, allowMultipleSubscriptions: true };
    const catalog = { ...TEST_CATALOG, organization };
    expect((await buy({ product: "team" }, { catalog })).status).toBe(201);
  });

  it("is not held up by another user's subscription", async () => {
    await addCustomer("c2", `${user}x`);
    await addSubscription("s2", "c2", PRODUCTS.pro.id);
    expect((await buy({ product: "team" })).status).toBe(201);
  });
});

describe("when it cannot be", () => {
  it("says that demo products cannot be bought", async () => {
    const { status, json } = await buy({ product: "pro" }, { env: bindings({ POLAR_SERVER: "demo" }) });
    expect([status, json.error]).toEqual([503, "demo_catalogue"]);
    expect(polar.sent).toEqual([]);
  });

  it("counts the eleventh in a minute as one too many, for each user alone", async () => {
    const environment = bindings({ RATE_LIMITER_CHECKOUT: env.RATE_LIMITER_CHECKOUT });
    const statuses = [];
    for (let i = 0; i < 11; i++) {
      statuses.push((await buy({ product: "pro" }, { env: environment })).status);
    }
    expect(statuses).toEqual([...Array(10).fill(201), 429]);
    const limited = await buy({ product: "pro" }, { env: environment });
    expect(limited.json.error).toBe("rate_limited");
    expect(limited.headers.get("Retry-After")).toBe("60");
    expect((await buy({ product: "pro" }, { env: environment, user: `${user}x` })).status).toBe(201);
  });

  it.each([
    [() => json(400, { error: "BadRequest", detail: "x" }), 502, "polar_error"],
    [() => json(401, { error: "invalid_token" }), 502, "polar_error"],
    [() => json(404, { detail: "Not Found" }), 502, "polar_error"],
    [() => json(422, { error: "RequestValidationError", detail: [] }), 502, "polar_error"],
    [() => json(500, {}), 502, "polar_error"],
    [() => new Response("<html>maintenance</html>", { status: 200 }), 502, "polar_error"],
    [() => new Response("<html>maintenance</html>", { status: 422 }), 502, "polar_error"],
    [() => json(201, { url: null }), 502, "polar_error"],
    [() => json(201, []), 502, "polar_error"],
    [() => Promise.reject(new DOMException("timed out", "TimeoutError")), 502, "polar_error"],
    [() => new Response(null, { status: 429, headers: { "Retry-After": "7" } }), 503, "unavailable"],
  ])("passes Polar's failure on (%#)", async (answer: () => Response | Promise<Response>, expected, error) => {
    const log = vi.spyOn(console, "error").mockReturnValue();
    polar.interrupt = answer;
    const { status, json, headers } = await buy({ product: "pro" });
    expect([status, json.error]).toEqual([expected, error]);
    if (expected === 503) expect(headers.get("Retry-After")).toBe("7");
    expect(JSON.stringify([json, log.mock.calls])).not.toContain(user);
  });

  it("answers 401 to nobody, before it reads the body", async () => {
    const request = { catalog: TEST_CATALOG, body: "not json" };
    const { status, json, headers } = await call("POST", "/billing/checkout", request);
    expect([status, json.error]).toEqual([401, "unauthorized"]);
    expect(headers.get("WWW-Authenticate")).toBe("Bearer");
  });
});
