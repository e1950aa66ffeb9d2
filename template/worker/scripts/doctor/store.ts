/** The database: whether it answers, and has the tables that the migrations make. */
import { readFileSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import type { Examination, Found } from "./examination.ts";
import { isCurrent, migrationFiles } from "./migrations.ts";
import { Skipped } from "./skipped.ts";

interface Table {
  readonly columns: ReadonlySet<string>;
  /** Columns of each index, comma-separated. */
  readonly indexes: ReadonlySet<string>;
}

type Query = <Row>(sql: string) => Promise<Row[]>;

const TABLES = "SELECT name FROM sqlite_master WHERE type = 'table' AND name LIKE 'billing\\_%' ESCAPE '\\'";

/** Asks for nothing but an answer. */
export async function storeUnreachable(x: Examination): Promise<Found[]> {
  x.requireFit();
  try {
    await x.env.DB.prepare("SELECT name FROM sqlite_master LIMIT 1").all();
    return [];
  } catch {
    return [{ place: "database", what: "does not answer a query" }];
  }
}

/** Migrations of the project that were not applied. */
export async function migrationsMissing(x: Examination): Promise<Found[]> {
  x.requireFit();
  const current = await isCurrent(x.env.DB).catch(() => {
    throw new Skipped("The database does not answer.");
  });
  return current ? [] : [{ place: "database", what: "not all migrations are applied" }];
}

/** Tables, columns and indexes that differ from those that the migrations make. */
export async function schemaDrift(x: Examination): Promise<Found[]> {
  const db = await x.database();
  const wanted = await tables(emptyDatabase());
  const there = await tables(async <Row>(sql: string) => (await db.prepare(sql).all<Row>()).results);
  return [...wanted].flatMap(([name, table]) => difference(name, table, there.get(name)));
}

function difference(name: string, wanted: Table, there: Table | undefined): Found[] {
  if (there === undefined) return [{ place: name, what: "the table is missing" }];
  const columns = [...new Set([...wanted.columns, ...there.columns])].sort().flatMap((column) => {
    if (wanted.columns.has(column) && there.columns.has(column)) return [];
    const what = there.columns.has(column) ? "the column is of no migration" : "the column is missing";
    return [{ place: `${name}.${column}`, what }];
  });
  const indexes = [...wanted.indexes]
    .filter((index) => !there.indexes.has(index))
    .map((index) => ({ place: name, what: `the index on ${index} is missing` }));
  return [...columns, ...indexes];
}

async function tables(query: Query): Promise<Map<string, Table>> {
  const found = new Map<string, Table>();
  for (const { name } of await query<{ name: string }>(`${TABLES} ORDER BY name`)) {
    const columns = await query<{ name: string }>(`SELECT name FROM pragma_table_info('${name}')`);
    found.set(name, { columns: new Set(columns.map((column) => column.name)), indexes: await indexesOf(query, name) });
  }
  return found;
}

async function indexesOf(query: Query, table: string): Promise<Set<string>> {
  const found = new Set<string>();
  const created = `SELECT name FROM pragma_index_list('${table}') WHERE origin = 'c'`;
  for (const { name } of await query<{ name: string }>(created)) {
    const columns = await query<{ name: string }>(`SELECT name FROM pragma_index_info('${name}') ORDER BY seqno`);
    found.add(columns.map((column) => column.name).join(", "));
  }
  return new Set([...found].sort());
}

/** What the migrations make, in memory. */
function emptyDatabase(): Query {
  const database = new DatabaseSync(":memory:");
  for (const file of migrationFiles()) database.exec(readFileSync(file, "utf8"));
  return async <Row>(sql: string) => database.prepare(sql).all() as Row[];
}
