/** Requests to the project's own app, in this process: only such that must be refused. */
import { createHmac, randomBytes } from "node:crypto";
import type { Hono } from "hono";
import type { User } from "../../src/auth/user.ts";
import type { AppEnv } from "../../src/context.ts";
import type { Bindings } from "../../src/settings.ts";
import type { Examination, Found } from "./examination.ts";
import { PREMIUM_PATH } from "./generated.ts";

interface Answered {
  readonly status: number;
  readonly error: unknown;
}

const WEBHOOK_PATHS = ["/webhooks/polar", "/webhooks/polar/"] as const;
const [WEBHOOK_PATH] = WEBHOOK_PATHS;
const PUBLIC = ["/billing/plans"];
/** Of no known type: where it were accepted, it would change nothing. */
const BODY = '{"type":"doctor.probe","timestamp":"2026-01-01T00:00:00Z","data":{}}';
const PARAMETER = /:\w+(\{[^}]*\})?\??|\*/g;
const HOUR_SECONDS = 3600;
const REFUSED = [401, 403, 405];

/** An unsigned event, with and without a slash, must reach the handler, which refuses it. */
export async function webhookRoute(x: Examination): Promise<Found[]> {
  const found: Found[] = [];
  for (const path of WEBHOOK_PATHS) {
    const answer = await deliver(x, path, {});
    if (isAccepted(answer) || answer.error === "invalid_signature") continue;
    const what = `answers ${answer.status} to an unsigned event, not 401 invalid_signature`;
    found.push({ place: `POST ${path}`, what });
  }
  return found;
}

/** An event without a signature. */
export async function webhookUnsigned(x: Examination): Promise<Found[]> {
  const found: Found[] = [];
  for (const path of WEBHOOK_PATHS) found.push(...accepted(await deliver(x, path, {}), path, "without a signature"));
  return found;
}

/** An event signed with a secret of our own making. */
export async function webhookWrongSignature(x: Examination): Promise<Found[]> {
  const headers = signed(randomBytes(32).toString("base64url"), nowSeconds());
  return accepted(await deliver(x, WEBHOOK_PATH, headers), WEBHOOK_PATH, "signed with another secret");
}

/** Events that are signed rightly, for an instant an hour away. */
export async function webhookStale(x: Examination): Promise<Found[]> {
  const now = nowSeconds();
  return [
    ...(await probe(x, signed(secretOf(x), now - HOUR_SECONDS), "signed for an hour ago")),
    ...(await probe(x, signed(secretOf(x), now + HOUR_SECONDS), "signed for in an hour")),
  ];
}

/** An old signature with a fresh timestamp, and a fresh one with another id or body. */
export async function webhookReplayed(x: Examination): Promise<Found[]> {
  const now = nowSeconds();
  const [old, fresh] = [signed(secretOf(x), now - HOUR_SECONDS), signed(secretOf(x), now)];
  const renewed = { ...old, "webhook-timestamp": String(now) };
  const renamed = { ...fresh, "webhook-id": "doctor-other" };
  return [
    ...(await probe(x, renewed, "with the signature of another instant")),
    ...(await probe(x, renamed, "with the signature of another id")),
    ...(await probe(x, fresh, "with the signature of another body", `${BODY} `)),
  ];
}

/** Every premium route: nobody signed in, and somebody who bought nothing. */
export async function premiumUnprotected(x: Examination): Promise<Found[]> {
  await x.database();
  const stranger: User = { id: `doctor-${randomBytes(16).toString("hex")}` };
  const callers = [
    { app: x.app(), who: "to nobody signed in" },
    { app: x.app(stranger), who: "to a user without access" },
  ];
  const found: Found[] = [];
  for (const { method, path } of routes(x.app(), PREMIUM_PATH)) {
    for (const { app, who } of callers) {
      const { status } = await ask(app, x.env, method, path);
      if (!REFUSED.includes(status)) found.push({ place: `${method} ${path}`, what: `answers ${status} ${who}` });
    }
  }
  return found;
}

