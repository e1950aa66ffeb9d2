/** The provider's keys over time: what they may be, and what happens while the provider is slow or down. */
import { exportJWK, generateKeyPair, type JWTPayload, SignJWT } from "jose";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { createAuthenticate } from "../src/auth/jwt";
import { ProviderKeys } from "../src/auth/provider-keys";
import { readSettings } from "../src/settings";
import { bindings } from "./support/app";

const ISSUER = "https://id.example.com/";
const URL_OF_KEYS = "https://id.example.com/.well-known/jwks.json";
const HOUR = 3_600_000;
const REFUSED = null;

let served: unknown;
let status: number;
let fetches: number;
let agent: string | null;
let errors: ReturnType<typeof vi.spyOn>;

beforeEach(() => {
  [served, status, fetches, agent] = [{ keys: [] }, 200, 0, null];
  vi.useFakeTimers({ toFake: ["Date"] });
  errors = vi.spyOn(console, "error").mockReturnValue();
  vi.spyOn(console, "log").mockReturnValue();
  vi.spyOn(globalThis, "fetch").mockImplementation(async (input, init) => {
    fetches++;
    agent = new Request(input, init).headers.get("User-Agent");
    await new Promise((resolve) => setTimeout(resolve, 20));
    return Response.json(served, { status });
  });
});

afterEach(() => {
  vi.useRealTimers();
});

function signIn() {
  const env = bindings({ AUTH_JWKS_URL: URL_OF_KEYS, AUTH_ISSUER: ISSUER, AUTH_AUDIENCE: "billing" } as object);
  const authenticate = createAuthenticate(env, readSettings(env));
  return async (token: string) => {
    const request = new Request("https://app.example.com/", { headers: { Authorization: `Bearer ${token}` } });
    return (await authenticate(request))?.id ?? null;
  };
}

async function newKey(alg = "ES256", kid = "one") {
  const { privateKey, publicKey } = await generateKeyPair(alg, { extractable: true });
  const jwk = { ...(await exportJWK(publicKey)), kid };
  const sign = (more: JWTPayload = {}, named = alg) => {
    const now = Math.floor(Date.now() / 1000);
    const claims = { sub: "alice", iss: ISSUER, aud: "billing", exp: now + 60, ...more };
    return new SignJWT(claims).setProtectedHeader({ alg: named, kid }).sign(privateKey);
  };
  return { jwk, sign };
}

describe("an instant", () => {
  it.each([
    [{ nbf: 3 }, "alice"],
    [{ nbf: 9 }, REFUSED],
    [{ iat: 3 }, "alice"],
    [{ iat: 9 }, REFUSED],
    [{ exp: -2 }, "alice"],
    [{ exp: -6 }, REFUSED],
  ])("is forgiven five seconds: %j", async (more, answer) => {
    const key = await newKey();
    served = { keys: [key.jwk] };
    const now = Math.floor(Date.now() / 1000);
    const moved = Object.fromEntries(Object.entries(more).map(([name, seconds]) => [name, now + seconds]));
    expect(await signIn()(await key.sign(moved))).toBe(answer);
  });
});

