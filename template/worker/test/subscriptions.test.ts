import { env } from "cloudflare:workers";
import { beforeEach, describe, expect, it, vi } from "vitest";
import { PRORATION } from "../src/billing/catalog";
import { PolarApi } from "../src/billing/polar";
import { reconcileCustomer } from "../src/billing/reconcile";
import { addCustomer, addSubscription, bindings, type Call, call } from "./support/app";
import { PRODUCTS, TEST_CATALOG } from "./support/catalog";
import { rows } from "./support/deliveries";
import { json, POLAR_URL, PolarStandIn, TOKEN } from "./support/polar-api";

let polar: PolarStandIn;
let own: string;
let others: string;

beforeEach(async () => {
  polar = new PolarStandIn().install();
  own = await addLive("alice");
  others = await addLive("bob");
});

async function addLive(user: string): Promise<string> {
  await addCustomer(`c_${user}`, user);
  const { id } = polar.addSubscription(`c_${user}`, PRODUCTS.pro.id);
  await addSubscription(id, `c_${user}`, PRODUCTS.pro.id);
  return id;
}

function send(action: string, body: unknown, options: Call = {}) {
  const request = { user: "alice", catalog: TEST_CATALOG, body, ...options };
  return call("POST", `/billing/subscription/${action}`, request);
}

describe("an own subscription", () => {
  it("changes to another product, charged as configured", async () => {
    const { status, json } = await send("change", { subscription: own, product: "team" });
    expect(status).toBe(200);
    expect(json).toMatchObject({ id: own, product_id: PRODUCTS.team.id, status: "active" });
    expect(polar.sent).toHaveLength(1);
    expect(polar.sent[0]).toMatchObject({
      method: "PATCH",
      path: `/v1/subscriptions/${own}`,
      body: { product_id: PRODUCTS.team.id, proration_behavior: PRORATION },
    });
  });

  it("ends with its period, and stays after all", async () => {
    expect((await send("cancel", { subscription: own })).json.cancel_at_period_end).toBe(true);
    expect((await send("uncancel", { subscription: own })).json.cancel_at_period_end).toBe(false);
    expect(polar.sent.map(({ body }) => body)).toEqual([
      { cancel_at_period_end: true },
      { cancel_at_period_end: false },
    ]);
  });

  it("is not cancelled twice", async () => {
    await send("cancel", { subscription: own });
    const { status, json } = await send("cancel", { subscription: own });
    expect([status, json.error]).toEqual([409, "subscription_state"]);
  });
});

describe("a subscription that is not the user's own live one", () => {
  it.each(["change", "cancel", "uncancel", "resume", "revoke"])("does not %s", async (action) => {
    const product = action === "change" ? { product: "team" } : {};
    await env.DB.prepare("UPDATE billing_subscriptions SET status = 'canceled' WHERE id = ?").bind(own).run();
    for (const subscription of [others, own, "00000000-0000-4000-8000-00000000ffff", "../customers", "' OR 1=1 --"]) {
      const { status, json } = await send(action, { subscription, ...product });
      expect([status, json.error]).toEqual([404, "not_found"]);
    }
    expect(polar.sent).toEqual([]);
  });
});

describe("a change that makes no sense", () => {
  it.each([
    [{ product: "nothing" }, 404],
    [{ product: "book" }, 400],
    [{ product: "old" }, 400],
    [{ product: null }, 400],
    [{}, 400],
    [{ product: "team", proration_behavior: "reset" }, 400],
    [{ product: "team", seats: 3 }, 400],
    [{ product: "team", subscription: 7 }, 400],
    [{ product: "team", subscription: "" }, 400],
  ])("%j is refused with %i before Polar is asked", async (body, expected) => {
    expect((await send("change", { subscription: own, ...body })).status).toBe(expected);
    expect(polar.sent).toEqual([]);
  });

  it.each(["revoke", "product", "cancel_at_period_end"])("cancel takes no %s", async (key) => {
    expect((await send("cancel", { subscription: own, [key]: true })).status).toBe(400);
  });

  it("is refused for nobody, and for demo products", async () => {
    const nobody = await call("POST", "/billing/subscription/cancel", { body: { subscription: own } });
    expect(nobody.status).toBe(401);
    const demo = await send("cancel", { subscription: own }, { env: bindings({ POLAR_SERVER: "demo" }) });
    expect([demo.status, demo.json.error]).toEqual([503, "demo_catalogue"]);
    expect(polar.sent).toEqual([]);
  });
});

