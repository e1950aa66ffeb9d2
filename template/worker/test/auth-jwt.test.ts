import { createExecutionContext } from "cloudflare:test";
import { exportJWK, generateKeyPair, type JWTPayload, SignJWT, UnsecuredJWT } from "jose";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import example from "../.dev.vars.example?raw";
import { createApp } from "../src/app";
import { createAuthenticate } from "../src/auth/jwt";
import { readSettings } from "../src/settings";
import { bindings } from "./support/app";

const SECRET = "0123456789abcdef0123456789abcdef-of-these-tests";
const EXAMPLE_SECRET = "change-me-to-32-random-bytes-or-more";
const ISSUER = "https://id.example.com/";
const AUDIENCE = "billing";
const JWKS_URL = "https://id.example.com/.well-known/jwks.json";

type Variables = Record<string, string>;

function signIn(variables: Variables) {
  const env = bindings(variables);
  return createAuthenticate(env, readSettings(env));
}

function request(token: string | null, scheme = "Bearer"): Request {
  const headers: HeadersInit = token === null ? {} : { Authorization: `${scheme} ${token}` };
  return new Request("https://app.example.com/", { headers });
}

function hs256(claims: JWTPayload, { alg = "HS256", secret = SECRET, exp = "1h" as string | null } = {}) {
  const jwt = new SignJWT(claims).setProtectedHeader({ alg }).setIssuedAt();
  if (exp !== null) jwt.setExpirationTime(exp);
  return jwt.sign(new TextEncoder().encode(secret));
}

describe("a bearer token signed with the secret", () => {
  const authenticate = signIn({ AUTH_JWT_SECRET: SECRET });

  it("names the user", async () => {
    const token = await hs256({ sub: "alice", email: "a@example.com", name: "Alice" });
    expect(await authenticate(request(token))).toEqual({ id: "alice", email: "a@example.com", name: "Alice" });
    expect(await authenticate(request(token, "bearer"))).not.toBeNull();
  });

  it.each([
    [{ email: "a@example.com", email_verified: false }, undefined],
    [{ email: "a@example.com", email_verified: true }, "a@example.com"],
    [{ email: "nonsense" }, undefined],
    [{ email: 7 }, undefined],
  ])("with %j has the e-mail %s", async (claims, email) => {
    const user = await authenticate(request(await hs256({ sub: "alice", ...claims })));
    expect(user?.id).toBe("alice");
    expect(user?.email).toBe(email);
  });

  it.each(["", " ", "x".repeat(256), "a\u0000b", "a\nb", "\ud800", 7, null, ["alice"], { id: "alice" }])(
    "with the subject %j names nobody",
    async (sub) => {
      const user = await authenticate(request(await hs256({ sub } as JWTPayload)));
      expect(user).toEqual(sub === " " ? { id: " " } : null);
    },
  );

  it("without a subject names nobody", async () => {
    expect(await authenticate(request(await hs256({})))).toBeNull();
  });

  it("that has expired, or never does, names nobody", async () => {
    expect(await authenticate(request(await hs256({ sub: "alice" }, { exp: "1 minute ago" })))).toBeNull();
    expect(await authenticate(request(await hs256({ sub: "alice" }, { exp: null })))).toBeNull();
  });

  it("that is not valid yet names nobody", async () => {
    const nbf = Math.floor(Date.now() / 1000) + 60;
    expect(await authenticate(request(await hs256({ sub: "alice", nbf })))).toBeNull();
  });

  it("with another secret or algorithm names nobody", async () => {
    const other = await hs256({ sub: "alice" }, { secret: `${SECRET}x` });
    const strong = await hs256({ sub: "alice" }, { alg: "HS512", secret: SECRET.repeat(2) });
    const sameSecret = await hs256({ sub: "alice" }, { alg: "HS384", secret: SECRET });
    const none = new UnsecuredJWT({ sub: "alice" }).setExpirationTime("1h").encode();
    for (const token of [other, strong, sameSecret, none]) {
      expect(await authenticate(request(token))).toBeNull();
    }
  });

  it("that was tampered with names nobody", async () => {
    const [header, , signature] = (await hs256({ sub: "alice" })).split(".");
    const exp = Math.floor(Date.now() / 1000) + 3600;
    const payload = btoa(JSON.stringify({ sub: "bob", exp })).replaceAll("=", "");
    expect(await authenticate(request(`${header}.${payload}.${signature}`))).toBeNull();
  });

  it.each([null, "", "x", "a.b.c", "..", "null", "e30.e30."])("%j names nobody", async (token) => {
    expect(await authenticate(request(token))).toBeNull();
  });

  it("counts only as a bearer token", async () => {
    const token = await hs256({ sub: "alice" });
    expect(await authenticate(request(token, "Basic"))).toBeNull();
    expect(await authenticate(new Request(`https://app.example.com/?access_token=${token}`))).toBeNull();
  });

  it("is for us when issuer and audience are set", async () => {
    const strict = signIn({ AUTH_JWT_SECRET: SECRET, AUTH_ISSUER: ISSUER, AUTH_AUDIENCE: AUDIENCE });
    const claims = { sub: "alice", iss: ISSUER, aud: AUDIENCE };
    expect(await strict(request(await hs256(claims)))).toEqual({ id: "alice" });
    for (const wrong of [{ iss: "https://evil.example/" }, { aud: "other" }]) {
      expect(await strict(request(await hs256({ ...claims, ...wrong })))).toBeNull();
    }
    expect(await strict(request(await hs256({ sub: "alice" })))).toBeNull();
  });
});

