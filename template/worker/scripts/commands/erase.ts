/** `erase`: takes a user's personal data away. */
import { audit } from "../audit.ts";
import {
  asking,
  confirm,
  foundProblem,
  good,
  Refused,
  type StoreOptions,
  show,
  storeCommand,
  warn,
} from "../console.ts";
import { withProject } from "../project.ts";

/** How many rows lost personal data; how many events keep their body; whom Polar still has. */
interface Erased {
  readonly customers: number;
  readonly members: number;
  readonly events: number;
  readonly waiting: number;
  readonly at_polar: readonly string[];
}

export const erase = asking(
  storeCommand(
    "erase",
    `Take a user's personal data away.

E-mail address, name and the bodies of events go. Ids, purchases and amounts stay: access and accounting need them. What Polar has is deleted at Polar. Ends with 1 where events that wait to be applied still have their body.`,
    "erase user_1",
  ),
)
  .argument("<user>", "The user's id.")
  .action(async (user: string, options: StoreOptions & { yes?: boolean }) => {
    const erased = await withProject(options, async ({ db }) => {
      if (!(await isKnown(db, user))) throw new Refused("Nothing of this user is known, so nothing was erased.");
      await confirm(`Erase the personal data of user ${user}? It cannot be brought back.`, options);
      return eraseUser(db, user);
    });
    const { customers, members, events, waiting } = erased;
    const lines = [
      good(`Erased: ${customers} customer(s), ${members} member(s), ${events} event(s).`),
      good("Ids, purchases and amounts stay: access and accounting need them."),
      ...left(erased),
    ];
    show({ user, ...erased }, lines, options);
    if (waiting > 0) foundProblem();
  });

/** What is left to be done. */
function left({ waiting, at_polar: atPolar }: Erased): string[] {
  const lines = atPolar.map((id) =>
    warn(`Polar still has customer ${id}. Delete it there, anonymized; its subscriptions end with that.`),
  );
  if (atPolar.length > 0) lines.push(warn("Until then what Polar sends brings the data back."));
  if (waiting === 0) return lines;
  return [warn(`${waiting} event(s) wait to be applied and keep their body. Replay, then erase again.`), ...lines];
}

async function isKnown(db: D1Database, user: string): Promise<boolean> {
  const known = await db
    .prepare(
      `SELECT 1 WHERE EXISTS (SELECT 1 FROM billing_customers WHERE external_id = ?1)
         OR EXISTS (SELECT 1 FROM billing_members WHERE external_id = ?1)
         OR EXISTS (SELECT 1 FROM billing_subscriptions WHERE app_user_id = ?1)
         OR EXISTS (SELECT 1 FROM billing_orders WHERE app_user_id = ?1)`,
    )
    .bind(user)
    .first();
  return known !== null;
}

const OWN = "SELECT id FROM billing_customers WHERE external_id = ?1";

/** The user as a member, also as the owner of a customer that was linked to the user later on. */
const MEMBERS = `external_id = ?1 OR (customer_id IN (${OWN}) AND external_id IS NULL AND role = 'owner')`;

/** Everything that has a body and is about the user. */
const EVENTS = `body IS NOT NULL
  AND customer_id IN (${OWN} UNION SELECT customer_id FROM billing_members WHERE ${MEMBERS})`;

/** Empties what is personal. An event that waits for another try keeps its body until it was applied. */
async function eraseUser(db: D1Database, user: string): Promise<Erased> {
  const statements = [
    `UPDATE billing_customers SET email = NULL, name = NULL WHERE external_id = ?1 RETURNING id, deleted_us`,
    `UPDATE billing_members SET email = NULL, name = NULL WHERE ${MEMBERS} RETURNING id`,
    `UPDATE billing_webhook_events SET body = NULL WHERE state <> 'failed' AND ${EVENTS} RETURNING webhook_id AS id`,
    `SELECT webhook_id AS id FROM billing_webhook_events WHERE ${EVENTS}`,
  ].map((statement) => db.prepare(statement).bind(user));
  const found = await db.batch<{ id: string; deleted_us?: number | null }>([...statements, audit(db, "erase", user)]);
  const [customers, members, events, waiting] = found.map(({ results }) => results);
  const living = customers?.filter(({ deleted_us: deleted }) => deleted === null) ?? [];
  return {
    customers: customers?.length ?? 0,
    members: members?.length ?? 0,
    events: events?.length ?? 0,
    waiting: waiting?.length ?? 0,
    at_polar: living.map(({ id }) => id).sort(),
  };
}