describe("a key", () => {
  it.each(["EdDSA", "Ed25519"].flatMap((token) => ["EdDSA", "Ed25519", undefined].map((key) => [token, key] as const)))(
    "of Ed25519 has two names: %s in the token, %s in the key",
    async (ofToken, ofKey) => {
      const key = await newKey("Ed25519");
      served = { keys: [{ ...key.jwk, ...(ofKey === undefined ? {} : { alg: ofKey }) }] };
      expect(await signIn()(await key.sign({}, ofToken))).toBe("alice");
    },
  );

  it("of RSA with 1024 bits is not trusted", async () => {
    const { publicKey } = (await crypto.subtle.generateKey(
      {
        name: "RSASSA-PKCS1-v1_5",
        modulusLength: 1024,
        publicExponent: new Uint8Array([1, 0, 1]),
        hash: "SHA-256",
      },
      true,
      ["sign", "verify"],
    )) as CryptoKeyPair;
    served = { keys: [{ ...((await crypto.subtle.exportKey("jwk", publicKey)) as JsonWebKey), kid: "one" }] };
    const token = await (await newKey("RS256")).sign();
    expect(await signIn()(token)).toBe(REFUSED);
  });

  it.each([
    { use: "enc" },
    { alg: "RS512" },
    { key_ops: ["sign"] },
    { kid: "other" },
    { kty: "EC" },
    { n: "?" },
    { d: "x" },
  ])("for something else is not used: %j", async (more) => {
    const key = await newKey("RS256");
    served = { keys: [{ ...key.jwk, ...more }] };
    const answer = await signIn()(await key.sign()).catch((error) => error.code);
    expect(answer).toBe("d" in more ? "unavailable" : REFUSED);
  });

  it("of an unknown kind is passed over", async () => {
    const key = await newKey();
    served = { keys: [{ kty: "AKP", alg: "ML-DSA-44", pub: "x" }, { kty: "oct", k: "x" }, "text", null, key.jwk] };
    expect(await signIn()(await key.sign())).toBe("alice");
  });
});

describe("a provider that is down", () => {
  it("costs nobody the sign-in: known keys serve on for hours", async () => {
    const key = await newKey();
    served = { keys: [key.jwk] };
    const ask = signIn();
    const began = Date.now();
    expect(await ask(await key.sign())).toBe("alice");
    status = 500;
    for (let hour = 1; hour <= 10; hour++) {
      vi.setSystemTime(began + hour * HOUR);
      for (let i = 0; i < 5; i++) expect(await ask(await key.sign())).toBe("alice");
      expect(fetches).toBe(1 + hour);
    }
    expect(JSON.parse(String(errors.mock.calls[0]?.[0]))).toEqual({
      event: "jwks_unavailable",
      host: "id.example.com",
      status: 500,
    });
    vi.setSystemTime(began + 12 * HOUR);
    await expect(ask(await key.sign())).rejects.toMatchObject({ code: "unavailable" });
  });

  it("is asked by one request at a time, and not again at once", async () => {
    const key = await newKey();
    status = 500;
    const ask = signIn();
    const token = await key.sign();
    const answers = await Promise.allSettled(Array.from({ length: 60 }, () => ask(token)));
    expect(answers.every(({ status: state }) => state === "rejected")).toBe(true);
    expect(fetches).toBe(1);
    [served, status] = [{ keys: [key.jwk] }, 200];
    vi.setSystemTime(Date.now() + 5000);
    expect(await Promise.all(Array.from({ length: 60 }, () => ask(token)))).toEqual(Array(60).fill("alice"));
    expect(fetches).toBe(2);
  });

  it("does not keep a key that it took back", async () => {
    const [old, fresh] = [await newKey(), await newKey("ES256", "two")];
    served = { keys: [old.jwk] };
    const ask = signIn();
    expect(await ask(await old.sign())).toBe("alice");
    served = { keys: [fresh.jwk] };
    vi.setSystemTime(Date.now() + 600_000);
    expect(await ask(await old.sign())).toBe(REFUSED);
  });
});

describe("the request for the keys", () => {
  it("says who asks", async () => {
    await signIn()(await (await newKey()).sign()).catch(() => null);
    expect(agent).toBe("polar-billing/1.0");
  });

  it("has a deadline for all of it", async () => {
    vi.mocked(globalThis.fetch).mockImplementation(async (_input, init) => {
      const drip = new ReadableStream({
        async pull(controller) {
          await new Promise((resolve) => setTimeout(resolve, 20));
          if (init?.signal?.aborted) controller.error(init.signal.reason);
          else controller.enqueue(new TextEncoder().encode(" "));
        },
      });
      return new Response(drip);
    });
    const keys = new ProviderKeys(new URL(URL_OF_KEYS), 300);
    await expect(keys.find({ alg: "ES256", kid: "one" }, { payload: "", signature: "" })).rejects.toThrow();
    expect(JSON.parse(String(errors.mock.calls[0]?.[0]))).toMatchObject({ error: "TimeoutError" });
  });
});
