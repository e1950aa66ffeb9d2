/** Tokens as well-known identity providers document them; the other runtime has the same rows and verdicts. */
import { exportJWK, generateKeyPair, SignJWT } from "jose";
import { describe, expect, it, vi } from "vitest";
import { createAuthenticate } from "../src/auth/jwt";
import { readSettings } from "../src/settings";
import { bindings } from "./support/app";
import providers from "./support/identity-providers.json";

type Row = Readonly<{
  name: string;
  environment: Record<string, string | undefined>;
  alg: string;
  parties?: string;
  unnamed?: boolean;
  tokens: readonly { title: string; claims: Record<string, unknown>; refused: string | null }[];
}>;

const rows = (providers as Row[]).flatMap((row) =>
  row.tokens.map((token) => [`${row.name}: ${token.title}`, row, token] as const),
);

describe("a documented token", () => {
  it.each(rows)("%s", async (_title, row, token) => {
    const { privateKey, publicKey } = await generateKeyPair(row.alg, { extractable: true });
    const jwk = await exportJWK(publicKey);
    const signing = { ...jwk, kid: "one", use: "sig", ...(row.unnamed ? {} : { alg: row.alg }) };
    const keys = [{ ...jwk, kid: "one", use: "enc", alg: "RSA-OAEP" }, signing];
    vi.spyOn(globalThis, "fetch").mockImplementation(async () => Response.json({ keys }));
    const logged = vi.spyOn(console, "log").mockReturnValue();
    const parties = row.parties === undefined ? {} : { AUTH_AUTHORIZED_PARTIES: row.parties };
    const env = bindings({ ...row.environment, ...parties } as object);
    const signed = await new SignJWT(token.claims)
      .setProtectedHeader({ alg: row.alg, kid: "one" })
      .setIssuedAt()
      .setExpirationTime("1m")
      .sign(privateKey);
    const request = new Request("https://app.example.com/", { headers: { Authorization: `Bearer ${signed}` } });

    const user = await createAuthenticate(env, readSettings(env))(request);

    expect(user?.id ?? null).toBe(token.refused === null ? token.claims.sub : null);
    const lines = logged.mock.calls.map(([line]) => JSON.parse(String(line)));
    expect(lines).toEqual(token.refused === null ? [] : [{ event: "token_refused", claim: token.refused }]);
  });
});
