import { beforeEach, describe, expect, it } from "vitest";
import { PolarApi, PolarApiError } from "../src/billing/polar";
import { PolarGone } from "../src/billing/reconcile";
import { json, POLAR_URL, PolarStandIn, TOKEN } from "./support/polar-api";

const CUSTOMER = "63675639-d3c2-4715-8507-3e8b6e9241ee";
let polar: PolarStandIn;
let api: PolarApi;

beforeEach(() => {
  polar = new PolarStandIn().install();
  api = new PolarApi({ accessToken: TOKEN, environment: "sandbox", baseUrl: POLAR_URL });
});

const LISTS = ["subscriptions", "orders", "grants"] as const;
const READS = ["customerState", ...LISTS] as const;

describe("reading a customer", () => {
  it("reads the state by Polar's own id", async () => {
    const { id } = polar.addCustomer("alice", "a@example.com");
    expect(await api.customerState(String(id))).toMatchObject({ external_id: "alice" });
    expect(polar.sent[0]?.path).toBe(`/v1/customers/${id}/state`);
  });

  it("reads every page of a list, a hundred at a time", async () => {
    for (let i = 0; i < 250; i++) polar.addSubscription(CUSTOMER, "p");
    polar.addSubscription("another", "p");
    expect(await api.subscriptions(CUSTOMER)).toHaveLength(250);
    expect(polar.sent.map(({ query }) => [query.get("page"), query.get("limit"), query.get("customer_id")])).toEqual([
      ["1", "100", CUSTOMER],
      ["2", "100", CUSTOMER],
      ["3", "100", CUSTOMER],
    ]);
  });

  it.each(LISTS)("takes an empty list of %s for what it is", async (list) => {
    expect(await api[list](CUSTOMER)).toEqual([]);
    expect(polar.sent).toHaveLength(1);
  });

  it("does not follow pages without end", async () => {
    polar.interrupt = () => json(200, { items: [{}], pagination: { total_count: 1e9, max_page: 1e9 } });
    await expect(api.orders(CUSTOMER)).rejects.toMatchObject({ error: "TooManyPages" });
    expect(polar.sent.length).toBeLessThanOrEqual(50);
  });
});

describe("what Polar answers instead", () => {
  it.each(READS)("is gone for %s only when it says so", async (read) => {
    polar.interrupt = () => json(404, { error: "ResourceNotFound", detail: "Not found" });
    await expect(api[read](CUSTOMER)).rejects.toBeInstanceOf(PolarGone);
  });

  it.each([
    [404, () => json(404, { detail: "Not Found" })],
    [401, () => json(401, { error: "invalid_token" })],
    [403, () => json(403, { error: "insufficient_scope" })],
    [429, () => new Response(null, { status: 429 })],
    [500, () => json(503, { error: "ResourceNotFound" })],
    [expect.any(Number), () => new Response("<html>", { status: 404 })],
    [200, () => new Response("<html>", { status: 200 })],
    [200, () => json(200, null)],
    [0, () => Promise.reject(new TypeError("unreachable"))],
  ])("is otherwise an error that changes nothing (%#)", async (status, answer) => {
    polar.interrupt = answer as () => Response;
    for (const read of READS) {
      const error = await api[read](CUSTOMER).catch((reason: unknown) => reason);
      expect(error).toBeInstanceOf(PolarApiError);
      expect(error).toMatchObject({ status });
    }
  });

  it.each([
    {},
    { items: null, pagination: { max_page: 0 } },
    { items: [7], pagination: { max_page: 1 } },
    { items: [] },
  ])("is no list: %j", async (body) => {
    polar.interrupt = () => json(200, body);
    for (const list of LISTS) await expect(api[list](CUSTOMER)).rejects.toBeInstanceOf(PolarApiError);
  });

  it("has a name, a detail and a waiting time", async () => {
    polar.interrupt = () => json(403, { error: "AlreadyCanceledSubscription", detail: "text" });
    await expect(api.updateSubscription("s1", { cancel_at_period_end: true })).rejects.toMatchObject({
      status: 403,
      error: "AlreadyCanceledSubscription",
      detail: "text",
    });
    polar.interrupt = () => new Response(null, { status: 429, headers: { "Retry-After": "60" } });
    await expect(api.checkout("c1")).rejects.toMatchObject({ status: 429, retryAfter: 60 });
  });

  it("never has the token in it", async () => {
    polar.interrupt = () => json(401, { error: "invalid_token" });
    const error = await api.checkout("c1").catch(String);
    expect(error).not.toContain(TOKEN);
  });
});
