/** Runs this project's own wrangler with this Node. */
import { type ChildProcess, type SpawnSyncReturns, spawn, spawnSync } from "node:child_process";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { stripVTControlCharacters } from "node:util";
import { PROJECT } from "./environment.ts";

const WRANGLER = join(dirname(createRequire(import.meta.url).resolve("wrangler/package.json")), "bin", "wrangler.js");
const ADD_ARGUMENTS = new URL("arguments.mjs", import.meta.url).href;

/** Applies the migrations that are missing, to its end; `target` says to which database. */
export function applyMigrations(target: string[]): SpawnSyncReturns<string> {
  const command = [WRANGLER, "d1", "migrations", "apply", "DB", ...target];
  return spawnSync(process.execPath, command, { cwd: PROJECT, encoding: "utf8", input: "" });
}

/** The line in which wrangler says what is wrong. */
export function complaint({ stdout, stderr }: SpawnSyncReturns<string>): string {
  const text = stripVTControlCharacters(stdout + stderr);
  return /\[ERROR\]\s*(.*)/.exec(text)?.[1] ?? text.trim();
}

/** Starts a command of wrangler on our own terminal. No list of processes shows the `hidden` arguments. */
export function startWrangler(args: string[], hidden: string[], env: NodeJS.ProcessEnv): ChildProcess {
  return spawn(process.execPath, ["--import", ADD_ARGUMENTS, WRANGLER, ...args], {
    cwd: PROJECT,
    stdio: "inherit",
    env: { ...env, WRANGLER_ARGUMENTS: JSON.stringify(hidden) },
  });
}
