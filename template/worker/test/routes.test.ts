import { env } from "cloudflare:workers";
import { describe, expect, it, vi } from "vitest";
import { CATALOG } from "../src/billing/catalog";
import { ERRORS, errorResponse } from "../src/billing/errors";
import { MIGRATIONS } from "../src/billing/health";
import { addCustomer, addSubscription, bindings, call } from "./support/app";
import { PRODUCTS, TEST_CATALOG } from "./support/catalog";
import { PolarStandIn } from "./support/polar-api";
import { breakStore } from "./support/store";

describe("GET /billing/plans", () => {
  it("shows the catalogue to anyone, without archived products", async () => {
    const { status, json } = await call("GET", "/billing/plans", { catalog: TEST_CATALOG });
    expect(status).toBe(200);
    expect(json.currency).toBe("usd");
    const shown = Object.keys(PRODUCTS).filter((key) => key !== "old");
    expect(json.products.map(({ key }: { key: string }) => key)).toEqual(shown);
    const limits = { minimum: null, maximum: null, preset: null, unit_amount: null };
    expect(json.products.find(({ key }: { key: string }) => key === "pro")).toEqual({
      ...{ key: "pro", id: PRODUCTS.pro.id, name: "pro", description: null, interval: "month", interval_count: 1 },
      ...{ trial_interval: null, trial_interval_count: null },
      prices: [{ type: "fixed", currency: "usd", amount: 1900, ...limits }],
      benefits: TEST_CATALOG.benefits,
      purchasable: true,
      premium: true,
    });
  });

  it("says what cannot be bought here", async () => {
    const { json } = await call("GET", "/billing/plans", { catalog: TEST_CATALOG });
    const refused = json.products.filter(({ purchasable }: { purchasable: boolean }) => !purchasable);
    expect(refused.map(({ key }: { key: string }) => key)).toEqual(["seats"]);
  });

  it("shows this project's own products, each text as it is at Polar", async () => {
    const { json } = await call("GET", "/billing/plans");
    const shown = CATALOG.products.filter(({ archived }) => !archived);
    expect(json.currency).toBe(CATALOG.organization.defaultCurrency);
    expect(json.products).toHaveLength(shown.length);
    for (const [index, product] of shown.entries()) {
      const { key, id, name, description, premium } = product;
      expect(json.products[index]).toMatchObject({ key, id, name, description, premium });
      expect(json.products[index].prices).toHaveLength(product.prices.length);
    }
  });
});

describe("GET /healthz", () => {
  it("is well when every migration is applied", async () => {
    const { status, json } = await call("GET", "/healthz");
    expect([status, json]).toEqual([200, { status: "ok" }]);
  });

  it("knows every migration of billing", () => {
    const names = env.TEST_MIGRATIONS.map(({ name }) => name);
    expect(MIGRATIONS).toEqual(names.filter((name) => /^[0-4]\d{3}_billing_/.test(name)));
  });

  it.each(["DELETE FROM d1_migrations", "DROP TABLE d1_migrations"])("is not after %s", async (sql) => {
    await breakStore(sql);
    const { status, json } = await call("GET", "/healthz");
    expect([status, json.error]).toEqual([503, "unavailable"]);
  });

  it("is not while a setting is missing, and only the log says which", async () => {
    const log = vi.spyOn(console, "error").mockReturnValue();
    const { status, json } = await call("GET", "/healthz", { env: bindings({ APP_URL: "" }) });
    expect([status, json.error]).toEqual([503, "unavailable"]);
    expect(JSON.stringify(json)).not.toContain("APP_URL");
    expect(log.mock.calls[0]?.[0]).toContain("APP_URL");
  });
});

describe("access and account", () => {
  it.each(["/billing/access", "/billing/account"])("%s is for signed-in users", async (path) => {
    const { status, json } = await call("GET", path);
    expect([status, json.error]).toEqual([401, "unauthorized"]);
    expect(json).not.toHaveProperty("upgrade_url");
  });

  it("answers for an unknown user without asking Polar", async () => {
    const polar = new PolarStandIn().install();
    const access = await call("GET", "/billing/access", { user: "new" });
    expect(access.json).toMatchObject({ access: false, until: null, products: [], benefits: [] });
    const account = await call("GET", "/billing/account", { user: "new" });
    expect(account.json).toMatchObject({ access: access.json, customer: null, subscriptions: [], orders: [] });
    expect(polar.sent).toEqual([]);
  });

  it("shows each user their own", async () => {
    await addCustomer("c1", "alice");
    await addSubscription("s1", "c1", "00000000-0000-4000-8000-00000000ffff");
    const alice = await call("GET", "/billing/account", { user: "alice" });
    expect(alice.json.customer.id).toBe("c1");
    expect(alice.json.subscriptions).toHaveLength(1);
    const bob = await call("GET", "/billing/account", { user: "bob" });
    expect(bob.json).toMatchObject({ customer: null, subscriptions: [] });
  });
});

