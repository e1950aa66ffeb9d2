/**
 * Starts the bridge. It gets our standard output as descriptor 3; what else is printed there, by your code or by
 * wrangler, goes to stderr.
 */
import "./node-version.mjs";
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";

const [hooks, bridge] = ["./resolve.ts", "./bridge.ts"].map((file) => new URL(file, import.meta.url));
const command = ["--import", String(hooks), fileURLToPath(String(bridge)), ...process.argv.slice(2)];
process.exitCode = spawnSync(process.execPath, command, { stdio: [0, 2, 2, 1] }).status ?? 1;
