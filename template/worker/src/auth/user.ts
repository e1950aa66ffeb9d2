/** Who is signed in: all that billing needs to know of a user. */
export interface User {
  /** Your own id of the user; Polar keeps it as the customer's `external_id`. */
  readonly id: string;
  readonly email?: string;
  readonly name?: string;
}

/** Tells who sent a request; null means nobody. */
export type Authenticate = (request: Request) => Promise<User | null>;

/** Characters, not UTF-16 units. */
const MAX_ID_LENGTH = 255;
const CONTROL = /\p{Cc}/u;

/** Whether a value can be a user's id: it is stored, sent to Polar, and compared as it is. */
export function isUserId(value: unknown): value is string {
  return (
    typeof value === "string" &&
    value !== "" &&
    [...value].length <= MAX_ID_LENGTH &&
    value.isWellFormed() &&
    !CONTROL.test(value)
  );
}

/** The user for these claims, or null when they name nobody. An unverified e-mail does not count. */
export function userFromClaims(claims: Readonly<Record<string, unknown>>): User | null {
  const { sub, email, name } = claims;
  const isUnverified = claims.email_verified === false || claims.emailVerified === false;
  if (!isUserId(sub)) return null;
  return {
    id: sub,
    ...(typeof email === "string" && email.includes("@") && !isUnverified ? { email } : {}),
    ...(typeof name === "string" && name !== "" ? { name } : {}),
  };
}
