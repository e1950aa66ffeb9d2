/** Sign-in by bearer token: an HS256 secret in development, the keys of your identity provider (JWKS) everywhere. */
import { compactVerify, errors as joseErrors } from "jose";
import { ApiError } from "../billing/errors";
import { logInfo } from "../billing/log";
import { type Bindings, isLoopback, type Settings } from "../settings";
import { isAddress, isExample, readList, readValue, SettingsError } from "../values";
import { type Expected, wrongClaim } from "./claims";
import { ALGORITHMS, KeysUnavailable, ProviderKeys } from "./provider-keys";
import { type Authenticate, type User, userFromClaims } from "./user";

const MIN_SECRET_BYTES = 32;
/** Different ones; a random secret has more. */
const MIN_SECRET_CHARACTERS = 8;

/** Exactly one of the first two; the keys of a provider need the others too. */
interface JwtVariables {
  readonly AUTH_JWT_SECRET?: string;
  readonly AUTH_JWKS_URL?: string;
  readonly AUTH_ISSUER?: string;
  readonly AUTH_AUDIENCE?: string;
  readonly AUTH_AUTHORIZED_PARTIES?: string;
}

/** Returns what a token says, once its signature holds. */
type Open = (token: string) => Promise<Readonly<Record<string, unknown>>>;

/** Checks the sign-in settings and returns the function that tells who sent a request. */
export function createAuthenticate(env: Bindings & JwtVariables, settings: Settings): Authenticate {
  const expected = {
    issuer: readValue("AUTH_ISSUER", env.AUTH_ISSUER),
    audience: readValue("AUTH_AUDIENCE", env.AUTH_AUDIENCE, "text"),
    parties: readList("AUTH_AUTHORIZED_PARTIES", env.AUTH_AUTHORIZED_PARTIES),
  };
  const open = createOpen(env, settings, expected);
  return async (request) => {
    const token = bearerToken(request);
    return token === null ? null : userOf(token, open, expected);
  };
}

function createOpen(env: JwtVariables, settings: Settings, expected: Expected): Open {
  const secret = readValue("AUTH_JWT_SECRET", env.AUTH_JWT_SECRET, "text");
  const jwksUrl = readValue("AUTH_JWKS_URL", env.AUTH_JWKS_URL);
  if (secret !== undefined && jwksUrl === undefined) return openWithSecret(secret, settings);
  if (secret === undefined && jwksUrl !== undefined) return openWithKeys(jwksUrl, settings, expected);
  throw new SettingsError("AUTH_JWT_SECRET, AUTH_JWKS_URL: exactly one of them is required.");
}

function openWithSecret(secret: string, settings: Settings): Open {
  if (settings.server === "production") {
    throw new SettingsError("AUTH_JWT_SECRET: for development only; use AUTH_JWKS_URL when POLAR_SERVER=production.");
  }
  const key = new TextEncoder().encode(secret);
  if (key.length < MIN_SECRET_BYTES || new Set(secret).size < MIN_SECRET_CHARACTERS || isExample(secret)) {
    throw new SettingsError(
      `AUTH_JWT_SECRET: must be a random value of at least ${MIN_SECRET_BYTES} bytes, not the example.`,
    );
  }
  return async (token) => claimsIn(await compactVerify(token, key, { algorithms: ["HS256"] }));
}

function openWithKeys(address: string, settings: Settings, { issuer, audience, parties }: Expected): Open {
  const url = isAddress(address) ? new URL(address) : undefined;
  const isLocal = url !== undefined && isLoopback(url) && settings.server !== "production";
  if (url === undefined || (url.protocol !== "https:" && !isLocal)) {
    throw new SettingsError("AUTH_JWKS_URL: must be an https address.");
  }
  if (issuer === undefined) throw new SettingsError("AUTH_ISSUER: required with AUTH_JWKS_URL.");
  if (audience === undefined && parties.length === 0) {
    throw new SettingsError("AUTH_AUDIENCE: required with AUTH_JWKS_URL, unless AUTH_AUTHORIZED_PARTIES is set.");
  }
  const keys = new ProviderKeys(url);
  return async (token) => {
    const find: typeof keys.find = (header, input) => keys.find(header, input);
    return claimsIn(await compactVerify(token, find, { algorithms: ALGORITHMS }));
  };
}

function claimsIn({ payload, protectedHeader }: { payload: Uint8Array; protectedHeader: { b64?: boolean } }) {
  const claims: unknown = JSON.parse(new TextDecoder("utf-8", { fatal: true, ignoreBOM: false }).decode(payload));
  if (protectedHeader.b64 === false || typeof claims !== "object" || claims === null || Array.isArray(claims)) {
    throw new TypeError("the claims are no object");
  }
  return claims as Record<string, unknown>;
}

function bearerToken(request: Request): string | null {
  const header = request.headers.get("Authorization") ?? "";
  return /^Bearer +([A-Za-z0-9._~+/=-]+)$/i.exec(header)?.[1] ?? null;
}

/** The user of a token, or null. What was wrong with it is logged, and none of its values. */
async function userOf(token: string, open: Open, expected: Expected): Promise<User | null> {
  let claims: Readonly<Record<string, unknown>>;
  try {
    claims = await open(token);
  } catch (error) {
    if (error instanceof KeysUnavailable) throw new ApiError("unavailable", { retryAfter: 5 });
    logInfo("token_refused", { reason: reasonOf(error) });
    return null;
  }
  const wrong = wrongClaim(claims, expected, Math.floor(Date.now() / 1000));
  if (wrong === null) return userFromClaims(claims);
  logInfo("token_refused", { claim: wrong });
  return null;
}

function reasonOf(error: unknown): string {
  if (error instanceof joseErrors.JWSSignatureVerificationFailed) return "signature";
  const isKey = error instanceof joseErrors.JWKSNoMatchingKey || error instanceof joseErrors.JWKSMultipleMatchingKeys;
  return isKey ? "key" : "malformed";
}
