/** Puts the secret of the webhook endpoint where the app reads it, without showing it to anybody. */
import { chmodSync, readFileSync, realpathSync, renameSync, writeFileSync } from "node:fs";
import { parseEnv } from "node:util";
import { Refused } from "./console.ts";
import { DEVELOPMENT_FILE } from "./environment.ts";
import { complaint, wrangler } from "./wrangler.ts";

export const NAME = "POLAR_WEBHOOK_SECRET";

const MOST = 3;
/** What any file, shell and secret store takes as it is: Polar's are base64 or letters and digits, after a prefix. */
const STORABLE = /^[A-Za-z0-9+/=_-]{16,}$/;
const ASSIGNED = new RegExp(`^[ \\t]*(export[ \\t]+)?${NAME}[ \\t]*=.*$`, "m");

/** Puts a secret first in the list of `.dev.vars`, in place of the oldest of three. All other lines stay. */
export function saveToFile(secret: string): void {
  const file = realpathSync(DEVELOPMENT_FILE);
  const text = readFileSync(file, "utf8");
  const line = `${NAME}=${quoted(rotated(split(parseEnv(text)[NAME]), secret))}`;
  const missing = text === "" || text.endsWith("\n") ? `${text}${line}\n` : `${text}\n${line}\n`;
  const draft = `${file}.new`;
  writeFileSync(draft, ASSIGNED.test(text) ? text.replace(ASSIGNED, () => line) : missing, { mode: 0o600 });
  chmodSync(draft, 0o600);
  renameSync(draft, file);
}

/** Hands a secret to the deployed Worker, on wrangler's standard input. Throws Refused with what wrangler complains of. */
export function saveToWorker(secret: string): void {
  const value = rotated(split(process.env[NAME]), secret).join(",");
  const done = wrangler(["secret", "put", NAME], value);
  if (done.status !== 0) throw new Refused(`wrangler did not take the secret. ${complaint(done)}`);
}

/** The secrets with a new one first: events that are under way are still signed with the old one. */
export function rotated(secrets: readonly string[], fresh: string): string[] {
  if (!STORABLE.test(fresh)) {
    throw new Refused("The endpoint's secret has characters that cannot be stored: copy it from Polar by hand.");
  }
  return secrets.includes(fresh) ? [...secrets] : [fresh, ...secrets].slice(0, MOST);
}

/** A comma-separated list: trimmed, without empty entries. */
export function split(value: string | undefined): string[] {
  return (value ?? "")
    .split(",")
    .map((entry) => entry.trim())
    .filter((entry) => entry !== "");
}

function quoted(secrets: readonly string[]): string {
  const value = secrets.join(",");
  if (secrets.every((secret) => STORABLE.test(secret))) return value;
  return value.includes("'") ? `"${value}"` : `'${value}'`;
}
