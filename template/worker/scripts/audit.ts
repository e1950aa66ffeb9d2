/** Who did what by command, and when: a row in the store, and a line on stderr. */
import { userInfo } from "node:os";
import { note, type StoreOptions } from "./console.ts";
import { openStore } from "./project.ts";

/** Records a command; the subject is an id, never personal data. */
export type Recorder = (command: string, subject: string) => void;

interface Row {
  readonly at: number;
  readonly command: string;
  readonly subject: string;
  readonly actor: string;
}

/** Records a command; run the statement in the batch of what it changes. The subject is an id, never personal data. */
export function audit(db: D1Database, command: string, subject: string): D1PreparedStatement {
  return insert(db, newRow(command, subject));
}

/**
 * Lets work record what it changes elsewhere, such as at Polar: told at once, and in the store when the work ends.
 *
 * Where the store cannot be reached, the change has happened all the same; that it has no row is said.
 */
export async function withTrail<Result>(
  options: StoreOptions,
  work: (record: Recorder) => Promise<Result>,
): Promise<Result> {
  const rows: Row[] = [];
  try {
    return await work((command, subject) => rows.push(newRow(command, subject)));
  } finally {
    if (rows.length > 0) await write(options, rows);
  }
}

/** Says on stderr who did what; alone it is for what changes nothing. Returns who it is. */
export function announce(command: string, subject: string): string {
  const actor = currentUser();
  console.error(JSON.stringify({ event: "audit", command, subject, actor }));
  return actor;
}

function newRow(command: string, subject: string): Row {
  return { at: Date.now() * 1000, command, subject, actor: announce(command, subject) };
}

function insert(db: D1Database, { at, command, subject, actor }: Row): D1PreparedStatement {
  return db
    .prepare("INSERT INTO billing_audit (at_us, command, subject, actor) VALUES (?1, ?2, ?3, ?4)")
    .bind(at, command, subject, actor);
}

async function write(options: StoreOptions, rows: readonly Row[]): Promise<void> {
  try {
    const { env, dispose } = await openStore(options);
    await env.DB.batch(rows.map((row) => insert(env.DB, row))).finally(dispose);
  } catch {
    note("No row of this is in billing_audit: the database does not answer or is not up to date.");
  }
}

/** The operating system's name of the user; a container may have none for its number. */
function currentUser(): string {
  try {
    return userInfo().username;
  } catch {
    return `uid ${process.getuid?.()}`;
  }
}
