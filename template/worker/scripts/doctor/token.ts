/** The access token, the API version and the clock, by what Polar answers. */
import { API_VERSION, EARLIEST_REMOVAL } from "../../src/billing/polar-sdk.ts";
import { SCOPES_DANGEROUS, SCOPES_NEEDED, type ScopeProbe } from "./checks.ts";
import type { Examination, Found } from "./examination.ts";
import { Skipped } from "./skipped.ts";

const MAX_CLOCK_SKEW_MS = 60_000;
const DAYS_OF_WARNING = 60;
const DAY_MS = 86_400_000;
const TOKEN = "POLAR_ACCESS_TOKEN";

/** This machine's clock, compared with the date of Polar's answer. */
export async function polarTime({ polar }: Examination): Promise<Found[]> {
  const date = (await polar.first()).headers.get("date");
  if (date === null) throw new Skipped("Polar's answer has no date.");
  const ahead = Date.now() - Date.parse(date);
  if (Math.abs(ahead) <= MAX_CLOCK_SKEW_MS) return [];
  return [{ place: "clock", what: `is ${ahead > 0 ? "ahead" : "behind"} by more than a minute` }];
}

/** A token that Polar does not take. */
export async function tokenRefused({ polar }: Examination): Promise<Found[]> {
  if ((await polar.first()).status !== 401) return [];
  return [{ place: TOKEN, what: `is unknown to the ${polar.server} server` }];
}

/** Scopes that the app needs and the token lacks. */
export async function tokenScopeMissing(x: Examination): Promise<Found[]> {
  const found: Found[] = [];
  for (const probe of SCOPES_NEEDED) {
    if (!(await hasScope(x, probe))) found.push({ place: TOKEN, what: `lacks ${probe[0]}` });
  }
  return found;
}

/** Scopes that move money or change what is sold. */
export async function tokenScopeExtra(x: Examination): Promise<Found[]> {
  const found: Found[] = [];
  for (const probe of SCOPES_DANGEROUS) {
    if (await hasScope(x, probe)) found.push({ place: TOKEN, what: `has ${probe[0]}` });
  }
  return found;
}

/** An API version that Polar does not have any more. */
export async function apiVersionRemoved({ polar }: Examination): Promise<Found[]> {
  if (!(await polar.first()).isVersionRemoved) return [];
  return [{ place: `API version ${API_VERSION}`, what: "Polar answers 404 to everything" }];
}

/** An API version near its end. */
export async function apiVersionEnding(): Promise<Found[]> {
  if (Date.parse(EARLIEST_REMOVAL) - Date.now() > DAYS_OF_WARNING * DAY_MS) return [];
  return [{ place: `API version ${API_VERSION}`, what: `may be removed from ${EARLIEST_REMOVAL} on` }];
}

async function hasScope({ polar }: Examination, [, method, path]: ScopeProbe): Promise<boolean> {
  const answer = await polar.ask(method, path, method === "GET" ? {} : { body: [] });
  const { status } = answer;
  if (status === 401 || status === 429 || status >= 500 || answer.isVersionRemoved) throw new Skipped(answer.refusal);
  return !(status === 403 && answer.error === "insufficient_scope");
}
