/** `migrate`: brings the database up to date. */
import { good, Refused, type StoreOptions, show, storeCommand } from "../console.ts";
import { complaint, wrangler } from "../wrangler.ts";

export const migrate = storeCommand(
  "migrate",
  `Bring the database up to date.

The migrations that are missing are applied, yours too. Run it before a new version starts.`,
  "migrate --remote",
).action(async (options: StoreOptions) => {
  const target = options.remote ? ["--remote"] : ["--local"];
  if (options.persistTo !== undefined) target.push("--persist-to", options.persistTo);
  const done = wrangler(["d1", "migrations", "apply", "DB", ...target]);
  if (done.status !== 0) throw new Refused(`The database could not be migrated. ${complaint(done)}`);
  show({ current: true }, [good("The database is up to date.")], options);
});