describe("the way from a free plan to one that costs money", () => {
  async function hold(productId: string, amount: number): Promise<string> {
    await env.DB.prepare("UPDATE billing_subscriptions SET product_id = ?, amount = ? WHERE id = ?")
      .bind(productId, amount, own)
      .run();
    return own;
  }

  it.each([
    ["a free plan", PRODUCTS.free.id, 0],
    ["a free plan whose amount is of another time", PRODUCTS.free.id, 1900],
    ["a paid plan at a price of 0", PRODUCTS.pro.id, 0],
    ["a free plan that the code does not know", "00000000-0000-4000-9000-00000000ffff", 0],
  ])("is the checkout, from %s", async (_, productId, amount) => {
    const { status, json } = await send("change", { subscription: await hold(productId, amount), product: "team" });
    expect([status, json.error]).toEqual([409, "checkout_required"]);
    expect(polar.sent).toEqual([]);
  });

  it.each([
    ["a free plan becomes another free one", PRODUCTS.free.id, 0, "basic"],
    ["a paid plan becomes a free one", PRODUCTS.pro.id, 1900, "free"],
    ["a paid plan that the code does not know becomes another", "00000000-0000-4000-9000-00000000ffff", 900, "team"],
    ["a plan that bills usage beside a fixed 0 becomes another", PRODUCTS.usage.id, 0, "team"],
  ])("is not in the way when %s", async (_, productId, amount, product) => {
    const { status } = await send("change", { subscription: await hold(productId, amount), product });
    expect([status, polar.sent.map(({ method }) => method)]).toEqual([200, ["PATCH"]]);
  });

  it("cannot be paid around by a plan that is not for sale", async () => {
    const { status } = await send("change", { subscription: own, product: "seats" });
    expect([status, polar.sent]).toEqual([400, []]);
  });
});

describe("a blocked user", () => {
  it.each([
    ["change", 403],
    ["resume", 403],
    ["cancel", 200],
    ["revoke", 200],
  ])("%s is %i: what ends something stays possible", async (action, expected) => {
    await env.DB.prepare("INSERT INTO billing_blocked_users (user_id, blocked_us) VALUES ('alice', 1)").run();
    const { status, json } = await send(action, { subscription: own, ...(action === "change" && { product: "team" }) });
    expect(status).toBe(expected);
    if (expected === 403) expect([json.error, polar.sent]).toEqual(["blocked", []]);
  });
});

describe("a change that Polar does not answer in time", () => {
  const CHANGE = { product: "team" };

  it.each([
    ["change", CHANGE, {}, { product_id: PRODUCTS.team.id }],
    ["change", CHANGE, {}, { pending_update: { product_id: PRODUCTS.team.id } }],
    ["cancel", {}, {}, { cancel_at_period_end: true }],
    ["uncancel", {}, { cancel_at_period_end: 1 }, { cancel_at_period_end: false }],
    ["resume", {}, { status: "paused" }, { status: "active" }],
    ["revoke", {}, {}, { status: "canceled", ended_at: "2026-11-23T07:21:15Z" }],
  ])("%s is looked up once: %j %j %j", async (action, more, held, after) => {
    vi.spyOn(console, "error").mockReturnValue();
    const columns = Object.entries(held);
    for (const [name, value] of columns) {
      await env.DB.prepare(`UPDATE billing_subscriptions SET ${name} = ? WHERE id = ?`).bind(value, own).run();
    }
    Object.assign(
      polar.subscriptions.get(own) as object,
      held,
      "cancel_at_period_end" in held ? { cancel_at_period_end: true } : {},
    );
    polar.interrupt = ({ method }) =>
      method === "PATCH" ? Promise.reject(new DOMException("timed out", "TimeoutError")) : undefined;
    const before = await send(action, { subscription: own, ...more });
    expect([before.status, before.json.error]).toEqual([504, "unconfirmed"]);
    expect(before.json.message).not.toMatch(/try again/i);

    Object.assign(polar.subscriptions.get(own) as object, after);
    expect((await send(action, { subscription: own, ...more })).status).toBe(200);
    expect(polar.sent.map(({ method }) => method)).toEqual(["PATCH", "GET", "PATCH", "GET"]);
  });

  it("has half a minute: Polar charges the card within the request", async () => {
    const timers = vi.spyOn(AbortSignal, "timeout");
    await send("change", { subscription: own, ...CHANGE });
    expect(timers.mock.calls.flat()).toEqual([30_000]);
  });
});

