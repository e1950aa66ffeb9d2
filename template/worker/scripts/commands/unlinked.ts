/** `unlinked`: lists customers with purchases and no user. */
import { formatInstant } from "../../src/billing/time.ts";
import { announce } from "../audit.ts";
import { columns, Misused, type StoreOptions, show, storeCommand } from "../console.ts";
import { withProject } from "../project.ts";

interface UnlinkedOptions extends StoreOptions {
  readonly limit: number;
  readonly after: string;
  readonly personal?: boolean;
}

interface UnlinkedRow {
  readonly id: string;
  readonly created_us: number;
  readonly email: string | null;
  readonly name: string | null;
  readonly subscriptions: number;
  readonly orders: number;
}

const MAX_LIMIT = 1000;

export const unlinked = storeCommand(
  "unlinked",
  `List customers with purchases and no user.

Nobody gets the access that they paid for. They came by a checkout link or an import; \`link\` gives one to a user.`,
  "unlinked --limit 10 --personal",
)
  .option("--limit <number>", "How many at most.", readLimit, 50)
  .option("--after <customer>", "Those after this customer.", "")
  .option("--personal", "Show e-mail addresses and names.")
  .action(async (options: UnlinkedOptions) => {
    const { limit, after, personal } = options;
    const rows = await withProject(options, ({ db }) => {
      announce("unlinked", personal ? "personal data" : "all");
      return unlinkedCustomers(db, after, limit + 1);
    });
    const customers = rows.slice(0, limit).map((row) => shape(row, personal));
    const next = rows.length > limit ? (rows[limit - 1]?.id ?? null) : null;
    const [first] = customers;
    const table = customers.map((row) => Object.values(row).map((value) => String(value || "-")));
    const lines = first ? columns([Object.keys(first), ...table]) : ["0 customer(s) without a user."];
    if (next !== null) lines.push(`More: --after ${next}`);
    show({ customers, next }, lines, options);
  });

function readLimit(text: string): number {
  const limit = Number(text);
  if (!/^\d+$/.test(text) || limit < 1 || limit > MAX_LIMIT) throw new Misused(`--limit: must be 1 to ${MAX_LIMIT}.`);
  return limit;
}

function shape({ id, created_us: created, subscriptions, orders, email, name }: UnlinkedRow, personal = false) {
  const shown = { customer: id, created_at: formatInstant(created), subscriptions, orders };
  return personal ? { ...shown, email, name } : shown;
}

/** Customers without a user whose purchases are nobody's, by id. */
async function unlinkedCustomers(db: D1Database, after: string, limit: number): Promise<UnlinkedRow[]> {
  const { results } = await db
    .prepare(
      `SELECT * FROM (
         SELECT id, created_us, email, name,
           (SELECT count(*) FROM billing_subscriptions t WHERE t.customer_id = c.id AND t.app_user_id IS NULL)
             AS subscriptions,
           (SELECT count(*) FROM billing_orders t WHERE t.customer_id = c.id AND t.app_user_id IS NULL) AS orders
         FROM billing_customers c WHERE external_id IS NULL AND deleted_us IS NULL AND id > ?1)
       WHERE subscriptions > 0 OR orders > 0 ORDER BY id LIMIT ?2`,
    )
    .bind(after, limit)
    .all<UnlinkedRow>();
  return results;
}
