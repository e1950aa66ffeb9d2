/** The settings and the database that the bridge works with: those of this machine, or with `--remote` the deployed ones. */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { runInNewContext } from "node:vm";
import type { Unstable_Config } from "wrangler";
import { type Bindings, SettingsError } from "../src/settings.ts";
import { env } from "./cloudflare-workers.ts";
import { developmentSettings, environmentSettings, PROJECT } from "./environment.ts";

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
/** The same as options of wrangler. */
export const TARGET_OPTIONS = remote ? ["--remote"] : ["--local", "--persist-to", folder];

/** Reads the variables of wrangler.jsonc, and above them what is set here. Throws SettingsError. */
export function readVariables(): void {
  try {
    // JSON with comments is JavaScript too; wrangler takes a second to load.
    const { vars } = runInNewContext(`(${readFileSync(CONFIG, "utf8")})`);
    // Secrets that are deployed cannot be read back.
    Object.assign(bindings, vars, remote ? environmentSettings() : developmentSettings());
  } catch {
    throw new SettingsError("wrangler.jsonc, .dev.vars: cannot be read.");
  }
}

/** The database, opened when it is first needed. Throws Problem. */
export async function database(): Promise<D1Database> {
  opened ??= open();
  await opened;
  return bindings.DB;
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
