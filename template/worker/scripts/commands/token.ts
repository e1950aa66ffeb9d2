/** `token`: signs a bearer token for development. */
import { SignJWT } from "jose";
import { isUserId } from "../../src/auth/user.ts";
import { announce } from "../audit.ts";
import { command, Misused, type Options, Refused, show } from "../console.ts";
import { openSettings } from "../project.ts";

interface TokenOptions extends Options {
  readonly user: string;
  readonly email?: string;
}

const LIFETIME_SECONDS = 3600;

export const token = command(
  "token",
  `Sign a bearer token for development.

It is good for an hour, and signed with AUTH_JWT_SECRET.`,
  "token --user user_1 --email ada@example.com",
)
  .requiredOption("--user <id>", "The user's id.")
  .option("--email <address>", "The user's e-mail address.")
  .action(async (options: TokenOptions) => {
    const settings = openSettings();
    const { AUTH_JWT_SECRET: secret } = settings;
    if (secret === undefined) throw new Refused("AUTH_JWT_SECRET is not set, so there is nothing to sign with.");
    if (!isUserId(options.user)) throw new Misused("--user: must be 1 to 255 characters.");
    announce("token", options.user);
    const signed = await sign(settings, secret, options);
    show({ token: signed, expires_in: LIFETIME_SECONDS }, [signed], options);
  });

/** A token of this user, as the settings of the app want it. */
export function sign(
  { AUTH_ISSUER: issuer, AUTH_AUDIENCE: audience }: Readonly<Record<string, string>>,
  secret: string,
  { user, email }: Pick<TokenOptions, "user" | "email">,
): Promise<string> {
  const jwt = new SignJWT(email === undefined ? {} : { email })
    .setProtectedHeader({ alg: "HS256" })
    .setSubject(user)
    .setIssuedAt()
    .setExpirationTime(`${LIFETIME_SECONDS}s`);
  if (issuer !== undefined) jwt.setIssuer(issuer);
  if (audience !== undefined) jwt.setAudience(audience);
  return jwt.sign(new TextEncoder().encode(secret));
}
