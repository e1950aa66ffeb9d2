/** How billing stands: what is sold, where, and what the tables count. */
import { CATALOG } from "../../src/billing/catalog.ts";
import { API_VERSION, EARLIEST_REMOVAL } from "../../src/billing/polar-sdk.ts";
import { formatOptionalInstant } from "../../src/billing/time.ts";
import { schemes } from "./environment.ts";
import type { Examination } from "./examination.ts";
import { shownPrices } from "./products.ts";
import { Skipped } from "./skipped.ts";

export interface ProductFound {
  readonly key: string;
  readonly name: string;
  readonly prices: readonly string[];
  readonly interval: string;
  readonly premium: boolean;
  readonly id: string;
}

export interface Counts {
  readonly events: Readonly<Record<string, number>>;
  readonly newest_event: string | null;
  readonly customers: number;
  readonly subscriptions: Readonly<Record<string, number>>;
  readonly orders: Readonly<Record<string, number>>;
}

/** What is configured and what the tables count; null for what cannot be read. */
export interface Status {
  readonly api: { readonly version: string; readonly earliest_removal: string };
  settings: { readonly server: string; readonly app_url: string; readonly webhook_secrets: readonly string[] } | null;
  tables: Counts | null;
}

interface Group {
  readonly name: string;
  readonly number: number;
}

/** The products of the code, in catalogue order. */
export function productsFound(): ProductFound[] {
  return CATALOG.products.map((product) => ({
    key: product.key,
    name: product.name,
    prices: shownPrices(product),
    interval: intervalOf(product.interval, product.intervalCount),
    premium: product.premium,
    id: product.id,
  }));
}

/** How billing stands, as far as it can be read. */
export async function statusOf(x: Examination): Promise<Status> {
  const status: Status = {
    api: { version: API_VERSION, earliest_removal: EARLIEST_REMOVAL },
    settings: null,
    tables: null,
  };
  try {
    const { server, appUrl } = x.settings;
    status.settings = { server, app_url: appUrl, webhook_secrets: schemes(x) };
    status.tables = await counts(await x.database());
  } catch (error) {
    if (!(error instanceof Skipped)) throw error; // the check that looks for it says so
  }
  return status;
}

async function counts(db: D1Database): Promise<Counts> {
  const newest = await db.prepare("SELECT MAX(received_us) AS us FROM billing_webhook_events").first<number>("us");
  const customers = "SELECT COUNT(*) AS number FROM billing_customers WHERE deleted_us IS NULL";
  return {
    events: await grouped(db, "state", "billing_webhook_events"),
    newest_event: formatOptionalInstant(newest),
    customers: (await db.prepare(customers).first<number>("number")) ?? 0,
    subscriptions: await grouped(db, "status", "billing_subscriptions"),
    orders: await grouped(db, "status", "billing_orders"),
  };
}

async function grouped(db: D1Database, column: string, table: string): Promise<Record<string, number>> {
  const sql = `SELECT ${column} AS name, COUNT(*) AS number FROM ${table} GROUP BY ${column} ORDER BY ${column}`;
  const { results } = await db.prepare(sql).all<Group>();
  return Object.fromEntries(results.map(({ name, number }) => [name, number]));
}

function intervalOf(interval: string | null, count: number | null): string {
  if (interval === null) return "once";
  return count !== null && count > 1 ? `every ${count} ${interval}s` : `every ${interval}`;
}
