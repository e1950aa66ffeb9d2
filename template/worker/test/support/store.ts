/** The store of the tests: one for a file, emptied between its tests. */
import { applyD1Migrations, reset } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { onTestFinished } from "vitest";

/** Begin with nothing, and apply all migrations. */
export async function newStore(): Promise<void> {
  await reset();
  await applyD1Migrations(env.DB, env.TEST_MIGRATIONS);
}

/** Empties the tables: many times faster than creating them again. */
export async function emptyStore(): Promise<void> {
  const { results } = await env.DB.prepare(
    `SELECT name FROM sqlite_schema
     WHERE type = 'table' AND name <> 'd1_migrations' AND name NOT GLOB 'sqlite_*' AND name NOT GLOB '_cf_*'`,
  ).all<{ name: string }>();
  await env.DB.batch([
    env.DB.prepare("PRAGMA defer_foreign_keys = true"),
    ...results.map(({ name }) => env.DB.prepare(`DELETE FROM "${name}"`)),
  ]);
}

/** Harm the tables with a statement, for this test alone. */
export async function breakStore(sql: string): Promise<void> {
  onTestFinished(newStore);
  await env.DB.prepare(sql).run();
}