/** Every route of billing that is somebody's own, with nobody signed in. */
export async function userRouteUnprotected(x: Examination): Promise<Found[]> {
  const app = x.app();
  const found: Found[] = [];
  for (const { method, path } of routes(app, "/billing")) {
    const { status } = await ask(app, x.env, method, path);
    if (PUBLIC.includes(path) || REFUSED.includes(status)) continue;
    found.push({ place: `${method} ${path}`, what: `answers ${status} to nobody signed in` });
  }
  return found;
}

/** Tokens that nobody signed: nonsense, no algorithm, another secret. */
export async function signInForged(x: Examination): Promise<Found[]> {
  const found: Found[] = [];
  for (const [token, kind] of forgedTokens()) {
    const answer = await ask(x.app(), x.env, "GET", "/billing/access", { authorization: `Bearer ${token}` });
    if (!isAccepted(answer)) continue;
    found.push({ place: "GET /billing/access", what: `answers ${answer.status} to ${kind}` });
  }
  return found;
}

async function probe(x: Examination, headers: Record<string, string>, how: string, body = BODY): Promise<Found[]> {
  return accepted(await deliver(x, WEBHOOK_PATH, headers, body), WEBHOOK_PATH, how);
}

function isAccepted({ status }: Answered): boolean {
  return status < 300;
}

function accepted(answer: Answered, path: string, how: string): Found[] {
  if (!isAccepted(answer)) return [];
  return [{ place: `POST ${path}`, what: `answers ${answer.status} to an event ${how}` }];
}

function deliver(x: Examination, path: string, headers: Record<string, string>, body = BODY): Promise<Answered> {
  return ask(x.app(), x.env, "POST", path, { "content-type": "application/json", ...headers }, body);
}

/** Asks the app without a server. What it logs of its refusals is no result of ours. */
async function ask(
  app: Hono<AppEnv>,
  env: Bindings,
  method: string,
  path: string,
  headers: Record<string, string> = {},
  body: string | null = null,
): Promise<Answered> {
  const { log, error } = console;
  console.log = console.error = () => undefined;
  try {
    const response = await app.request(path, { method, headers, body }, env);
    return { status: response.status, error: errorIn(await response.text()) };
  } finally {
    Object.assign(console, { log, error });
  }
}

function errorIn(text: string): unknown {
  try {
    return JSON.parse(text)?.error;
  } catch {
    return undefined;
  }
}

/** Method and path of all routes below a prefix, as the app itself lists them; a guard is for ALL methods of a `*`. */
function routes(app: Hono<AppEnv>, prefix: string): { method: string; path: string }[] {
  const found = new Set(
    app.routes
      .filter(({ method, path }) => `${path}/`.startsWith(`${prefix}/`) && !(method === "ALL" && path.endsWith("*")))
      .map(({ method, path }) => `${method === "ALL" ? "GET" : method} ${path.replaceAll(PARAMETER, "doctor")}`),
  );
  return [...found].sort().map((route) => {
    const [method = "", path = ""] = route.split(" ");
    return { method, path };
  });
}

function secretOf({ settings }: Examination): string {
  return settings.webhookSecrets[0] ?? "";
}

/** Signs the body; the whole secret as the key is what every verifier of Polar's takes, whatever the scheme. */
function signed(secret: string, stamp: number): Record<string, string> {
  const signature = createHmac("sha256", secret).update(`doctor-probe.${stamp}.${BODY}`).digest("base64");
  return {
    "webhook-id": "doctor-probe",
    "webhook-timestamp": String(stamp),
    "webhook-signature": `v1,${signature}`,
  };
}

function forgedTokens(): [token: string, kind: string][] {
  const claims = base64url({ sub: "doctor", exp: nowSeconds() + HOUR_SECONDS });
  const content = `${base64url({ alg: "HS256" })}.${claims}`;
  const signature = createHmac("sha256", randomBytes(32)).update(content).digest("base64url");
  return [
    ["doctor", "a token that is none"],
    [`${base64url({ alg: "none" })}.${claims}.`, "a token without a signature"],
    [`${content}.${signature}`, "a token signed with another secret"],
  ];
}

function base64url(content: object): string {
  return Buffer.from(JSON.stringify(content)).toString("base64url");
}

function nowSeconds(): number {
  return Math.floor(Date.now() / 1000);
}
