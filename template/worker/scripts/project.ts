/** What the commands work on: this project's own settings, store and application, loaded in Node. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import type { Hono } from "hono";
import { createApp, servicesOf } from "../src/app.ts";
import { checkHealth } from "../src/billing/health.ts";
import type { AppEnv } from "../src/context.ts";
import type { Services } from "../src/services.ts";
import type { Bindings } from "../src/settings.ts";
import { env as workersEnv } from "./cloudflare-workers.ts";
import { note, Refused, type StoreOptions } from "./console.ts";
import { developmentSettings, environmentSettings, PROJECT } from "./environment.ts";
import { outOfReach } from "./out-of-reach.ts";
import { OperatorPolar } from "./polar.ts";

/** The project as its Worker has it. */
export interface Project {
  readonly env: Bindings;
  readonly db: D1Database;
  /** `app.request(path, init, env)` asks it without a server. */
  readonly app: Hono<AppEnv>;
  /** Settings, sign-in and Polar client. Throws SettingsError when the settings are unfit. */
  services(): Services;
  /** Polar's API for commands. Throws Refused for demo products: they do not exist at Polar. */
  polar(): OperatorPolar;
}

/** What is read of wrangler.jsonc. */
interface WorkerConfig {
  readonly name?: string;
  readonly account_id?: string;
  readonly compatibility_date?: string;
  readonly vars: object;
  readonly d1_databases: readonly object[];
}

const CONFIG = join(PROJECT, "wrangler.jsonc");
const STATE = join(PROJECT, ".wrangler");

/**
 * Opens the project for some work, and closes it after. Says first which store it is. Throws Refused when that does not
 * answer or misses migrations, unless the work is there for such a store too.
 *
 * With `--remote` variables come from wrangler.jsonc and secrets from the environment: what is deployed cannot be read
 * back. So only then a command that needs no settings does without.
 */
export async function withProject<Result>(
  options: StoreOptions,
  work: (project: Project) => Promise<Result>,
  { whateverState = false } = {},
): Promise<Result> {
  note(`Target: ${options.remote ? "the deployed database" : `the local database in ${storeFolder(options)}`}`);
  const { env, dispose } = await openStore(options);
  try {
    const services = () => servicesOf(env);
    const project = { env, db: env.DB, app: createApp(), services, polar: () => connect(services()) };
    if (!options.remote) project.services();
    if (!whateverState) await check(env.DB);
    return await work(project);
  } finally {
    await dispose();
  }
}

/** Opens the store alone. Throws Refused when it cannot be reached. */
export async function openStore(options: StoreOptions): Promise<{ env: Bindings; dispose: () => Promise<void> }> {
  const { remote = false } = options;
  const variables = remote ? environmentSettings() : developmentSettings();
  process.env.WRANGLER_LOG ??= "error";
  const { getPlatformProxy, unstable_readConfig } = await import("wrangler");
  const start = () =>
    getPlatformProxy({
      configPath: remote ? withRemoteStore(unstable_readConfig({ config: CONFIG })) : CONFIG,
      envFiles: [],
      persist: { path: join(storeFolder(options), "v3") },
      remoteBindings: remote,
    });
  const proxy = await outOfReach(start).catch((error: Error) => {
    throw new Refused(`The database cannot be reached. ${error.message}`);
  });
  return { env: Object.assign(workersEnv, proxy.env, variables) as unknown as Bindings, dispose: proxy.dispose };
}

/** The settings for development, checked as the Worker does. Throws SettingsError when they are unfit. */
export function openSettings(): Record<string, string> {
  const settings = developmentSettings();
  servicesOf(settings as unknown as Bindings);
  return settings;
}

/** The settings of the deployed Worker: variables from wrangler.jsonc; secrets, and what differs, from the environment. */
export async function deployedSettings(): Promise<Record<string, string>> {
  const { unstable_readConfig } = await import("wrangler");
  const { vars } = unstable_readConfig({ config: CONFIG });
  const texts = Object.entries(vars).filter((entry): entry is [string, string] => typeof entry[1] === "string");
  return { ...Object.fromEntries(texts), ...environmentSettings() };
}

function connect({ settings }: Services): OperatorPolar {
  if (settings.polar === null) {
    throw new Refused("These are demo products: there is no Polar to ask. POLAR_SERVER names one.");
  }
  return new OperatorPolar(settings.polar);
}

function storeFolder({ persistTo }: StoreOptions): string {
  return persistTo === undefined ? join(STATE, "state") : resolve(persistTo);
}

/** Writes the configuration once more, with the deployed database in place of the local one; returns the file. */
function withRemoteStore({ name, account_id, compatibility_date, vars, d1_databases }: WorkerConfig): string {
  const file = join(STATE, "commands.json");
  const databases = d1_databases.map((database) => ({ ...database, remote: true }));
  mkdirSync(STATE, { recursive: true });
  writeFileSync(file, JSON.stringify({ name, account_id, compatibility_date, vars, d1_databases: databases }));
  return file;
}

async function check(db: D1Database): Promise<void> {
  try {
    await checkHealth(db);
  } catch {
    throw new Refused("The database does not answer or is not up to date; `migrate` brings it up to date.");
  }
}
