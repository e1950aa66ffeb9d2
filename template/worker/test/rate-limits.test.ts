/** One user, and all users together, leave enough of Polar's limit to the others. */
import { env } from "cloudflare:workers";
import { beforeEach, describe, expect, it } from "vitest";
import { addCustomer, bindings, call } from "./support/app";
import { TEST_CATALOG } from "./support/catalog";
import { PolarStandIn } from "./support/polar-api";

let polar: PolarStandIn;

beforeEach(() => {
  polar = new PolarStandIn().install();
});

const REAL = {
  RATE_LIMITER_CHECKOUT: env.RATE_LIMITER_CHECKOUT,
  RATE_LIMITER_PORTAL: env.RATE_LIMITER_PORTAL,
  RATE_LIMITER_POLLING: env.RATE_LIMITER_POLLING,
};

/** The app's limit of so many calls. */
function appLimit(calls: number) {
  let made = 0;
  return { limit: async () => ({ success: ++made <= calls }) };
}

async function addCheckouts(user: string, count: number): Promise<string[]> {
  const ids = Array.from({ length: count }, () => crypto.randomUUID());
  for (const id of ids) {
    polar.checkouts.set(id, { id, status: "open", customer_id: null });
    await env.DB.prepare("INSERT INTO billing_checkouts (id, user_id, status, created_us) VALUES (?, ?, 'open', 1)")
      .bind(id, user)
      .run();
  }
  return ids;
}

function poll(user: string, id: string, more = {}) {
  return call("GET", `/billing/checkout/${id}`, { user, env: bindings({ ...REAL, ...more }) });
}

describe("a user who loops", () => {
  it("over the status of many checkouts is always answered, of ten calls a minute", async () => {
    const user = crypto.randomUUID();
    const ids = await addCheckouts(user, 15);
    const answers = [];
    for (const id of ids) answers.push(await poll(user, id));
    expect(answers.map(({ status }) => status)).toEqual(Array(15).fill(200));
    expect(answers.map(({ json }) => json.state)).toEqual(Array(15).fill("pending"));
    expect(polar.sent).toHaveLength(10);
  });
});

describe("all users together", () => {
  it("leave the rest of Polar's limit to checkouts", async () => {
    const app = { RATE_LIMITER_APP: appLimit(2) };
    const everything = bindings({ ...REAL, ...app });
    for (const user of ["u1", "u2", "u3"]) {
      const [id = ""] = await addCheckouts(user, 1);
      expect((await poll(user, id, app)).status).toBe(200);
    }
    expect(polar.sent).toHaveLength(2);
    const user = crypto.randomUUID();
    await addCustomer("c1", user);
    const refused = await call("POST", "/billing/portal", { user, body: {}, env: everything });
    expect([refused.status, refused.json.error]).toEqual([503, "unavailable"]);
    expect(refused.headers.get("Retry-After")).toBe("60");
    const body = { product: "book" };
    const options = { user, email: "a@example.com", body, catalog: TEST_CATALOG, env: everything };
    expect((await call("POST", "/billing/checkout", options)).status).toBe(201);
  });
});
