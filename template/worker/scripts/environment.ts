/** Settings for development: `.dev.vars`, made from the example when it is missing; the process's environment wins. */
import { randomBytes } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseEnv } from "node:util";

export const PROJECT = join(import.meta.dirname, "..");

export const DEVELOPMENT_FILE = join(PROJECT, ".dev.vars");

/** Declared as secrets in wrangler.jsonc: handed over by environment, never as an argument. */
export const SECRETS = ["POLAR_ACCESS_TOKEN", "POLAR_WEBHOOK_SECRET"];

const NAME = /^(POLAR|AUTH|APP|ALLOWED|INBOX)_[A-Z_]+$/;
const FRESH: Record<string, () => string> = {
  POLAR_WEBHOOK_SECRET: () => `whsec_${randomBytes(32).toString("base64")}`,
  AUTH_JWT_SECRET: () => randomBytes(32).toString("base64url"),
};

/** Every setting for development that has a value. */
export function developmentSettings(): Record<string, string> {
  if (!existsSync(DEVELOPMENT_FILE)) createFrom(join(PROJECT, ".dev.vars.example"), DEVELOPMENT_FILE);
  return settingsIn({ ...parseEnv(readFileSync(DEVELOPMENT_FILE, "utf8")), ...process.env });
}

/** Every setting that the process's environment has a value for. */
export function environmentSettings(): Record<string, string> {
  return settingsIn(process.env);
}

function settingsIn(values: NodeJS.Dict<string>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(values).flatMap(([name, value]) => (NAME.test(name) && value ? [[name, value]] : [])),
  );
}

/** Copies the example, with fresh random values in place of its secrets. */
function createFrom(example: string, file: string): void {
  const text = readFileSync(example, "utf8").replace(/^([A-Z_]+)=.*$/gm, (line, name: string) => {
    const fresh = FRESH[name];
    return fresh === undefined ? line : `${name}=${fresh()}`;
  });
  writeFileSync(file, text, { mode: 0o600 });
  console.error("Created .dev.vars with random development secrets.");
}
