/** Secrets in files that git knows. */
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { PROJECT } from "../environment.ts";
import type { Examination, Found } from "./examination.ts";
import { Skipped } from "./skipped.ts";

const MAX_BYTES = 1024 * 1024;
const SECRET_FILES = [".env", ".dev.vars"];
const SECRET_SETTING = /_(TOKEN|SECRET)$/;
/** The shapes of Polar's tokens and of secrets beside their name; examples and tests have words there. */
const TOKEN = /polar_(oat|pat|at_[uo]|rt_[uo])_[A-Za-z0-9]{30,}/;
const NAMED_SECRET = /POLAR_WEBHOOK_SECRET["']?\s*[:=]\s*["']?(whsec_|polar_whs_)[A-Za-z0-9+/]{32,}/;

/** The values of our secrets, and what looks like one, in all files that git knows. */
export async function secretCommitted(x: Examination): Promise<Found[]> {
  const values = valuesOf(x);
  return knownFiles().flatMap((place) => {
    if (SECRET_FILES.includes(basename(place))) return [{ place, what: "is the file of secrets itself" }];
    const what = secretIn(contentOf(place), values);
    return what === null ? [] : [{ place, what }];
  });
}

function knownFiles(): string[] {
  const { error, status, stdout } = spawnSync("git", ["ls-files", "-z"], { cwd: PROJECT, encoding: "utf8" });
  if (error !== undefined) throw new Skipped("There is no git here.");
  if (status !== 0) throw new Skipped("This is no git repository.");
  return stdout
    .split("\0")
    .filter((name) => name !== "")
    .sort();
}

/** The secrets in the settings, by name. */
function valuesOf({ env, problem }: Examination): Map<string, string[]> {
  if (problem !== "") return new Map();
  const settings: [string, unknown][] = Object.entries(env).filter(([name]) => SECRET_SETTING.test(name));
  return new Map(
    settings.map(([name, value]) => {
      const secrets = typeof value === "string" ? value.split(",") : [];
      return [name, secrets.map((secret) => secret.trim()).filter((secret) => secret !== "")];
    }),
  );
}

function contentOf(path: string): string {
  try {
    return readFileSync(join(PROJECT, path)).subarray(0, MAX_BYTES).toString("latin1");
  } catch {
    return ""; // removed since, or a link to nowhere
  }
}

function secretIn(content: string, values: Map<string, string[]>): string | null {
  for (const [name, secrets] of values) {
    if (secrets.some((secret) => content.includes(secret))) return `has the value of ${name}`;
  }
  if (TOKEN.test(content)) return "has what looks like an access token";
  return NAMED_SECRET.test(content) ? "has what looks like a webhook secret" : null;
}
