/** Signing deliveries as Polar does: `v1,<base64 HMAC-SHA256>` over `<id>.<timestamp>.<body>`. */

/** `standard`: the key is the base64 after `whsec_` (secrets made since September 2026). `legacy`: the whole secret. */
export type Scheme = "standard" | "legacy";

/** A secret in the shape of Polar's; the number makes it another one. */
export function secretFor(number: number): string {
  return `whsec_${btoa(`secret-of-these-tests-no-${number}`.padEnd(32, "."))}`;
}

/** The headers of a delivery. */
export async function signedHeaders(
  secret: string,
  body: string,
  { id = crypto.randomUUID(), scheme = "standard", seconds = Math.floor(Date.now() / 1000) }: SignOptions = {},
): Promise<Record<string, string>> {
  return {
    "content-type": "application/json",
    "user-agent": "polar.sh webhooks",
    "webhook-id": id,
    "webhook-timestamp": String(seconds),
    "webhook-signature": `v1,${await sign(keyOf(secret, scheme), `${id}.${seconds}.${body}`)}`,
  };
}

export interface SignOptions {
  readonly id?: string;
  readonly scheme?: Scheme;
  readonly seconds?: number;
}

function keyOf(secret: string, scheme: Scheme): Uint8Array {
  if (scheme === "legacy") return new TextEncoder().encode(secret);
  return new Uint8Array([...atob(secret.slice("whsec_".length))].map((character) => character.charCodeAt(0)));
}

async function sign(key: Uint8Array, content: string): Promise<string> {
  const algorithm = { name: "HMAC", hash: "SHA-256" };
  const imported = await crypto.subtle.importKey("raw", key, algorithm, false, ["sign"]);
  const signature = await crypto.subtle.sign("HMAC", imported, new TextEncoder().encode(content));
  return btoa(String.fromCharCode(...new Uint8Array(signature)));
}
