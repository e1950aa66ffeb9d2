/** `migrate`: brings the database up to date. */
import { stripVTControlCharacters } from "node:util";
import { good, Refused, type StoreOptions, show, storeCommand } from "../console.ts";
import { wrangler } from "../wrangler.ts";

export const migrate = storeCommand(
  "migrate",
  `Bring the database up to date.

The migrations that are missing are applied, yours too. Run it before a new version starts.`,
  "migrate --remote",
).action(async (options: StoreOptions) => {
  const target = options.remote ? ["--remote"] : ["--local"];
  if (options.persistTo !== undefined) target.push("--persist-to", options.persistTo);
  const { status, stdout, stderr } = wrangler(["d1", "migrations", "apply", "DB", ...target]);
  if (status !== 0) throw new Refused(`The database could not be migrated. ${reason(stdout + stderr)}`);
  show({ current: true }, [good("The database is up to date.")], options);
});

/** The line in which wrangler says what is wrong. */
function reason(output: string): string {
  const text = stripVTControlCharacters(output);
  return /\[ERROR\]\s*(.*)/.exec(text)?.[1] ?? text.trim();
}
