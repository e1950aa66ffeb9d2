/** `reconcile`: compares customers with Polar, and corrects what differs. */
import { PolarApiError } from "../../src/billing/polar.ts";
import type { Value } from "../../src/billing/projections/projection.ts";
import { Unreadable } from "../../src/billing/read.ts";
import { type Difference, driftOf, reconcileCustomer } from "../../src/billing/reconcile.ts";
import { formatInstant } from "../../src/billing/time.ts";
import { audit } from "../audit.ts";
import {
  bad,
  endInterrupted,
  foundProblem,
  good,
  interruptible,
  note,
  progress,
  Refused,
  type StoreOptions,
  show,
  storeCommand,
  visible,
  warn,
} from "../console.ts";
import type { OperatorPolar } from "../polar.ts";
import { type Project, withProject } from "../project.ts";

interface ReconcileOptions extends StoreOptions {
  readonly user?: string;
  readonly after: string;
  readonly dryRun?: boolean;
}

/** A difference as it may be printed: instants to be read, and no personal data. */
interface Shown {
  readonly kind: string;
  readonly id: string;
  readonly field: string | null;
  readonly here: Value;
  readonly polar: Value;
}

interface Found {
  readonly outcome: "equal" | "written" | "differs" | "gone" | "failed";
  readonly rows?: number;
  readonly differences?: readonly Shown[];
}

interface Result extends Found {
  readonly customer: string;
}

const MAX_FAILURES_IN_A_ROW = 3;
const PERSONAL = ["email", "name"];

export const reconcile = storeCommand(
  "reconcile",
  `Correct what differs from Polar.

For all customers: those known here, and those that only Polar knows. It takes four calls or more a customer, no faster than Polar allows, and tells where to go on when it is stopped. None of your reactions run. Ends with 1 where a customer could not be compared.`,
  "reconcile --dry-run --user user_1",
)
  .option("--user <user>", "Only this user.")
  .option("--after <customer>", "Go on after this customer.", "")
  .option("--dry-run", "Show what differs, and write nothing.")
  .action(async (options: ReconcileOptions) => {
    await withProject(options, async (project) => report(await compareAll(project, options), options));
  });

function report(
  { ids, results, compared, interrupted }: Awaited<ReturnType<typeof compareAll>>,
  options: ReconcileOptions,
): void {
  const failed = results.filter(({ outcome }) => outcome === "failed").length;
  const verb = options.dryRun ? "Compared" : "Reconciled";
  const summary = `${verb}: ${compared} customer(s), ${results.length - failed} differed, ${failed} failed.`;
  const stopped = compared < ids.length;
  const next = stopped ? (following(ids, compared, results) ?? (options.after || null)) : null;
  show({ compared, customers: results, next }, [...results.flatMap(describe), summary], options);
  const advice = next === null ? "Run it again." : `Go on with --after ${next}`;
  if (failed > 0) foundProblem();
  if (stopped && interrupted) endInterrupted(compared, ids.length, advice);
  else if (stopped) note(`Stopped after ${compared} of ${ids.length}: three in a row failed. ${advice}`);
}

/** The last customer before those that are to be compared, which are the last that failed too. */
function following(ids: readonly string[], compared: number, results: readonly Result[]): string | null {
  const failed = new Set(results.filter(({ outcome }) => outcome === "failed").map(({ customer }) => customer));
  return ids.slice(0, compared).findLast((id) => !failed.has(id)) ?? null;
}

/** What differed or failed, until it ended or was stopped. */
async function compareAll(project: Project, options: ReconcileOptions) {
  const polar = project.polar();
  const ids = await customers(project.db, polar, options);
  const { dryRun, user = "all" } = options;
  if (!dryRun) await audit(project.db, "reconcile", user).run();
  return interruptible(async (interrupted) => {
    const results: Result[] = [];
    let compared = 0;
    let failures = 0;
    for (const customer of progress(ids, "Reconciling", ids.length)) {
      const found = await compare(project.db, polar, customer, dryRun ? drift : correct);
      compared += 1;
      failures = found.outcome === "failed" ? failures + 1 : 0;
      if (found.outcome !== "equal") results.push({ customer, ...found });
      if (interrupted() || failures === MAX_FAILURES_IN_A_ROW) break;
    }
    return { ids, results, compared, interrupted: interrupted() };
  });
}

/** The ids of the customers that are meant, in the order in which they are compared. */
async function customers(db: D1Database, polar: OperatorPolar, { user, after }: ReconcileOptions): Promise<string[]> {
  const { results } = await db
    .prepare("SELECT id FROM billing_customers WHERE deleted_us IS NULL AND (?1 IS NULL OR external_id = ?1)")
    .bind(user ?? null)
    .all<{ id: string }>();
  const there = user === undefined ? await polar.customers() : [await polar.customerByExternalId(user)];
  const known = new Set([...results, ...there.filter((item) => item !== null)].map(({ id }) => String(id)));
  if (known.size === 0 && user !== undefined) throw new Refused("No customer of this user is known, here or at Polar.");
  return [...known].filter((id) => id > after).sort();
}

type Compare = (db: D1Database, polar: OperatorPolar, customerId: string) => Promise<Found>;

async function compare(db: D1Database, polar: OperatorPolar, customerId: string, how: Compare): Promise<Found> {
  try {
    return await how(db, polar, customerId);
  } catch (error) {
    if (!(error instanceof PolarApiError) && !(error instanceof Unreadable)) throw error;
    note(`${customerId}: ${error.message}`);
    return { outcome: "failed" };
  }
}

async function correct(db: D1Database, polar: OperatorPolar, customerId: string): Promise<Found> {
  const { gone, created, updated } = await reconcileCustomer(db, polar, customerId, Date.now() * 1000);
  if (gone) return { outcome: "gone" };
  const rows = created + updated;
  return rows === 0 ? { outcome: "equal" } : { outcome: "written", rows };
}

async function drift(db: D1Database, polar: OperatorPolar, customerId: string): Promise<Found> {
  const differences = await driftOf(db, polar, customerId);
  if (differences === null) return { outcome: "gone" };
  return differences.length === 0 ? { outcome: "equal" } : { outcome: "differs", differences: differences.map(shown) };
}

function shown({ kind, id, column, here, polar }: Difference): Shown {
  const field = column?.replace(/_us$/, "") ?? null;
  return { kind, id, field, here: shownValue(column, here), polar: shownValue(column, polar) };
}

function shownValue(column: string | null, value: Value): Value {
  if (column !== null && PERSONAL.includes(column)) return "(personal)";
  return column?.endsWith("_us") && typeof value === "number" ? formatInstant(value) : value;
}

function describe({ customer, outcome, rows, differences = [] }: Result): string[] {
  const colour = outcome === "failed" ? bad : outcome === "written" ? good : warn;
  const count = rows === undefined ? "" : `, ${rows} row(s)`;
  return [colour(`${customer} ${outcome}${count}`), ...differences.map(describeOne).map(visible)];
}

function describeOne({ kind, id, field, here, polar }: Shown): string {
  if (field === null) return `  ${kind} ${id} is missing here`;
  return `  ${kind} ${id} ${field}: ${here ?? "-"}, at Polar ${polar ?? "-"}`;
}