describe("keys of an identity provider", () => {
  const provider = { AUTH_JWKS_URL: JWKS_URL, AUTH_ISSUER: ISSUER, AUTH_AUDIENCE: AUDIENCE };
  const claims = { sub: "alice", iss: ISSUER, aud: AUDIENCE };
  let served: { keys: object[] };
  let fetched: number;
  let answer: () => Response | Promise<Response>;

  beforeEach(() => {
    served = { keys: [] };
    fetched = 0;
    answer = () => Response.json(served);
    vi.useFakeTimers({ toFake: ["Date"] });
    vi.spyOn(globalThis, "fetch").mockImplementation(async (input) => {
      expect(String(input)).toBe(JWKS_URL);
      fetched++;
      return answer();
    });
  });

  afterEach(() => {
    vi.useRealTimers();
  });

  async function newKey(kid: string, alg = "ES256") {
    const { privateKey, publicKey } = await generateKeyPair(alg, { extractable: true });
    const jwk = { ...(await exportJWK(publicKey)), kid, alg, use: "sig" };
    const sign = (payload: JWTPayload, exp: string | null = "1h") => {
      const jwt = new SignJWT(payload).setProtectedHeader({ alg, kid });
      if (exp !== null) jwt.setExpirationTime(exp);
      return jwt.sign(privateKey);
    };
    return { jwk, sign };
  }

  it.each(["ES256", "RS256", "PS256", "EdDSA"])("sign with %s", async (alg) => {
    const key = await newKey("one", alg);
    served.keys.push(key.jwk);
    const authenticate = signIn(provider);
    expect(await authenticate(request(await key.sign(claims)))).toEqual({ id: "alice" });
  });

  it("are fetched once and kept", async () => {
    const key = await newKey("one");
    served.keys.push(key.jwk);
    const authenticate = signIn(provider);
    for (let i = 0; i < 3; i++) expect(await authenticate(request(await key.sign(claims)))).not.toBeNull();
    expect(fetched).toBe(1);
  });

  it("may change: an unknown key is looked for, at most once a minute", async () => {
    const [old, fresh] = [await newKey("old"), await newKey("fresh")];
    served.keys.push(old.jwk);
    const authenticate = signIn(provider);
    await authenticate(request(await old.sign(claims)));
    served = { keys: [fresh.jwk] };
    const token = await fresh.sign(claims);
    for (let i = 0; i < 5; i++) expect(await authenticate(request(token))).toBeNull();
    expect(fetched).toBe(1);
    vi.setSystemTime(Date.now() + 61_000);
    expect(await authenticate(request(token))).toEqual({ id: "alice" });
    expect(fetched).toBe(2);
    expect(await authenticate(request(await old.sign(claims)))).toBeNull();
    expect(fetched).toBe(2);
  });

  it("do not make a secret of a public key", async () => {
    const key = await newKey("one", "RS256");
    served.keys.push(key.jwk);
    const authenticate = signIn(provider);
    for (const secret of [JSON.stringify(key.jwk), String((key.jwk as { n?: string }).n), SECRET]) {
      expect(await authenticate(request(await hs256(claims, { secret })))).toBeNull();
      const jwt = new SignJWT(claims).setProtectedHeader({ alg: "HS256", kid: "one" }).setExpirationTime("1h");
      expect(await authenticate(request(await jwt.sign(new TextEncoder().encode(secret))))).toBeNull();
    }
    const none = new UnsecuredJWT(claims).setExpirationTime("1h").encode();
    expect(await authenticate(request(none))).toBeNull();
  });

  it("need issuer, audience and an end", async () => {
    const key = await newKey("one");
    served.keys.push(key.jwk);
    const authenticate = signIn(provider);
    const { iss: _, ...noIssuer } = claims;
    const { aud: __, ...noAudience } = claims;
    const wrong = [noIssuer, noAudience, { ...claims, iss: "x" }, { ...claims, aud: ["x"] }];
    for (const payload of wrong) expect(await authenticate(request(await key.sign(payload)))).toBeNull();
    expect(await authenticate(request(await key.sign(claims, null)))).toBeNull();
    expect(await authenticate(request(await key.sign(claims, "1 minute ago")))).toBeNull();
    expect(await authenticate(request(await key.sign(claims)))).not.toBeNull();
  });

  it.each([
    () => new Response("<html>", { status: 200 }),
    () => new Response(null, { status: 500 }),
    () => Response.json({ keys: "none" }),
    () => Promise.reject(new TypeError("unreachable")),
  ])("that cannot be had are 503, not 401 (%#)", async (failing: () => Response | Promise<Response>) => {
    vi.spyOn(console, "error").mockReturnValue();
    answer = failing;
    const key = await newKey("one");
    const token = await key.sign(claims);
    await expect(signIn(provider)(request(token))).rejects.toMatchObject({ code: "unavailable" });
  });
});

