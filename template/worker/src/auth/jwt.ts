/** Sign-in by bearer token: an HS256 secret in development, the keys of your identity provider (JWKS) everywhere. */
import { createRemoteJWKSet, type JWTVerifyGetKey, type JWTVerifyOptions, errors as joseErrors, jwtVerify } from "jose";
import { ApiError } from "../billing/errors";
import { errorName, logError } from "../billing/log";
import { type Bindings, isLoopback, optional, type Settings, SettingsError } from "../settings";
import { type Authenticate, type User, userFromClaims } from "./user";

/** Value in `.dev.vars.example`: known to everyone, so never accepted. */
export const EXAMPLE_SECRET = "change-me-to-32-random-bytes-or-more";

const MIN_SECRET_BYTES = 32;
const JWKS_REFETCH_MS = 60_000;
const JWKS_CACHE_MS = 10 * 60_000;
const ASYMMETRIC = [
  ...["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"],
  ...["ES256", "ES384", "ES512", "EdDSA", "Ed25519"],
];

/** Exactly one of the first two; the keys of a provider need the others too. */
interface JwtVariables {
  readonly AUTH_JWT_SECRET?: string;
  readonly AUTH_JWKS_URL?: string;
  readonly AUTH_ISSUER?: string;
  readonly AUTH_AUDIENCE?: string;
}

interface Verifier {
  readonly key: Uint8Array | JWTVerifyGetKey;
  readonly options: JWTVerifyOptions;
}

/** Checks the sign-in settings and returns the function that tells who sent a request. */
export function createAuthenticate(env: Bindings & JwtVariables, settings: Settings): Authenticate {
  const verifier = createVerifier(env, settings);
  return async (request) => {
    const token = bearerToken(request);
    return token === null ? null : verify(token, verifier);
  };
}

function createVerifier(env: JwtVariables, settings: Settings): Verifier {
  const secret = optional(env.AUTH_JWT_SECRET);
  const jwksUrl = optional(env.AUTH_JWKS_URL);
  if (secret !== undefined && jwksUrl === undefined) return secretVerifier(env, secret, settings);
  if (secret === undefined && jwksUrl !== undefined) return jwksVerifier(env, jwksUrl, settings);
  throw new SettingsError("AUTH_JWT_SECRET, AUTH_JWKS_URL: exactly one of them is required.");
}

function secretVerifier(env: JwtVariables, secret: string, settings: Settings): Verifier {
  if (settings.server === "production") {
    throw new SettingsError("AUTH_JWT_SECRET: for development only; use AUTH_JWKS_URL with POLAR_SERVER=production.");
  }
  const key = new TextEncoder().encode(secret);
  const weak = key.length < MIN_SECRET_BYTES || new Set(secret).size < 8;
  if (weak || secret === EXAMPLE_SECRET) {
    throw new SettingsError(
      `AUTH_JWT_SECRET: must be a random value of at least ${MIN_SECRET_BYTES} bytes, not the example.`,
    );
  }
  return { key, options: verifyOptions(["HS256"], env) };
}

function jwksVerifier(env: JwtVariables, address: string, settings: Settings): Verifier {
  const url = URL.canParse(address) ? new URL(address) : undefined;
  const local = url !== undefined && isLoopback(url) && settings.server !== "production";
  if (url === undefined || (url.protocol !== "https:" && !local)) {
    throw new SettingsError("AUTH_JWKS_URL: must begin with https://.");
  }
  for (const name of ["AUTH_ISSUER", "AUTH_AUDIENCE"] as const) {
    if (optional(env[name]) === undefined) {
      throw new SettingsError(`${name}: required with AUTH_JWKS_URL.`);
    }
  }
  const key = createRemoteJWKSet(url, {
    cooldownDuration: JWKS_REFETCH_MS,
    cacheMaxAge: JWKS_CACHE_MS,
  });
  return { key, options: verifyOptions(ASYMMETRIC, env) };
}

function verifyOptions(algorithms: string[], env: JwtVariables): JWTVerifyOptions {
  const issuer = optional(env.AUTH_ISSUER);
  const audience = optional(env.AUTH_AUDIENCE);
  return {
    algorithms,
    requiredClaims: ["exp", "sub"],
    ...(issuer === undefined ? {} : { issuer }),
    ...(audience === undefined ? {} : { audience }),
  };
}

function bearerToken(request: Request): string | null {
  const header = request.headers.get("Authorization") ?? "";
  return /^Bearer +([A-Za-z0-9._~+/=-]+)$/i.exec(header)?.[1] ?? null;
}

async function verify(token: string, { key, options }: Verifier): Promise<User | null> {
  try {
    const { payload } = await (typeof key === "function"
      ? jwtVerify(token, key, options)
      : jwtVerify(token, key, options));
    return userFromClaims(payload);
  } catch (error) {
    if (isBadToken(error)) return null;
    logError("jwks_unavailable", { error: errorName(error) });
    throw new ApiError("unavailable", { retryAfter: 5 });
  }
}

/** A token that does not hold, as opposed to keys that could not be fetched. */
function isBadToken(error: unknown): boolean {
  if (!(error instanceof joseErrors.JOSEError)) return false;
  return !["ERR_JOSE_GENERIC", "ERR_JWKS_TIMEOUT", "ERR_JWKS_INVALID"].includes(error.code);
}
