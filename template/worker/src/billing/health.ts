/** Whether the Worker can do its work: the store answers, and it has every table that this code needs. */
import { ApiError } from "./errors";

/** Migrations that this code needs, as wrangler records them when it applies them. */
export const MIGRATIONS = ["0001_billing_inbox.sql", "0002_billing_audit.sql", "0003_billing_promises.sql"];

/** Answers nothing when all is well. */
export async function checkHealth(db: D1Database): Promise<void> {
  const applied = await appliedMigrations(db).catch((): string[] => []);
  if (!MIGRATIONS.every((name) => applied.includes(name))) throw new ApiError("unavailable");
}

async function appliedMigrations(db: D1Database): Promise<string[]> {
  const { results } = await db.prepare("SELECT name FROM d1_migrations").all<{ name: string }>();
  return results.map(({ name }) => name);
}
