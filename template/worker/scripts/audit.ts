/** Who did what by command, and when: a row in the store, written with the change itself, and a line on stderr. */
import { userInfo } from "node:os";

/** Records a command; run the statement in the batch of what it changes. The subject is an id, never personal data. */
export function audit(db: D1Database, command: string, subject: string): D1PreparedStatement {
  const actor = announce(command, subject);
  return db
    .prepare("INSERT INTO billing_audit (at_us, command, subject, actor) VALUES (?1, ?2, ?3, ?4)")
    .bind(Date.now() * 1000, command, subject, actor);
}

/** Says on stderr who did what; alone it is for what is changed at Polar only. Returns who it is. */
export function announce(command: string, subject: string): string {
  const actor = currentUser();
  console.error(JSON.stringify({ event: "audit", command, subject, actor }));
  return actor;
}

/** The operating system's name of the user; a container may have none for its number. */
function currentUser(): string {
  try {
    return userInfo().username;
  } catch {
    return `uid ${process.getuid?.()}`;
  }
}
