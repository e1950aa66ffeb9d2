/** The Polar customer of a user: there before the first checkout, so that a purchase cannot land on somebody else. */
import type { User } from "../auth/user";
import { followedCustomer } from "./access";
import { ApiError } from "./errors";
import { type PolarApi, PolarApiError } from "./polar";
import { instant, type PolarObject, requiredId, text } from "./read";

const MAX_NAME_LENGTH = 256;

/**
 * Makes sure that Polar knows the user before a checkout is made for them.
 *
 * Polar binds the checkout of an unknown external id to whichever customer has the e-mail that the buyer types in.
 * With the customer made beforehand that e-mail is ignored. A user without an e-mail, or with one that Polar does not
 * take for an address, cannot be made a customer: their purchases are told by the metadata that the server sets.
 */
export async function ensureCustomer(db: D1Database, polar: PolarApi, user: User): Promise<void> {
  if (user.email === undefined || (await followedCustomer(db, user.id)) !== null) return;
  const customer = await createOrFind(polar, user.id, user.email, user.name);
  if (customer !== null) await remember(db, customer, user.id).run();
}

/** The user's customer, made now or there already; null where there is none and can be none with this e-mail. */
async function createOrFind(
  polar: PolarApi,
  id: string,
  email: string,
  name: string | undefined,
): Promise<PolarObject | null> {
  let refused: PolarApiError;
  try {
    return await polar.createCustomer({ external_id: id, email, ...(name === undefined ? {} : { name: cut(name) }) });
  } catch (error) {
    if (!(error instanceof PolarApiError)) throw error;
    refused = error;
    // The portal needs its id, and the event that tells it may be long gone.
    if (error.concerns("external_id")) return polar.customerByExternalId(id);
    if (!error.concerns("email")) throw error;
  }
  const known = await polar.customerByExternalId(id);
  if (known === null && !refused.isMalformed()) throw new ApiError("customer_unlinked");
  return known;
}

/** As long as Polar takes it, and no half of a character at the end. */
function cut(name: string): string {
  return [...name].slice(0, MAX_NAME_LENGTH).join("");
}

/** Keeps what Polar answered, at version 0: any event about the customer is newer. */
export function remember(db: D1Database, customer: PolarObject, userId: string): D1PreparedStatement {
  return db
    .prepare(
      `INSERT INTO billing_customers (id, external_id, email, name, type, created_us) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
       ON CONFLICT (id) DO UPDATE SET external_id = COALESCE(billing_customers.external_id, excluded.external_id)`,
    )
    .bind(
      requiredId(customer, "id"),
      userId,
      text(customer, "email"),
      text(customer, "name"),
      text(customer, "type"),
      instant(customer, "created_at") ?? 0,
    );
}
