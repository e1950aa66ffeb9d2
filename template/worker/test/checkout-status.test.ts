import { env } from "cloudflare:workers";
import { beforeEach, describe, expect, it, vi } from "vitest";
import { runBackground } from "../src/billing/background";
import { PolarApi } from "../src/billing/polar";
import { addCustomer, addSubscription, bindings, call } from "./support/app";
import { PRODUCTS, TEST_CATALOG } from "./support/catalog";
import { json, POLAR_URL, PolarStandIn, TOKEN } from "./support/polar-api";

const ID = "0672e1eb-5868-4fd2-a5f9-3e64fd67f7d5";
let polar: PolarStandIn;

beforeEach(async () => {
  polar = new PolarStandIn().install();
  await addRow("open");
});

async function addRow(status: string): Promise<void> {
  await env.DB.prepare(
    "INSERT OR REPLACE INTO billing_checkouts (id, user_id, status, created_us) VALUES (?, 'alice', ?, 1)",
  )
    .bind(ID, status)
    .run();
}

function atPolar(status: string, more = {}): void {
  polar.checkouts.set(ID, { id: ID, status, customer_id: "c1", ...more });
}

function ask(user = "alice", id = ID, options = {}) {
  return call("GET", `/billing/checkout/${id}`, { user, ...options });
}

function row() {
  return env.DB.prepare("SELECT status, version FROM billing_checkouts WHERE id = ?").bind(ID).first();
}

describe("the state of a checkout", () => {
  it.each([
    ["open", "pending"],
    ["confirmed", "confirmed"],
    ["succeeded", "confirmed"],
    ["failed", "failed"],
    ["expired", "expired"],
  ])("%s at Polar is %s without a purchase", async (status, state) => {
    atPolar(status);
    expect((await ask()).json).toEqual({ state, access: false });
    expect(await row()).toEqual({ status, version: 0 });
  });

  it.each(["succeeded", "failed", "expired"])("%s is final: Polar is not asked", async (status) => {
    await addRow(status);
    expect((await ask()).json.state).toBe(status === "succeeded" ? "confirmed" : status);
    expect(polar.sent).toEqual([]);
  });

  it("is succeeded only with the purchase, whatever that gives, or with access", async () => {
    await addRow("succeeded");
    await addCustomer("c1", "alice");
    await addSubscription("s1", "c1", PRODUCTS.free.id, { checkout_id: ID });
    expect((await ask("alice", ID, { catalog: TEST_CATALOG })).json).toEqual({ state: "succeeded", access: false });
    await env.DB.prepare("UPDATE billing_subscriptions SET checkout_id = NULL").run();
    expect((await ask("alice", ID, { catalog: TEST_CATALOG })).json).toEqual({ state: "confirmed", access: false });
    await env.DB.prepare("UPDATE billing_subscriptions SET product_id = ?").bind(PRODUCTS.pro.id).run();
    expect((await ask("alice", ID, { catalog: TEST_CATALOG })).json).toEqual({ state: "succeeded", access: true });
  });

  it("is not found for another user, for an unknown id, and for what is no id", async () => {
    expect((await ask("mallory")).status).toBe(404);
    expect((await ask("alice", "11111111-1111-4111-8111-111111111111")).status).toBe(404);
    for (const id of ["x", "..%2F..", "%00", "%", `${ID}'--`]) expect((await ask("alice", id)).status).toBe(404);
    expect(polar.sent).toEqual([]);
  });

  it("asks Polar once in two seconds, whoever asks us", async () => {
    atPolar("open");
    await Promise.all([ask(), ask(), ask()]);
    await ask();
    expect(polar.sent).toHaveLength(1);
    const later = Date.now() + 2001;
    vi.spyOn(Date, "now").mockReturnValue(later);
    await ask();
    expect(polar.sent).toHaveLength(2);
  });

  it.each([
    () => json(500, {}),
    () => json(404, { detail: "Not Found" }),
    () => json(200, { status: "new_status" }),
    () => json(200, { status: null }),
    () => new Response("<html>"),
    () => new Response(null, { status: 429 }),
    () => Promise.reject(new TypeError("connection lost")),
  ])("stands when Polar fails (%#)", async (answer: () => Response | Promise<Response>) => {
    vi.spyOn(console, "error").mockReturnValue();
    polar.interrupt = answer;
    expect((await ask()).json).toEqual({ state: "pending", access: false });
    expect(await row()).toEqual({ status: "open", version: 0 });
  });

  it("gives way to an event that comes while Polar is asked", async () => {
    atPolar("confirmed");
    polar.interrupt = async () => {
      await env.DB.prepare("UPDATE billing_checkouts SET status = 'succeeded', version = 9").run();
      return undefined as unknown as Response;
    };
    await ask();
    expect(await row()).toEqual({ status: "succeeded", version: 9 });
  });

  it("is what we know while the products are demo products", async () => {
    expect((await ask("alice", ID, { env: bindings({ POLAR_SERVER: "demo" }) })).json.state).toBe("pending");
    expect(polar.sent).toEqual([]);
  });
});

