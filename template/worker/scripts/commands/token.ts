/** `token`: signs a bearer token for development, good for an hour, with AUTH_JWT_SECRET. */
import { parseArgs } from "node:util";
import { SignJWT } from "jose";
import { developmentSettings } from "../environment.ts";

const LIFETIME = "1h";

export const token = {
  usage: "token --user ID [--email ADDRESS]",

  async run(args: string[]): Promise<void> {
    const { values } = parseArgs({ args, options: { user: { type: "string" }, email: { type: "string" } } });
    if (!values.user) throw new Error(`Usage: ${token.usage}`);
    const settings = developmentSettings();
    const { AUTH_JWT_SECRET: secret, AUTH_ISSUER: issuer, AUTH_AUDIENCE: audience } = settings;
    if (secret === undefined) throw new Error("AUTH_JWT_SECRET: not set, so there is nothing to sign with.");
    const jwt = new SignJWT(values.email === undefined ? {} : { email: values.email })
      .setProtectedHeader({ alg: "HS256" })
      .setSubject(values.user)
      .setIssuedAt()
      .setExpirationTime(LIFETIME);
    if (issuer !== undefined) jwt.setIssuer(issuer);
    if (audience !== undefined) jwt.setAudience(audience);
    console.log(await jwt.sign(new TextEncoder().encode(secret)));
  },
};
