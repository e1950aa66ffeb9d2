/** `block`: takes all access from a user. */
import { audit } from "../audit.ts";
import { good, Refused, type StoreOptions, show, storeCommand } from "../console.ts";
import { withProject } from "../project.ts";

interface BlockOptions extends StoreOptions {
  readonly off?: boolean;
}

export const block = storeCommand(
  "block",
  `Take all access from a user.

For chargebacks, say: Polar sends no event for those. What the user bought stays as it is. The reactions to the lost access run in the background.`,
  "block user_1",
)
  .argument("<user>", "The user's id.")
  .option("--off", "Give the access back.")
  .action(async (user: string, options: BlockOptions) => {
    const blocked = !options.off;
    const customers = await withProject(options, ({ db }) => blockUser(db, user, blocked));
    const text = `${blocked ? "Blocked" : "Unblocked"}: ${customers} customer(s) of this user.`;
    show({ user, blocked, customers }, [good(text)], options);
  });

/** Blocks or unblocks all customers of a user, and has the access compared again, so that the reactions run. */
async function blockUser(db: D1Database, user: string, blocked: boolean): Promise<number> {
  const known = await db.prepare("SELECT 1 FROM billing_customers WHERE external_id = ?1").bind(user).first();
  if (known === null) throw new Refused("No customer of this user is known, so nothing was changed.");
  const now = Date.now() * 1000;
  const [changed] = await db.batch([
    db
      .prepare("UPDATE billing_customers SET blocked_us = ?2 WHERE external_id = ?1 RETURNING id")
      .bind(user, blocked ? now : null),
    db
      .prepare(
        `INSERT INTO billing_access (user_id, check_us) VALUES (?1, ?2)
         ON CONFLICT (user_id) DO UPDATE SET check_us = excluded.check_us`,
      )
      .bind(user, now),
    audit(db, blocked ? "block" : "unblock", user),
  ]);
  return changed?.results.length ?? 0;
}
