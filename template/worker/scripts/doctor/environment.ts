/** Settings, and where they are kept. */
import { existsSync, statSync } from "node:fs";
import { join } from "node:path";
import { CATALOG } from "../../src/billing/catalog.ts";
import { PROJECT } from "../environment.ts";
import type { Examination, Found } from "./examination.ts";
import { SERVER } from "./generated.ts";
import { Skipped } from "./skipped.ts";

const DEMO_ID = "00000000-0000-4000-8000-";
const ORGANIZATION_TOKEN = "polar_oat_";
const STANDARD = /^whsec_[A-Za-z0-9+/]{43}=$/;
const SETTINGS_FILE = join(PROJECT, ".dev.vars");

/** What stops the app from starting. */
export async function settingsUnfit({ problem }: Examination): Promise<Found[]> {
  if (problem === "") return [];
  const [place = "", ...what] = problem.split(": ");
  return [{ place, what: what.join(": ") }];
}

/** Ids of the demo catalogue, which exist nowhere. */
export async function demoIds(): Promise<Found[]> {
  const { length } = CATALOG.products.filter(({ id }) => id.startsWith(DEMO_ID));
  if (length === 0) return [];
  const what = `${length} of ${CATALOG.products.length} products; checkout answers 503 demo_catalogue`;
  return [{ place: "catalogue", what }];
}

/** The server of the settings is not that of the catalogue. */
export async function serverMismatch({ settings }: Examination): Promise<Found[]> {
  if (SERVER === "demo") throw new Skipped("The catalogue is the demo.");
  if (settings.server === SERVER) return [];
  return [{ place: "POLAR_SERVER", what: `is ${settings.server}; the catalogue was read from ${SERVER}` }];
}

/** A token that is not an organization's. */
export async function tokenKind({ polar }: Examination): Promise<Found[]> {
  if (polar.token.startsWith(ORGANIZATION_TOKEN)) return [];
  return [{ place: "POLAR_ACCESS_TOKEN", what: `does not begin with ${ORGANIZATION_TOKEN}` }];
}

/** The scheme of each secret, by its shape: those that Polar made since September 2026 are base64. */
export function schemes({ settings }: Examination): string[] {
  return settings.webhookSecrets.map((secret) => (STANDARD.test(secret) ? "standard" : "legacy"));
}

/** Secrets of the old scheme, where Polar signs at all. */
export async function secretLegacy(x: Examination): Promise<Found[]> {
  if (x.settings.server === "demo") throw new Skipped("POLAR_SERVER is demo: there is no Polar to ask.");
  return schemes(x).flatMap((scheme, index) =>
    scheme === "legacy"
      ? [{ place: "POLAR_WEBHOOK_SECRET", what: `secret ${index + 1}: the whole text is the key` }]
      : [],
  );
}

/** A file of secrets that others may read. */
export async function secretReadable(): Promise<Found[]> {
  if (!existsSync(SETTINGS_FILE)) throw new Skipped("There is no file of secrets.");
  if ((statSync(SETTINGS_FILE).mode & 0o077) === 0) return [];
  return [{ place: "the file of secrets", what: "is readable by group or others" }];
}

/** An address that Polar cannot call: it wants https. */
export async function appUrlInsecure(x: Examination): Promise<Found[]> {
  if (x.isLocal) throw new Skipped("APP_URL is this machine, which Polar cannot call.");
  if (x.webhookUrl.startsWith("https://")) return [];
  return [{ place: "APP_URL", what: "does not begin with https://" }];
}
