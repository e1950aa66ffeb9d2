/** Loaded into wrangler before it starts: adds the arguments that its command line, which every user can read, lacks. */
import { basename } from "node:path";

const NAME = "WRANGLER_ARGUMENTS";

// Only there: what starts cli.js loads this file too, and would hand them on in a command line.
if (basename(process.argv[1] ?? "") === "cli.js") {
  process.argv.push(...JSON.parse(process.env[NAME] ?? "[]"));
  delete process.env[NAME];
}
