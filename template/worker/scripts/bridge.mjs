/**
 * Starts the bridge. It gets our standard output as descriptor 3; what else is printed there, by your code or by
 * wrangler, goes to stderr.
 */
import "./node-version.mjs";
import { spawnSync } from "node:child_process";
import { join } from "node:path";

const command = ["--import", "./scripts/resolve.ts", "scripts/bridge.ts", ...process.argv.slice(2)];
const cwd = join(import.meta.dirname, "..");
process.exitCode = spawnSync(process.execPath, command, { cwd, stdio: [0, 2, 2, 1] }).status ?? 1;
