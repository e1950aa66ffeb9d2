/** `link`: makes a customer a user's. */
import { isUserId } from "../../src/auth/user.ts";
import { remember } from "../../src/billing/customers.ts";
import { isGone, PolarApiError } from "../../src/billing/polar.ts";
import type { PolarObject } from "../../src/billing/read.ts";
import { markForCheck } from "../../src/billing/store/access-store.ts";
import { type CustomerRow, followedCustomerOf } from "../../src/billing/store/holdings-store.ts";
import { markForReconciliation } from "../../src/billing/store/reconcile-store.ts";
import { audit } from "../audit.ts";
import { asking, confirm, good, Misused, Refused, type StoreOptions, show, storeCommand } from "../console.ts";
import type { OperatorPolar } from "../polar.ts";
import { type Project, withProject } from "../project.ts";

interface LinkOptions extends StoreOptions {
  readonly yes?: boolean;
}

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

export const link = asking(
  storeCommand(
    "link",
    `Link a customer to a user.

For buyers who came by a checkout link or an import; \`unlinked\` lists them. Polar keeps the user's id with the customer for good. Refused where the user has another customer, or the customer another user.`,
    "link user_1 63675639-d3c2-4715-8507-3e8b6e9241ee",
  ),
)
  .argument("<user>", "The user's id.")
  .argument("<customer>", "The customer's id at Polar.")
  .action(async (user: string, customer: string, options: LinkOptions) => {
    if (!isUserId(user)) throw new Misused("USER: must be 1 to 255 characters.");
    if (!UUID.test(customer)) throw new Misused("CUSTOMER: must be an id of Polar.");
    await withProject(options, (project) => linkCustomer(project, user, customer, options));
    show({ user, customer }, [good(`Linked: customer ${customer}, user ${user}.`)], options);
  });

async function linkCustomer({ db, polar: connect }: Project, user: string, id: string, options: LinkOptions) {
  const polar = connect();
  const found = await customerAtPolar(polar, id);
  await check(db, polar, found, user);
  let linked = found;
  if (found.external_id !== user) {
    await confirm(`Link customer ${id} to user ${user}? Polar keeps it for good.`, options);
    linked = await linkAtPolar(polar, id, user);
  }
  const now = Date.now() * 1000;
  await db.batch([
    remember(db, linked, user),
    markForReconciliation(db, id, now),
    markForCheck(db, id, now),
    audit(db, "link", id),
  ]);
}

async function customerAtPolar(polar: OperatorPolar, id: string): Promise<PolarObject> {
  try {
    return await polar.customer(id);
  } catch (error) {
    throw isGone(error) ? new Refused("Polar has no such customer.") : error;
  }
}

/** Refuses what would mix up two users. A link cannot be taken back, here or at Polar. */
async function check(db: D1Database, polar: OperatorPolar, customer: PolarObject, user: string): Promise<void> {
  const here = await db
    .prepare("SELECT external_id, deleted_us FROM billing_customers WHERE id = ?1")
    .bind(customer.id)
    .first<{ external_id: string | null; deleted_us: number | null }>();
  if (here?.deleted_us || customer.deleted_at) throw new Refused("This customer was deleted.");
  const owners = [here?.external_id, customer.external_id];
  if (owners.some((owner) => (owner ?? user) !== user)) throw new Refused("This customer belongs to another user.");
  const followed = await followedCustomerOf(db, user).first<CustomerRow>();
  const customers = [followed?.id, (await polar.customerByExternalId(user))?.id];
  if (customers.some((id) => (id ?? customer.id) !== customer.id)) throw new Refused("This user has another customer.");
}

async function linkAtPolar(polar: OperatorPolar, id: string, user: string): Promise<PolarObject> {
  try {
    return await polar.linkCustomer(id, user);
  } catch (error) {
    if (!(error instanceof PolarApiError) || error.status !== 422) throw error;
    throw new Refused("Polar does not take this user's id for this customer.");
  }
}