describe("Polar's answer", () => {
  function stored() {
    return env.DB.prepare("SELECT * FROM billing_subscriptions WHERE id = ?").bind(own).first();
  }

  it("is in the account at once, and any event wins", async () => {
    await env.DB.prepare("UPDATE billing_subscriptions SET version = 7, webhook_id = 'w' WHERE id = ?").bind(own).run();
    await send("cancel", { subscription: own });
    const { json } = await call("GET", "/billing/account", { user: "alice" });
    expect(json.subscriptions).toMatchObject([{ id: own, cancel_at_period_end: true }]);
    expect(await stored()).toMatchObject({ version: 7, webhook_id: "w", answered_us: expect.any(Number) });
    expect(await rows("billing_reactions")).toEqual([]);
  });

  it("gives way to an event that overtook it", async () => {
    polar.interrupt = async () => {
      await env.DB.prepare("UPDATE billing_subscriptions SET version = 9, webhook_id = 'x' WHERE id = ?")
        .bind(own)
        .run();
      return undefined as unknown as Response;
    };
    await send("cancel", { subscription: own });
    expect(await stored()).toMatchObject({ cancel_at_period_end: 0, version: 9, answered_us: null });
  });

  it("has its reactions run by reconciliation where its events were lost", async () => {
    await send("cancel", { subscription: own });
    polar.customers.push({ id: "c_alice", external_id: "alice", created_at: "2026-11-23T07:21:06Z" });
    const api = new PolarApi({ accessToken: TOKEN, environment: "sandbox", baseUrl: POLAR_URL });
    const handlers = { subscription_cancellation_scheduled: () => {} };
    for (const _ of [1, 2]) await reconcileCustomer(env.DB, api, "c_alice", Date.now() * 1000, handlers);
    expect(await rows("billing_reactions")).toMatchObject([{ reaction: "subscription_cancellation_scheduled" }]);
    expect(await stored()).toMatchObject({ answered_us: null });
  });
});

describe("Polar's refusal", () => {
  it.each([
    [402, { error: "PaymentFailed", detail: "declined" }, 402, "payment_failed"],
    [403, { error: "AlreadyCanceledSubscription", detail: "x" }, 409, "subscription_state"],
    [403, { error: "InactiveSubscription", detail: "x" }, 409, "subscription_state"],
    [403, { error: "insufficient_scope" }, 502, "polar_error"],
    [400, { error: "BadRequest", detail: "Bad request" }, 409, "subscription_state"],
    [400, { error: "SeatsAlreadyAssigned", detail: "x" }, 409, "subscription_state"],
    [400, { error: "invalid_request" }, 502, "polar_error"],
    [409, { error: "NotPausedSubscription", detail: "x" }, 409, "subscription_state"],
    [410, { error: "ResourceUnavailable", detail: "Unavailable" }, 409, "subscription_state"],
    [404, { error: "ResourceNotFound", detail: "Not found" }, 404, "not_found"],
    [404, { detail: "Not Found" }, 502, "polar_error"],
    [409, { error: "SubscriptionLocked", detail: "x" }, 409, "subscription_state"],
    [422, { error: "RequestValidationError", detail: [] }, 409, "subscription_state"],
    [429, "", 503, "unavailable"],
    [500, {}, 502, "polar_error"],
  ])("%i %j becomes %i %s", async (status, body, expected, error) => {
    vi.spyOn(console, "error").mockReturnValue();
    polar.interrupt = () => json(status, body);
    const answer = await send("change", { subscription: own, product: "team" });
    expect([answer.status, answer.json.error]).toEqual([expected, error]);
    expect(answer.headers.has("Retry-After")).toBe(expected === 503);
  });
});

describe("a user who loops", () => {
  it.each(["change", "cancel", "uncancel", "resume", "revoke"])(
    "with %s gets through ten times a minute",
    async (action) => {
      const user = crypto.randomUUID();
      const id = await addLive(user);
      const environment = bindings({ RATE_LIMITER_SUBSCRIPTION: env.RATE_LIMITER_SUBSCRIPTION });
      const body = { subscription: id, ...(action === "change" ? { product: "team" } : {}) };
      const answers = [];
      for (let i = 0; i < 13; i++) answers.push(await send(action, body, { user, env: environment }));
      expect(answers.slice(0, 10).map(({ json }) => json.error)).not.toContain("rate_limited");
      for (const { status, headers, json } of answers.slice(10)) {
        expect([status, json.error, headers.get("Retry-After")]).toEqual([429, "rate_limited", "60"]);
      }
      expect(polar.sent.length).toBeLessThanOrEqual(10);
    },
  );
});