describe("a purchase that we have not heard of", () => {
  function askWithCatalog() {
    return ask("alice", ID, { catalog: TEST_CATALOG });
  }

  function mark() {
    return env.DB.prepare("SELECT reconcile_us FROM billing_customers WHERE id = 'c1'").first("reconcile_us");
  }

  it("has its customer reconciled, known or not", async () => {
    atPolar("succeeded");
    await ask();
    expect(await mark()).toBeGreaterThan(0);
  });

  it("gives access as soon as it was reconciled, without any event", async () => {
    const id = String(polar.addCustomer("alice", "a@example.com").id);
    const end = new Date(Date.now() + 86_400_000).toISOString();
    polar.addSubscription(id, PRODUCTS.pro.id, { checkout_id: ID, current_period_end: end });
    atPolar("succeeded", { customer_id: id });
    expect((await askWithCatalog()).json).toEqual({ state: "confirmed", access: false });
    const api = new PolarApi({ accessToken: TOKEN, environment: "sandbox", baseUrl: POLAR_URL });
    await runBackground(env.DB, { polar: api, reactions: {}, retentionDays: 90, callsPerRun: 40 }, Date.now() * 1000);
    expect((await askWithCatalog()).json).toEqual({ state: "succeeded", access: true });
  });

  it("does not move a mark that is there", async () => {
    await addCustomer("c1", "alice");
    await env.DB.prepare("UPDATE billing_customers SET reconcile_us = 5").run();
    atPolar("succeeded");
    await ask();
    expect(await mark()).toBe(5);
  });

  it("is no matter when its subscription is there", async () => {
    await addCustomer("c1", "alice");
    await addSubscription("s1", "c1", PRODUCTS.pro.id, { checkout_id: ID });
    atPolar("succeeded");
    await ask();
    expect(await mark()).toBeNull();
  });
});

describe("a checkout that nobody polls", () => {
  const CREATED = 1_795_000_000_000_000;
  const MINUTE = 60_000_000;
  const api = new PolarApi({ accessToken: TOKEN, environment: "sandbox", baseUrl: POLAR_URL });

  beforeEach(() => env.DB.prepare("UPDATE billing_checkouts SET created_us = ?").bind(CREATED).run());

  function run(minutes: number, reader: PolarApi = api) {
    const deps = { polar: reader, reactions: {}, retentionDays: 90, callsPerRun: 40 };
    return runBackground(env.DB, deps, CREATED + minutes * MINUTE);
  }

  function asked() {
    return polar.requests("GET", "/v1/checkouts/").length;
  }

  it("is asked about after ten minutes, an hour, six, and when it has ended", async () => {
    atPolar("open");
    const counts = [];
    for (const minutes of [9, 10, 11, 59, 60, 61, 359, 360, 1499, 1500, 1501, 4000]) {
      await run(minutes);
      counts.push(asked());
    }
    expect(counts).toEqual([0, 1, 1, 1, 2, 2, 2, 3, 3, 4, 4, 4]);
  });

  it("has its customer reconciled where it succeeded, though the buyer has no customer here", async () => {
    const id = String(polar.addCustomer("alice", "a@example.com").id);
    const end = new Date(CREATED / 1000 + 86_400_000).toISOString();
    polar.addSubscription(id, PRODUCTS.pro.id, { checkout_id: ID, current_period_end: end });
    atPolar("succeeded", { customer_id: id });
    await run(10);
    const bought = await env.DB.prepare("SELECT checkout_id FROM billing_subscriptions").first("checkout_id");
    expect(bought).toBe(ID);
    await run(60);
    expect(asked()).toBe(1);
  });

  it("is asked about again at once when Polar is back", async () => {
    vi.spyOn(console, "error").mockReturnValue();
    atPolar("open");
    polar.interrupt = () => json(503, {});
    await expect(run(10)).rejects.toThrow();
    polar.interrupt = undefined;
    await run(11);
    await run(12);
    expect(asked()).toBe(2);
  });

  it("does not stop the others when Polar does not know it", async () => {
    vi.spyOn(console, "error").mockReturnValue();
    const other = ID.replace("0", "1");
    await env.DB.prepare("INSERT INTO billing_checkouts (id, user_id, status, created_us) VALUES (?, 'bob', 'open', ?)")
      .bind(other, CREATED - 1)
      .run();
    polar.checkouts.set(other, { id: other, status: "expired" });
    await run(11);
    const { results } = await env.DB.prepare("SELECT status FROM billing_checkouts ORDER BY created_us").all();
    expect(results).toEqual([{ status: "expired" }, { status: "open" }]);
  });
});
