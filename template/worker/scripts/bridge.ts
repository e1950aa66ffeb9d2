/**
 * What the `billing` tool asks of this project, and only the project knows or can do.
 *
 * A request is a line of JSON on stdin, its answer one on descriptor 3. No secret is in any answer. It ends when stdin
 * does. A feature spreads its operations into `OPERATIONS`.
 */
import { createWriteStream } from "node:fs";
import { createApp, PREMIUM_PATH, servicesOf } from "../src/app.ts";
import type { User } from "../src/auth/user.ts";
import { accessOf } from "../src/billing/access.ts";
import { CATALOG, SERVER } from "../src/billing/catalog.ts";
import { EVENTS, projectionOf } from "../src/billing/events.ts";
import { replay } from "../src/billing/inbox.ts";
import { createCore, isGone, PolarApi, PolarApiError } from "../src/billing/polar.ts";
import { API_VERSION, EARLIEST_REMOVAL } from "../src/billing/polar-sdk.ts";
import { type HeldOrder, type HeldSubscription, orderStanding, subscriptionStanding } from "../src/billing/policy.ts";
import { PAST_DUE_GRACE_DAYS } from "../src/billing/policy-table.ts";
import { PROJECTIONS } from "../src/billing/projections/index.ts";
import { isObject, type PolarObject, Unreadable } from "../src/billing/read.ts";
import { driftOf, PolarGone, reconcileCustomer } from "../src/billing/reconcile.ts";
import { reactions } from "../src/reactions.ts";
import { SettingsError } from "../src/settings.ts";
import * as store from "./store.ts";

const PERSONAL = ["email", "name"];
const now = () => Date.now() * 1000;
const instantOf = ({ at }: PolarObject) => Number(at ?? now());
const HIDDEN = { here: "(personal)", polar: "(personal)" };
/** What is passed over in SQL, such as texts, or the name of a value. */
const SQL_PART = /'[^']*'|"[^"]*"|--[^\n]*|\/\*[\s\S]*?\*\/|::|:([A-Za-z_]\w*)/g;

/** What can be asked. */
const OPERATIONS: Readonly<Record<string, (asked: PolarObject) => unknown>> = {
  facts: () => ({
    runtime: "worker",
    database: "d1",
    target: store.TARGET,
    api_version: API_VERSION,
    earliest_removal: EARLIEST_REMOVAL,
    premium_path: PREMIUM_PATH,
    grace_days: PAST_DUE_GRACE_DAYS,
    catalogue: snakeCased({ server: SERVER, ...CATALOG }),
    events: EVENTS,
    settings: store.settingsFacts(),
  }),
  migrations: store.migrations,
  migrate: store.migrate,
  routes: () => {
    const found = createApp().routes.filter(({ method, path }) => method !== "ALL" || !path.endsWith("*"));
    const listed = found.map(({ method, path }) => ({ method: method === "ALL" ? "GET" : method, path }));
    return [...new Map(listed.map((route) => [`${route.method} ${route.path}`, route])).values()];
  },
  request: async (asked) => {
    const { headers = {}, body = null, user = null } = asked;
    const init = { method: text(asked, "method"), headers, body } as RequestInit;
    const signIn = user === null ? {} : { authenticate: async () => user as User };
    const app = createApp({ services: (of) => ({ ...servicesOf(of), ...signIn }) });
    await store.database();
    const { log, error } = console;
    // What the app logs of a refusal is no result.
    console.log = console.error = () => undefined;
    try {
      const response = await app.request(text(asked, "path"), init, store.bindings);
      return { status: response.status, headers: Object.fromEntries(response.headers), body: await response.text() };
    } finally {
      Object.assign(console, { log, error });
    }
  },
  sql: async ({ statements }) => {
    if (!Array.isArray(statements) || !statements.every(isObject)) throw bad("statements: not a list of objects");
    const db = await store.database();
    const prepared = statements.map((each) => prepare(db, text(each, "sql"), { ...(each.values as object) }));
    return prepared.length === 0 ? [] : (await db.batch(prepared)).map(({ results }) => results);
  },
  replay: async (asked) => {
    const handlers = asked.reactions === true ? reactions : null;
    return { outcome: await replay(await store.database(), text(asked, "webhook_id"), now(), handlers) };
  },
  reconcile: async (asked) => {
    const [db, { polar, calls }] = [await store.database(), countedPolar()];
    const { gone, created, updated } = await reconcileCustomer(db, polar, text(asked, "customer"), now());
    const rows = created + updated;
    return { outcome: gone ? "gone" : rows === 0 ? "equal" : "written", rows, calls: calls() };
  },
  drift: async (asked) => {
    const [db, { polar, calls }] = [await store.database(), countedPolar()];
    const found = await driftOf(db, polar, text(asked, "customer"));
    const shown = found?.map((one) => (PERSONAL.includes(one.column ?? "") ? { ...one, ...HIDDEN } : one));
    return { differences: shown ?? null, calls: calls() };
  },
  decide: async (asked) => accessOf(await store.database(), text(asked, "user"), instantOf(asked)),
  standing: (asked) => {
    const held = object(asked, "held") as unknown as HeldSubscription & HeldOrder;
    const standing = asked.kind === "order" ? orderStanding(held) : subscriptionStanding(held, instantOf(asked));
    return { access: standing.open };
  },
  read_event: (asked) => {
    const [type, data] = [text(asked, "type"), object(asked, "data")];
    const projection = projectionOf(type);
    try {
      if (projection !== null) PROJECTIONS[projection].read(data, { type, version: 1 });
      return { projection, problem: null };
    } catch (error) {
      return { projection, problem: error instanceof Unreadable ? error.message : store.nameOf(error) };
    }
  },
};

