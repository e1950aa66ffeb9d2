import { env } from "cloudflare:workers";
import { beforeEach, describe, expect, it } from "vitest";
import { APP_URL, addCustomer, addSubscription, bindings, type Call, call } from "./support/app";
import { POLAR_URL, PolarStandIn } from "./support/polar-api";

let polar: PolarStandIn;
let alice: string;

beforeEach(async () => {
  polar = new PolarStandIn().install();
  alice = String(polar.addCustomer("alice", "alice@example.com").id);
  await addCustomer(alice, "alice");
});

function open(options: Call = {}) {
  return call("POST", "/billing/portal", { user: "alice", body: {}, ...options });
}

describe("the portal", () => {
  it("opens for the user's own customer", async () => {
    const { status, json } = await open();
    expect([status, json]).toEqual([201, { url: `${POLAR_URL}/portal/${alice}` }]);
    expect(polar.sent.map(({ body }) => body)).toEqual([{ customer_id: alice, return_url: APP_URL }]);
  });

  it("opens without a body", async () => {
    expect((await call("POST", "/billing/portal", { user: "alice" })).status).toBe(201);
  });

  it("opens for nobody who has not bought", async () => {
    const { status, json } = await open({ user: "bob", email: "alice@example.com" });
    expect([status, json.error]).toEqual([409, "no_customer"]);
    expect(polar.sent).toEqual([]);
  });

  it.each(["customer_id", "external_customer_id", "email", "customer", "return_url"])(
    "takes no %s from the client",
    async (key) => {
      const { status, json } = await open({ user: "bob", body: { [key]: alice } });
      expect([status, json.error]).toEqual([400, "invalid_body"]);
      expect(polar.sent).toEqual([]);
    },
  );

  it("never opens the portal of somebody else, whatever the request looks like", async () => {
    const mallory = String(polar.addCustomer("mallory", "m@example.com").id);
    await addCustomer(mallory, "mallory");
    for (const headers of [{ "X-Customer-Id": alice }, { Cookie: "user=alice" }]) {
      const { json } = await call("POST", `/billing/portal?customer_id=${alice}`, { user: "mallory", headers });
      expect(json).toEqual({ url: `${POLAR_URL}/portal/${mallory}` });
    }
    expect(polar.sent.every(({ body }) => body?.customer_id === mallory)).toBe(true);
  });

  it("says so where the purchases lie on another's customer, and does not open that", async () => {
    await addSubscription("s1", alice, "p1", { app_user_id: "bob" });
    const { status, json } = await open({ user: "bob" });
    expect([status, json.error]).toEqual([409, "customer_mismatch"]);
    expect(polar.sent).toEqual([]);
  });

  it("does not open for a deleted customer", async () => {
    await env.DB.prepare("UPDATE billing_customers SET deleted_us = 1").run();
    expect((await open()).json.error).toBe("no_customer");
  });

  it("does not open for a customer that Polar has deleted a moment ago", async () => {
    polar.customers.length = 0;
    expect((await open()).json.error).toBe("no_customer");
  });

  it("answers 503 for demo products, 401 for nobody", async () => {
    const demo = await open({ env: bindings({ POLAR_SERVER: "demo" }) });
    expect([demo.status, demo.json.error]).toEqual([503, "demo_catalogue"]);
    expect((await call("POST", "/billing/portal", { body: {} })).status).toBe(401);
  });

  it("opens ten times a minute for a user", async () => {
    const environment = bindings({ RATE_LIMITER_PORTAL: env.RATE_LIMITER_PORTAL });
    const statuses = [];
    for (let i = 0; i < 11; i++) statuses.push((await open({ env: environment })).status);
    expect(statuses).toEqual([...Array(10).fill(201), 429]);
  });
});
