/** The migrations of the project, yours too, and whether a database has them. */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { PROJECT } from "../environment.ts";

const FOLDER = join(PROJECT, "migrations");

/** The files of all migrations, in their order. */
export function migrationFiles(): string[] {
  return migrationNames().map((name) => join(FOLDER, name));
}

/** Whether no migration is missing. Throws where the database does not answer. */
export async function isCurrent(db: D1Database): Promise<boolean> {
  const table = await db.prepare("SELECT 1 FROM sqlite_master WHERE name = 'd1_migrations'").first();
  if (table === null) return false;
  const { results } = await db.prepare("SELECT name FROM d1_migrations").all<{ name: string }>();
  const applied = new Set(results.map(({ name }) => name));
  return migrationNames().every((name) => applied.has(name));
}

function migrationNames(): string[] {
  return readdirSync(FOLDER)
    .filter((name) => name.endsWith(".sql"))
    .sort();
}
