import { describe, expect, it } from "vitest";
import { PREMIUM_PATH } from "../src/app";
import { CATALOG } from "../src/billing/catalog";
import { APP_URL, addCustomer, addOrder, addSubscription, call } from "./support/app";

const HELLO = `${PREMIUM_PATH}/hello`;

/** Buys the product for the user, as a subscription or once. */
async function buy(user: string, productId: string): Promise<void> {
  const product = CATALOG.products.find(({ id }) => id === productId);
  await addCustomer(`c_${user}`, user);
  if (product?.recurring === false) await addOrder(`o_${user}`, `c_${user}`, productId);
  else await addSubscription(`s_${user}`, `c_${user}`, productId);
}

function productId(premium: boolean): string {
  return CATALOG.products.find((product) => product.premium === premium)?.id ?? "none";
}

/** Whether there is such a product in this project. */
const sold = (premium: boolean) => productId(premium) !== "none";

describe("premium routes", () => {
  it.each(["GET", "POST"])("answer 401 to nobody, with where to buy (%s)", async (method) => {
    const { status, json, headers } = await call(method, HELLO);
    expect([status, json.error]).toEqual([401, "unauthorized"]);
    expect(json.upgrade_url).toBe(`${APP_URL}/pricing`);
    expect(headers.get("WWW-Authenticate")).toBe("Bearer");
  });

  it("answer 403 to users without access, with where to buy", async () => {
    const { status, json } = await call("GET", HELLO, { user: "alice" });
    expect([status, json.error]).toEqual([403, "no_access"]);
    expect(json.upgrade_url).toBe(`${APP_URL}/pricing`);
  });

  it.runIf(sold(false))("answer 403 to users of other products", async () => {
    await buy("alice", productId(false));
    expect((await call("GET", HELLO, { user: "alice" })).status).toBe(403);
  });

  it("answer 403 to users of a product that is not sold here", async () => {
    await buy("alice", "00000000-0000-4000-8000-00000000ffff");
    expect((await call("GET", HELLO, { user: "alice" })).status).toBe(403);
  });

  it.runIf(sold(true))("let users of a premium product in, and nobody else", async () => {
    await buy("alice", productId(true));
    const { status, json } = await call("GET", HELLO, { user: "alice" });
    expect([status, json]).toEqual([200, { message: expect.any(String) }]);
    expect((await call("GET", HELLO, { user: "bob" })).status).toBe(403);
  });

  it("hide what they have from those who may not come in", async () => {
    expect((await call("GET", `${HELLO}/nothing`)).status).toBe(401);
    expect((await call("GET", `${HELLO}/nothing`, { user: "alice" })).status).toBe(403);
  });
});
