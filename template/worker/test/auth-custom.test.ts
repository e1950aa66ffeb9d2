import { createExecutionContext } from "cloudflare:test";
import { describe, expect, it, vi } from "vitest";
import { createApp } from "../src/app";
import { createAuthenticate } from "../src/auth/custom";
import type { User } from "../src/auth/user";
import { readSettings } from "../src/settings";
import { APP_URL, bindings, call } from "./support/app";
import { TEST_CATALOG } from "./support/catalog";
import { PolarStandIn } from "./support/polar-api";

function signIn(find: () => Promise<User | null>) {
  const env = bindings();
  return createAuthenticate(env, readSettings(env), find)(new Request(APP_URL));
}

describe("custom sign-in", () => {
  it("lets nobody in until it is written", async () => {
    const asked = new Request(`${APP_URL}/billing/access`, {
      headers: { Authorization: "Bearer x", Cookie: "session=x", "X-User": "alice" },
    });
    const { status } = await createApp().fetch(asked, bindings(), createExecutionContext());
    expect(status).toBe(401);
  });

  it("takes the user that it is given", async () => {
    expect(await signIn(async () => ({ id: "alice" }))).toEqual({ id: "alice" });
    expect(await signIn(async () => null)).toBeNull();
  });

  it.each(["", "x".repeat(256), "a\u0000b", undefined, 7])("takes no %j for a user id", async (id) => {
    expect(await signIn(async () => ({ id }) as unknown as User)).toBeNull();
  });

  it("takes an exception for nobody", async () => {
    vi.spyOn(console, "error").mockReturnValue();
    const failing = () => Promise.reject(new Error("the session store is down"));
    expect(await signIn(failing)).toBeNull();
  });
});

describe("a change asked for by a page", () => {
  const front = "https://front.example.com";
  const body = { product: "pro" };

  function buyFrom(headers: Record<string, string>) {
    new PolarStandIn().install();
    const env = bindings({ ALLOWED_ORIGINS: front });
    return call("POST", "/billing/checkout", { user: "alice", catalog: TEST_CATALOG, body, headers, env });
  }

  it.each([APP_URL, front])("is done from %s", async (Origin) => {
    expect((await buyFrom({ Origin, Cookie: "session=x" })).status).toBe(201);
  });

  it.each(["https://evil.example", "null", "", `${APP_URL}.evil.example`])("is refused from %j", async (Origin) => {
    const { status, json } = await buyFrom({ Origin, Cookie: "session=x" });
    expect([status, json.error]).toEqual([403, "forbidden_origin"]);
  });

  it("is done from anywhere with a bearer token, which no other site can send", async () => {
    const Authorization = "Bearer x";
    expect((await buyFrom({ Origin: "https://elsewhere.example", Authorization })).status).toBe(201);
  });

  it("is free to read", async () => {
    const headers = { Origin: "https://evil.example" };
    expect((await call("GET", "/billing/access", { user: "alice", headers })).status).toBe(200);
  });
});