describe("bodies", () => {
  it.each([
    ["", "not JSON"],
    ["{", "not JSON"],
    ["[]", "object"],
    ["null", "object"],
    ['"product"', "object"],
    ["\u0000", "not JSON"],
    [Uint8Array.from([0x22, 0xff, 0x22]), "not UTF-8"],
  ])("%j is refused", async (body, message) => {
    const headers = { "Content-Type": "application/json" };
    const answer = await call("POST", "/billing/checkout", { user: "alice", body, headers });
    expect([answer.status, answer.json.error]).toEqual([400, "invalid_body"]);
    expect(answer.json.message).toContain(message);
  });

  it.each(["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""])(
    "of type %j are refused",
    async (type) => {
      const headers = { "Content-Type": type };
      const answer = await call("POST", "/billing/checkout", { user: "alice", body: "{}", headers });
      expect([answer.status, answer.json.error]).toEqual([400, "invalid_body"]);
    },
  );

  it("may name the character set", async () => {
    const headers = { "Content-Type": "Application/JSON; charset=utf-8" };
    const body = { product: "nothing" };
    expect((await call("POST", "/billing/checkout", { user: "alice", body, headers })).status).toBe(404);
  });

  it("end at 16 KB, said beforehand or not", async () => {
    const body = JSON.stringify({ product: "x".repeat(16 * 1024) });
    const said = await call("POST", "/billing/checkout", { user: "alice", body });
    expect([said.status, said.json.error]).toEqual([413, "body_too_large"]);
    const headers = { "Content-Length": "1" };
    expect((await call("POST", "/billing/checkout", { user: "alice", body, headers })).status).toBe(413);
  });
});

describe("paths and methods", () => {
  it.each(["/", "/billing", "/billing/plans/", "/billing/checkout/a/b", "/webhooks", "/admin"])(
    "%s is not found",
    async (path) => {
      const { status, json } = await call("GET", path, { user: "alice" });
      expect([status, json]).toEqual([404, { error: "not_found", message: ERRORS.not_found.message }]);
    },
  );

  it.each([
    ["POST", "/healthz", "GET"],
    ["POST", "/billing/plans", "GET"],
    ["DELETE", "/billing/access", "GET"],
    ["PUT", "/billing/account", "GET"],
    ["GET", "/billing/checkout", "POST"],
    ["DELETE", "/billing/checkout/x", "GET"],
    ["GET", "/billing/portal", "POST"],
    ["GET", "/webhooks/polar", "POST"],
  ])("%s %s is not allowed", async (method, path, allow) => {
    const { status, json, headers } = await call(method, path, { user: "alice" });
    expect([status, json.error, headers.get("Allow")]).toEqual([405, "method_not_allowed", allow]);
  });

  it.each(["/webhooks/polar", "/webhooks/polar/"])(
    "%s answers without a redirect, and wants a signature",
    async (path) => {
      const { status } = await call("POST", path, { body: { type: "order.paid", data: {} } });
      expect(status).toBe(401);
    },
  );
});

describe("CORS", () => {
  const origin = "https://front.example.com";
  const allowing = bindings({ ALLOWED_ORIGINS: `${origin}, https://other.example.com` });

  it("lets no other origin in by default", async () => {
    const { headers } = await call("GET", "/billing/plans", { headers: { Origin: origin } });
    expect(headers.get("Access-Control-Allow-Origin")).toBeNull();
  });

  it.each(["/billing/plans", "/billing/access", "/billing/nothing"])("lets a named one read %s", async (path) => {
    const { headers } = await call("GET", path, { headers: { Origin: origin }, env: allowing });
    expect(headers.get("Access-Control-Allow-Origin")).toBe(origin);
    expect(headers.get("Vary")).toContain("Origin");
  });

  it.each(["https://evil.example.com", "http://front.example.com", `${origin}.evil.example`, "null"])(
    "lets %s not in",
    async (other) => {
      const { headers } = await call("GET", "/billing/plans", { headers: { Origin: other }, env: allowing });
      expect(headers.get("Access-Control-Allow-Origin")).toBeNull();
    },
  );

  it("answers a preflight without signing in", async () => {
    const headers = { Origin: origin, "Access-Control-Request-Method": "POST" };
    const answer = await call("OPTIONS", "/billing/checkout", { headers, env: allowing });
    expect(answer.status).toBe(204);
    expect(answer.headers.get("Access-Control-Allow-Headers")).toContain("Authorization");
  });

  it("does not reach the webhook", async () => {
    const { headers } = await call("POST", "/webhooks/polar", { headers: { Origin: origin }, env: allowing, body: {} });
    expect(headers.get("Access-Control-Allow-Origin")).toBeNull();
  });
});

describe("errors", () => {
  it.each(Object.entries(ERRORS))("%s has a status and a message", async (code, { status, message }) => {
    const response = errorResponse(code as keyof typeof ERRORS);
    expect(response.status).toBe(status);
    expect(await response.json()).toEqual({ error: code, message });
  });

  it("of the store are 503, and tell nothing", async () => {
    const log = vi.spyOn(console, "error").mockReturnValue();
    await breakStore("DROP TABLE billing_customers");
    const { status, json, headers } = await call("GET", "/billing/account", { user: "alice" });
    expect([status, json]).toEqual([503, { error: "unavailable", message: ERRORS.unavailable.message }]);
    expect(headers.get("Retry-After")).toBe("5");
    expect(JSON.stringify(log.mock.calls)).not.toContain("alice");
  });

  it("of our own are 500, and tell nothing", async () => {
    vi.spyOn(console, "error").mockReturnValue();
    const fail = (): never => {
      throw new Error("secret");
    };
    const catalog = Object.defineProperty({ ...TEST_CATALOG }, "products", { get: fail });
    const { status, json } = await call("GET", "/billing/plans", { catalog });
    expect([status, json]).toEqual([500, { error: "internal", message: ERRORS.internal.message }]);
  });
});
