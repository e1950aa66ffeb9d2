/** Whether the claims of a token whose signature holds are for this app. The other runtime has the same rules. */
import { isUserId } from "./user";

/** Clocks of machines differ by a little. */
export const LEEWAY_SECONDS = 5;

/** What a token must say. */
export interface Expected {
  readonly issuer: string | undefined;
  readonly audience: string | undefined;
  readonly parties: readonly string[];
}

type Claims = Readonly<Record<string, unknown>>;

/** The name of a claim that is missing or wrong, or null. `now` is in seconds. */
export function wrongClaim(claims: Claims, expected: Expected, now: number): string | null {
  for (const name of ["exp", "nbf", "iat"]) {
    if (Object.hasOwn(claims, name) && typeof claims[name] !== "number") return name;
  }
  const { exp = Number.NEGATIVE_INFINITY, nbf = now, iat = now } = claims as Readonly<Record<string, number>>;
  if (exp <= now - LEEWAY_SECONDS) return "exp";
  if (nbf > now + LEEWAY_SECONDS) return "nbf";
  if (iat > now + LEEWAY_SECONDS) return "iat";
  if (expected.issuer !== undefined && claims.iss !== expected.issuer) return "iss";
  return wrongRecipient(claims, expected) ?? (isUserId(claims.sub) ? null : "sub");
}

/** Compares `aud` with the setting. A token without `aud` is compared by `azp`, the party it was issued to. */
function wrongRecipient(claims: Claims, { audience, parties }: Expected): string | null {
  if (audience === undefined && parties.length === 0) return null;
  if (Object.hasOwn(claims, "aud")) {
    const given: unknown[] = Array.isArray(claims.aud) ? claims.aud : [claims.aud];
    return audience !== undefined && given.includes(audience) ? null : "aud";
  }
  if (parties.length === 0) return "aud";
  return typeof claims.azp === "string" && parties.includes(claims.azp) ? null : "azp";
}
