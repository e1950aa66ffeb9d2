/** The settings and the database that the bridge works with: those of this machine, or with `--remote` the deployed ones. */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { runInNewContext } from "node:vm";
import type { Unstable_Config } from "wrangler";
import { servicesOf } from "../src/app.ts";
import { type Bindings, isLoopback, optional, readSettings, SettingsError } from "../src/settings.ts";
import { env } from "./cloudflare-workers.ts";
import { AUDIENCE, developmentSettings, environmentSettings, ISSUER, PROJECT } from "./environment.ts";
import { applyMigrations, complaint } from "./wrangler.ts";

const CONFIG = join(PROJECT, "wrangler.jsonc");
const STATE = join(PROJECT, ".wrangler");
const { values: options } = parseArgs({ options: { remote: { type: "boolean" }, "persist-to": { type: "string" } } });
const { remote = false } = options;
const folder = resolve(options["persist-to"] ?? join(STATE, "state"));
let opened: Promise<() => Promise<void>> | undefined;

/** What was asked cannot be done; the kind is one of the bridge's protocol. */
export class Problem extends Error {
  readonly kind: string;

  constructor(kind: string, message: string) {
    super(message);
    this.kind = kind;
  }
}

/** All that the Worker has: its variables from the start, the rest once the database is open. */
export const bindings = env as Bindings & NodeJS.Dict<string>;
/** Which database it is. */
export const TARGET = remote ? "the deployed database" : `the local database in ${folder}`;

const unread = problemOf(readVariables);

/** The name of what kind of error it is: its message may quote anything. */
export function nameOf(error: unknown): string {
  return error instanceof Error ? error.name : typeof error;
}

/** What may be known of the settings: the addresses also where a secret is missing. */
export function settingsFacts(): object {
  const withSecrets = { ...bindings, POLAR_ACCESS_TOKEN: "-", POLAR_WEBHOOK_SECRET: crypto.randomUUID() };
  const known = problemOf(() => readSettings(withSecrets)) === "" ? readSettings(withSecrets) : null;
  return {
    problem: unread || problemOf(() => servicesOf({ ...bindings })),
    present: Object.keys(bindings).filter((name) => typeof bindings[name] === "string" && bindings[name] !== ""),
    server: known?.server ?? null,
    app_url: known?.appUrl ?? null,
    base_url: known?.polar?.baseUrl ?? null,
    is_local: known !== null && isLoopback(new URL(known.appUrl)),
    issuer: optional(bindings[ISSUER]) ?? null,
    audience: optional(bindings[AUDIENCE]) ?? null,
  };
}

function problemOf(read: () => unknown): string {
  try {
    read();
    return "";
  } catch (error) {
    if (error instanceof SettingsError) return error.message;
    throw error;
  }
}

/** The database, opened when it is first needed. Throws Problem. */
export async function database(): Promise<D1Database> {
  opened ??= open();
  await opened;
  return bindings.DB;
}

/** Whether the database answers, and has all migrations, yours too. */
export async function migrations(): Promise<{ answers: boolean; current: boolean }> {
  const db = await database();
  const names = (sql: string) => db.prepare(sql).all<{ name: string }>();
  const tables = await names("SELECT name FROM sqlite_master WHERE name = 'd1_migrations'").catch(() => null);
  const applied = tables?.results.length ? (await names("SELECT name FROM d1_migrations")).results : [];
  const wanted = readdirSync(join(PROJECT, "migrations")).filter((name) => name.endsWith(".sql"));
  return { answers: tables !== null, current: wanted.every((file) => applied.some(({ name }) => name === file)) };
}

/** Applies the migrations that are missing. */
export function migrate(): object {
  const done = applyMigrations(remote ? ["--remote"] : ["--local", "--persist-to", folder]);
  if (done.status !== 0) throw new Problem("store", `The database could not be migrated. ${complaint(done)}`);
  return {};
}

/** Ends what the database runs in. */
export async function closeDatabase(): Promise<void> {
  const dispose = await opened?.catch(() => undefined);
  await dispose?.();
}

async function open(): Promise<() => Promise<void>> {
  process.env.WRANGLER_LOG ??= "error";
  const { getPlatformProxy, unstable_readConfig } = await import("wrangler");
  try {
    const configPath = remote ? withRemoteDatabase(unstable_readConfig({ config: CONFIG })) : CONFIG;
    const persist = { path: join(folder, "v3") };
    const proxy = await getPlatformProxy({ configPath, envFiles: [], persist, remoteBindings: remote });
    Object.assign(bindings, { ...proxy.env, ...bindings });
    return proxy.dispose;
  } catch (error) {
    throw new Problem("store", `The database cannot be reached. ${error instanceof Error ? error.message : ""}`);
  }
}

/** Writes the configuration once more, with the deployed database in place of the local one; returns the file. */
function withRemoteDatabase({ name, account_id, compatibility_date, vars, d1_databases }: Unstable_Config): string {
  const file = join(STATE, "bridge.json");
  const databases = d1_databases.map((each) => ({ ...each, remote: true }));
  mkdirSync(STATE, { recursive: true });
  writeFileSync(file, JSON.stringify({ name, account_id, compatibility_date, vars, d1_databases: databases }));
  return file;
}

/** Reads the variables of wrangler.jsonc, and above them what is set here: deployed secrets cannot be read back. */
function readVariables(): void {
  try {
    // JSON with comments is JavaScript too, and wrangler takes a second to load.
    const { vars } = runInNewContext(`(${readFileSync(CONFIG, "utf8")})`);
    Object.assign(bindings, vars, remote ? environmentSettings() : developmentSettings());
  } catch (error) {
    throw new SettingsError(`wrangler.jsonc, .dev.vars: cannot be read (${nameOf(error)}).`);
  }
}