describe("sign-in settings", () => {
  const jwks = { AUTH_JWKS_URL: JWKS_URL, AUTH_ISSUER: ISSUER, AUTH_AUDIENCE: AUDIENCE };

  it.each<[Variables, RegExp]>([
    [{}, /^AUTH_JWT_SECRET, AUTH_JWKS_URL: /],
    [{ ...jwks, AUTH_JWT_SECRET: SECRET }, /^AUTH_JWT_SECRET, AUTH_JWKS_URL: /],
    [{ AUTH_JWT_SECRET: "short" }, /^AUTH_JWT_SECRET: /],
    [{ AUTH_JWT_SECRET: "ab".repeat(40) }, /^AUTH_JWT_SECRET: /],
    [{ AUTH_JWT_SECRET: EXAMPLE_SECRET }, /^AUTH_JWT_SECRET: /],
    [{ AUTH_JWT_SECRET: SECRET, POLAR_SERVER: "production" }, /^AUTH_JWT_SECRET: /],
    [{ ...jwks, AUTH_ISSUER: "" }, /^AUTH_ISSUER: /],
    [{ ...jwks, AUTH_AUDIENCE: " " }, /^AUTH_AUDIENCE: /],
    [{ ...jwks, AUTH_JWKS_URL: "http://id.example.com/jwks" }, /^AUTH_JWKS_URL: /],
    [{ ...jwks, AUTH_JWKS_URL: "id.example.com" }, /^AUTH_JWKS_URL: /],
    [{ ...jwks, AUTH_JWKS_URL: "http://127.0.0.1:9/jwks", POLAR_SERVER: "production" }, /^AUTH_JWKS_URL: /],
  ])("%j are refused", (variables, message) => {
    expect(() => signIn(variables)).toThrow(message);
  });

  it("take keys from this machine in development, and from anywhere by https in production", () => {
    expect(() => signIn({ ...jwks, AUTH_JWKS_URL: "http://127.0.0.1:9/jwks" })).not.toThrow();
    expect(() => signIn({ ...jwks, POLAR_SERVER: "production" })).not.toThrow();
  });

  it("know the example's secret", () => {
    expect(example).toContain(`\nAUTH_JWT_SECRET=${EXAMPLE_SECRET}\n`);
  });

  it("that are unsafe make the whole Worker unavailable", async () => {
    vi.spyOn(console, "error").mockReturnValue();
    const env = bindings({ AUTH_JWT_SECRET: EXAMPLE_SECRET } as Variables);
    for (const path of ["/healthz", "/billing/plans", "/webhooks/polar"]) {
      const asked = new Request(`https://app.example.com${path}`);
      expect((await createApp().fetch(asked, env, createExecutionContext())).status).toBe(503);
    }
  });

  it("are those of the application", async () => {
    const env = bindings({ AUTH_JWT_SECRET: SECRET } as Variables);
    const token = await hs256({ sub: "alice" });
    for (const [headers, expected] of [
      [{ Authorization: `Bearer ${token}` }, 200],
      [{}, 401],
    ] as const) {
      const asked = new Request("https://app.example.com/billing/access", { headers });
      expect((await createApp().fetch(asked, env, createExecutionContext())).status).toBe(expected);
    }
  });
});