/** A statement with its named values as D1 has them: by number. */
function prepare(db: D1Database, sql: string, values: PolarObject): D1PreparedStatement {
  const names: string[] = [];
  const numbered = sql.replace(SQL_PART, (part, name?: string) => {
    if (name === undefined) return part;
    if (!Object.hasOwn(values, name)) throw bad(`:${name}: no value`);
    if (!names.includes(name)) names.push(name);
    return `?${names.indexOf(name) + 1}`;
  });
  return db.prepare(numbered).bind(...names.map((name) => values[name]));
}

/** Polar's API, and how often it was asked: the tool keeps to Polar's pace. */
function countedPolar(): { polar: PolarApi; calls: () => number } {
  const { polar: settings } = servicesOf(store.bindings).settings;
  if (settings === null) throw new store.Problem("demo", "The products are demo products.");
  let calls = 0;
  const core = createCore(settings);
  const send = core.sendRequest.bind(core);
  core.sendRequest = (...request) => {
    calls += 1;
    return send(...request);
  };
  return { polar: new PolarApi(settings, core), calls: () => calls };
}

function snakeCased(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(snakeCased);
  if (!isObject(value)) return value;
  const snake = (name: string) => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
  return Object.fromEntries(Object.entries(value).map(([name, each]) => [snake(name), snakeCased(each)]));
}

function text(asked: PolarObject, name: string): string {
  const value = asked[name];
  if (typeof value !== "string") throw bad(`${name}: not a text`);
  return value;
}

function object(asked: PolarObject, name: string): PolarObject {
  const value = asked[name];
  if (!isObject(value)) throw bad(`${name}: not an object`);
  return value;
}

function bad(message: string): store.Problem {
  return new store.Problem("bad_request", message);
}

/** What went wrong; of an error that may quote anything, the name alone. */
function problem(error: unknown): PolarObject {
  const message = error instanceof Error ? error.message : "";
  if (error instanceof store.Problem) return { kind: error.kind, message };
  if (error instanceof SettingsError) return { kind: "settings", message };
  if (message.includes("D1_")) return { kind: "store", message: "The database refused." };
  if (error instanceof PolarGone || isGone(error)) return { kind: "gone", message, status: 404 };
  if (error instanceof PolarApiError) {
    const { status, error: name, detail, retryAfter } = error;
    return { kind: "polar", message, status, error: name, detail, retry_after: retryAfter };
  }
  if (error instanceof Unreadable) return { kind: "unreadable", message };
  return { kind: "internal", message: store.nameOf(error) };
}

async function answer(line: string): Promise<PolarObject> {
  let id: unknown = null;
  try {
    const asked = object({ request: JSON.parse(line) }, "request");
    id = asked.id;
    const op = text(asked, "op");
    if (!Object.hasOwn(OPERATIONS, op)) throw bad(`op: not ${op}`);
    return { id, result: await OPERATIONS[op]?.(asked) };
  } catch (error) {
    return { id, error: problem(error instanceof SyntaxError ? bad("not JSON") : error) };
  }
}

const output = createWriteStream("", { fd: 3 });
const say = (line: object) => new Promise((said) => output.write(`${JSON.stringify(line)}\n`, said));
await say({ bridge: 1, runtime: "worker" });
let rest = "";
process.stdin.setEncoding("utf8");
for await (const piece of process.stdin) {
  const lines = `${rest}${piece}`.split("\n");
  rest = lines.pop() ?? "";
  for (const line of lines) await say(await answer(line));
}
await store.closeDatabase();
process.exit();
