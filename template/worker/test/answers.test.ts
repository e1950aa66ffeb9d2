/** Headers of every answer: no cache keeps what depends on the user. */
import { describe, expect, it, vi } from "vitest";
import { PREMIUM_PATH } from "../src/app";
import { bindings, call } from "./support/app";

const PAGE = "https://www.example.com";

describe("an answer that depends on the user", () => {
  const routes = [
    ["GET", "/billing/access"],
    ["GET", "/billing/account"],
    ["GET", "/billing/checkout/unknown"],
    ["POST", "/billing/checkout"],
    ["POST", "/billing/portal"],
    ["DELETE", "/billing/access"],
    ["DELETE", "/billing/plans"],
    ["GET", "/billing/unknown"],
    ["GET", `${PREMIUM_PATH}/hello`],
    ["GET", `${PREMIUM_PATH}/unknown`],
  ] as const;

  it.each(routes)("is kept by no cache: %s %s", async (method, path) => {
    for (const user of [{ user: "user_1" }, {}]) {
      const { headers } = await call(method, path, user);
      expect(headers.get("Cache-Control")).toBe("no-store");
      expect(headers.get("X-Content-Type-Options")).toBe("nosniff");
    }
  });

  it("can be read by a page when something broke", async () => {
    vi.spyOn(console, "error").mockReturnValue();
    const env = bindings({ ALLOWED_ORIGINS: PAGE, DB: {} as D1Database });
    const { status, headers } = await call("GET", "/billing/access", { user: "u", env, headers: { Origin: PAGE } });
    expect(status).toBeGreaterThanOrEqual(500);
    expect(headers.get("Access-Control-Allow-Origin")).toBe(PAGE);
    expect(headers.get("Cache-Control")).toBe("no-store");
  });
});

it("plans may be kept", async () => {
  const { headers } = await call("GET", "/billing/plans");
  expect(headers.get("Cache-Control")).toBeNull();
  expect(headers.get("X-Content-Type-Options")).toBe("nosniff");
});
