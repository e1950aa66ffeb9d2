/** `npm run dev -- --port 8787 [--persist-to FOLDER]`: settings, local database, and the Worker on loopback. */
import type { ChildProcess } from "node:child_process";
import { devNull } from "node:os";
import { parseArgs } from "node:util";
import "./resolve.ts";
import { createDevelopmentFile, developmentSettings, SECRETS } from "./environment.ts";
import { applyMigrations, startWrangler } from "./wrangler.ts";

// Not before `src` can be loaded.
const { readSettings, SettingsError } = await import("../src/settings.ts");

const SECOND = 1000;
const MINUTE = 60 * SECOND;

function main(): void {
  const { port, persistence } = readArguments();
  createDevelopmentFile();
  const settings = developmentSettings();
  check(settings);
  migrate(persistence);
  serve(port, persistence, settings);
}

function readArguments(): { port: string; persistence: string[] } {
  const { values } = parseArgs({
    options: {
      port: { type: "string", default: "8787" },
      "persist-to": { type: "string" },
    },
  });
  const folder = values["persist-to"];
  return { port: values.port, persistence: folder === undefined ? [] : ["--persist-to", folder] };
}

function check(settings: Record<string, string>): void {
  try {
    readSettings(settings as unknown as Parameters<typeof readSettings>[0]);
  } catch (error) {
    if (!(error instanceof SettingsError)) throw error;
    fail(`${error.message}\nSet it in .dev.vars or in the environment.`);
  }
}

function migrate(persistence: string[]): void {
  const { status, stdout, stderr } = applyMigrations(["--local", ...persistence]);
  if (status !== 0) fail(`The local database could not be migrated.\n${stdout}${stderr}`);
}

/** Runs until it is stopped. wrangler takes declared secrets from its environment, and other settings as variables. */
function serve(port: string, persistence: string[], settings: Record<string, string>): void {
  const variables = Object.entries(settings).filter(([name]) => !SECRETS.includes(name));
  const worker = startWrangler(
    ["dev", "--ip", "127.0.0.1", "--port", port, "--env-file", devNull, ...persistence],
    variables.flatMap(([name, value]) => ["--var", `${name}:${value}`]),
    { ...process.env, POLAR_ACCESS_TOKEN: "", ...settings },
  );
  const cron = setInterval(() => runScheduled(port), MINUTE);
  const orphaned = stopWithParent(worker);
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    process.on(signal, () => worker.kill(signal));
  }
  worker.on("exit", (code, signal) => {
    clearInterval(cron);
    clearInterval(orphaned);
    process.exitCode = signal === null ? (code ?? 1) : 0;
  });
}

/** A shell between npm and us dies of a signal without passing it on. */
function stopWithParent(worker: ChildProcess): NodeJS.Timeout {
  const parent = process.ppid;
  return setInterval(() => {
    if (process.ppid !== parent) worker.kill("SIGTERM");
  }, SECOND);
}

/** Cron triggers do not fire by themselves in development. */
function runScheduled(port: string): void {
  fetch(`http://127.0.0.1:${port}/cdn-cgi/local/scheduled`).catch(() => undefined);
}

function fail(message: string): never {
  console.error(message);
  process.exit(1);
}

main();
