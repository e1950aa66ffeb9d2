/** Runs this project's own wrangler with this Node. */
import { type ChildProcess, type SpawnSyncReturns, spawn, spawnSync } from "node:child_process";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { PROJECT } from "./environment.ts";

const WRANGLER = join(dirname(createRequire(import.meta.url).resolve("wrangler/package.json")), "bin", "wrangler.js");

/** Runs a command of wrangler to its end. */
export function wrangler(args: string[]): SpawnSyncReturns<string> {
  return spawnSync(process.execPath, [WRANGLER, ...args], { cwd: PROJECT, encoding: "utf8" });
}

/** Starts a command of wrangler on our own terminal. */
export function startWrangler(args: string[], env: NodeJS.ProcessEnv): ChildProcess {
  return spawn(process.execPath, [WRANGLER, ...args], { cwd: PROJECT, stdio: "inherit", env });
}
