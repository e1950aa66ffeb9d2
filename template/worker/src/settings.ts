/** Settings, read from the Worker's variables and secrets. What is missing or unsafe is one clear message. */
import { isAddress, isExample, readList, readOrigin, readValue, SettingsError } from "./values";

export { SettingsError } from "./values";

/** Bindings, variables and secrets (wrangler.jsonc, `.dev.vars`, `wrangler secret put`). */
export interface Bindings {
  readonly DB: D1Database;
  readonly RATE_LIMITER_CHECKOUT: RateLimit;
  readonly RATE_LIMITER_PORTAL: RateLimit;
  readonly RATE_LIMITER_SUBSCRIPTION: RateLimit;
  readonly RATE_LIMITER_POLLING: RateLimit;
  readonly RATE_LIMITER_APP: RateLimit;
  readonly POLAR_ACCESS_TOKEN?: string;
  readonly POLAR_WEBHOOK_SECRET?: string;
  readonly POLAR_SERVER?: string;
  readonly POLAR_BASE_URL?: string;
  readonly APP_URL?: string;
  readonly ALLOWED_ORIGINS?: string;
  readonly INBOX_RETENTION_DAYS?: string;
  readonly RECONCILE_CALLS_PER_MINUTE?: string;
}

export type Server = "demo" | "sandbox" | "production";

/** How to reach Polar; none of it for demo products. */
export interface PolarSettings {
  readonly accessToken: string;
  readonly environment: "sandbox" | "production";
  readonly baseUrl: string | undefined;
}

export interface Settings {
  readonly server: Server;
  /** Null while the products are demo products. */
  readonly polar: PolarSettings | null;
  readonly webhookSecrets: readonly string[];
  /** Origin of the app, without a trailing slash. */
  readonly appUrl: string;
  readonly allowedOrigins: readonly string[];
  readonly retentionDays: number;
  /** Requests to Polar that the background may make in a minute. */
  readonly reconcileCalls: number;
}

const SERVERS: readonly string[] = ["demo", "sandbox", "production"] satisfies Server[];
const MAX_WEBHOOK_SECRETS = 3;
const SECRET_PREFIX = /^(whsec_|polar_whs_)/;
const MIN_SECRET_LENGTH = 24;
/** Different ones; a random secret has more. */
const MIN_SECRET_CHARACTERS = 8;
const PRINTABLE = /^[!-~]+$/;
const TOKEN_PREFIX = /^polar_[a-z]+_/;
/** Different ones; fewer are a text such as xxx. */
const MIN_TOKEN_CHARACTERS = 3;
const DEFAULT_RETENTION_DAYS = 90;
/** Polar allows 100 calls a minute in its sandbox, and Cloudflare's free plan 50 requests for each run. */
const DEFAULT_RECONCILE_CALLS = 40;

/** Reads and checks everything but the sign-in settings, which belong to the sign-in. */
export function readSettings(env: Bindings): Settings {
  const server = readServer(env.POLAR_SERVER);
  return {
    server,
    polar: readPolar(env, server),
    webhookSecrets: readWebhookSecrets(env.POLAR_WEBHOOK_SECRET),
    appUrl: readAppUrl(env.APP_URL, server),
    allowedOrigins: readList("ALLOWED_ORIGINS", env.ALLOWED_ORIGINS).map((entry) =>
      readOrigin("ALLOWED_ORIGINS", entry),
    ),
    retentionDays: readNumber("INBOX_RETENTION_DAYS", env.INBOX_RETENTION_DAYS, DEFAULT_RETENTION_DAYS, [1, 3650]),
    reconcileCalls: readNumber(
      "RECONCILE_CALLS_PER_MINUTE",
      env.RECONCILE_CALLS_PER_MINUTE,
      DEFAULT_RECONCILE_CALLS,
      [4, 400],
    ),
  };
}

/** Whether an address is plain HTTP to this very machine, as in development. */
export function isLoopback(url: URL): boolean {
  return url.protocol === "http:" && ["127.0.0.1", "localhost", "[::1]"].includes(url.hostname);
}

function readServer(value: string | undefined): Server {
  const server = readValue("POLAR_SERVER", value);
  if (server === undefined || !SERVERS.includes(server)) {
    throw new SettingsError("POLAR_SERVER: must be demo, sandbox or production.");
  }
  return server as Server;
}

function readPolar(env: Bindings, server: Server): PolarSettings | null {
  const accessToken = readToken(env.POLAR_ACCESS_TOKEN);
  const baseUrl = readBaseUrl(env.POLAR_BASE_URL);
  if (server === "demo") return null;
  if (accessToken === undefined) {
    throw new SettingsError(`POLAR_ACCESS_TOKEN: required with POLAR_SERVER=${server}.`);
  }
  return { accessToken, environment: server, baseUrl };
}

function readToken(value: string | undefined): string | undefined {
  const token = readValue("POLAR_ACCESS_TOKEN", value);
  if (token === undefined) return undefined;
  if (isExample(token) || new Set(token.replace(TOKEN_PREFIX, "")).size < MIN_TOKEN_CHARACTERS) {
    throw new SettingsError("POLAR_ACCESS_TOKEN: must be a token from Polar, not an example.");
  }
  return token;
}

function readBaseUrl(value: string | undefined): string | undefined {
  const text = readValue("POLAR_BASE_URL", value)?.replace(/\/+$/, "");
  if (text === undefined) return undefined;
  if (!isAddress(text) || /\?|\/v1$/.test(text)) {
    throw new SettingsError("POLAR_BASE_URL: must be an http or https address, without /v1.");
  }
  return text;
}

function readWebhookSecrets(value: string | undefined): string[] {
  const secrets = readList("POLAR_WEBHOOK_SECRET", value);
  if (secrets.length === 0) {
    throw new SettingsError("POLAR_WEBHOOK_SECRET: the secret of the webhook endpoint is required.");
  }
  if (secrets.length > MAX_WEBHOOK_SECRETS) {
    throw new SettingsError(`POLAR_WEBHOOK_SECRET: at most ${MAX_WEBHOOK_SECRETS}, comma-separated.`);
  }
  if (!secrets.every(isUnguessable)) {
    throw new SettingsError(
      "POLAR_WEBHOOK_SECRET: must be the endpoint's secret from Polar, not an example or a short text.",
    );
  }
  return secrets;
}

/**
 * Whether nobody can guess a webhook secret: whoever can, signs events and has access.
 *
 * Polar's own have 32 random characters or more.
 */
function isUnguessable(secret: string): boolean {
  const key = secret.replace(SECRET_PREFIX, "");
  const isLong = key.length >= MIN_SECRET_LENGTH && new Set(key).size >= MIN_SECRET_CHARACTERS;
  return isLong && PRINTABLE.test(secret) && !isExample(secret);
}

function readAppUrl(value: string | undefined, server: Server): string {
  const origin = readOrigin("APP_URL", readValue("APP_URL", value) ?? "");
  if (server === "production" && !origin.startsWith("https:")) {
    throw new SettingsError("APP_URL: must begin with https:// when POLAR_SERVER=production.");
  }
  return origin;
}

function readNumber(name: string, value: string | undefined, usual: number, [least, most]: [number, number]): number {
  const text = readValue(name, value);
  if (text === undefined) return usual;
  const number = Number(text);
  if (!/^[0-9]{1,5}$/.test(text) || number < least || number > most) {
    throw new SettingsError(`${name}: must be a whole number from ${least} to ${most}.`);
  }
  return number;
}
