/**
 * Bringing one customer's rows in line with Polar. Everything is read and understood before anything is written; a row
 * that an event was applied to in the meantime is left to the event.
 */
import { settleConcerned } from "./compare-access";
import { PROJECTIONS } from "./projections";
import type { Projection, Row, Snapshot, Value } from "./projections/projection";
import { type Reactions, reactionsTo } from "./reactions";
import { instant, type PolarObject, requiredId, requiredObjects, requiredText, Unreadable } from "./read";
import { markForCheck } from "./store/access-store";
import { forgetIfDeleted, identify } from "./store/projection-store";
import { addForFetched } from "./store/reaction-store";
import {
  changedColumns,
  gone,
  insertUnknown,
  reconciled,
  rowsOfCustomer,
  type StoredRow,
  updateUnmoved,
} from "./store/reconcile-store";

/** The customer does not exist at Polar: a 404 with `error: ResourceNotFound`, and nothing else. */
export class PolarGone extends Error {
  constructor() {
    super("Polar does not know it.");
    this.name = "PolarGone";
  }
}

/** What the background asks Polar. Lists come whole; a failure of any kind is thrown. */
export interface PolarReader {
  /** `GET /v1/checkouts/{id}`; a reader without it asks about no checkout. */
  checkout?(id: string): Promise<PolarObject>;
  /** Disputes of an order; null where the token may not read them. A reader without it asks about none. */
  disputes?(orderId: string): Promise<PolarObject[] | null>;
  /** `GET /v1/customers/{id}/state`; throws `PolarGone`. */
  customerState(id: string): Promise<PolarObject>;
  subscriptions(customerId: string): Promise<PolarObject[]>;
  orders(customerId: string): Promise<PolarObject[]>;
  grants(customerId: string): Promise<PolarObject[]>;
}

/** What reconciling a customer changed. */
export interface ReconcileReport {
  readonly customerId: string;
  readonly gone: boolean;
  readonly created: number;
  readonly updated: number;
}

/** A column in which a row and Polar differ; without a column the whole row, which is missing here. */
export interface Difference {
  readonly kind: "customer" | "subscription" | "order" | "benefit_grant";
  readonly id: string;
  readonly column: string | null;
  readonly here: Value;
  readonly polar: Value;
}

interface Fetched {
  readonly projection: Projection;
  readonly snapshots: readonly Snapshot[];
  /** Ids that Polar has, here or in the customer's state. */
  readonly listed: ReadonlySet<unknown>;
}

/** A row to write and, in the same transaction, the reactions to it. */
interface Write {
  readonly kind: "created" | "updated";
  readonly statements: readonly [D1PreparedStatement, ...D1PreparedStatement[]];
}

const { customer: CUSTOMERS, subscription, order, benefit_grant: GRANTS } = PROJECTIONS;
const TABLES: readonly Projection[] = [CUSTOMERS, subscription, order, GRANTS];
const KINDS = ["customer", "subscription", "order", "benefit_grant"] as const;
const STATEMENTS_PER_BATCH = 50;
const ROWS_PER_BATCH = 20;

/**
 * Asks Polar about a customer and corrects what differs. Throws and writes nothing when Polar's answer cannot be used.
 *
 * The handlers given react to what is found: to purchases that moved and to access that changed, once per transition.
 * Without handlers (null) it is silent, also later.
 */
export async function reconcileCustomer(
  db: D1Database,
  polar: PolarReader,
  customerId: string,
  now: number,
  reactions: Reactions | null = null,
): Promise<ReconcileReport> {
  const before = await storedRows(db, customerId);
  const fetched = await fetchAll(polar, customerId);
  if (fetched === null) return forget(db, customerId, now, reactions);
  const writes = fetched.map((list, index) => differences(db, list, before[index] ?? [], now, reactions));
  const known = fetched.flatMap(({ snapshots }) => snapshots.flatMap((snapshot) => identify(db, snapshot)));
  const [own = [], ...others] = writes;
  // The customer's own row before what only names it, and both before what reacts to purchases.
  const customer = await writeAll(db, own, customerId, now, reactions);
  await runAll(db, known);
  const purchases = await writeAll(db, others.flat(), customerId, now, reactions);
  const [created, updated] = [customer.created + purchases.created, customer.updated + purchases.updated];
  await runAll(db, forgetIfDeleted(db, customerId));
  await conclude(db, customerId, now, reactions);
  return { customerId, gone: false, created, updated };
}

/** What reconciling a customer would change; null where Polar does not know the customer. */
export async function driftOf(db: D1Database, polar: PolarReader, customerId: string): Promise<Difference[] | null> {
  const fetched = await fetchAll(polar, customerId);
  if (fetched === null) return null;
  const stored = await storedRows(db, customerId);
  return KINDS.flatMap((kind, index) => driftIn(kind, fetched[index] as Fetched, stored[index] ?? []));
}

function driftIn(kind: Difference["kind"], { snapshots, listed }: Fetched, stored: readonly StoredRow[]): Difference[] {
  const known = new Map(stored.map((row) => [row.id, row]));
  const found = snapshots.flatMap(({ row, customer }): Difference[] => {
    const id = String(row.id);
    const old = known.get(id);
    if (old === undefined) return [{ kind, id, column: null, here: null, polar: null }];
    const learnt = kind === "customer" && old.external_id === null && customer?.externalId != null;
    const changes = {
      ...(learnt && { external_id: customer.externalId }),
      ...changedColumns(old, withoutErased(row, old)),
    };
    return Object.entries(changes).map(([column, value]) => ({
      kind,
      id,
      column,
      here: old[column] ?? null,
      polar: value,
    }));
  });
  const lost = kind === "benefit_grant" ? unlisted(listed, stored) : [];
  return [...found, ...lost.map(({ id }) => ({ kind, id, column: "is_granted", here: 1, polar: 0 }))];
}

async function storedRows(db: D1Database, customerId: string): Promise<StoredRow[][]> {
  const found = await db.batch<StoredRow>(TABLES.map((projection) => rowsOfCustomer(db, projection, customerId)));
  return found.map(({ results }) => results);
}

/** Everything Polar has about the customer, read whole; null when the customer is gone. */
async function fetchAll(polar: PolarReader, customerId: string): Promise<Fetched[] | null> {
  const state = await stateOrGone(polar, customerId);
  if (state === null) return null;
  const lists = [
    [subscription, await polar.subscriptions(customerId)],
    [order, await polar.orders(customerId)],
    [GRANTS, await polar.grants(customerId)],
  ] as const;
  const customer = readState(state, customerId);
  const granted = requiredObjects(state, "granted_benefits").map((grant) => requiredId(grant, "id"));
  const read = lists.map(([projection, items]) => {
    const snapshots = items.map((item) => readOwn(projection, item, customerId));
    return { projection, snapshots, listed: new Set([...granted, ...snapshots.map(({ row }) => row.id)]) };
  });
  const snapshots = await withDisputes(polar, read[1]?.snapshots ?? [], read[2]?.snapshots ?? []);
  const found = read.map((list) => (list.projection === order ? { ...list, snapshots } : list));
  return [{ projection: CUSTOMERS, snapshots: [customer], listed: new Set() }, ...found];
}

/**
 * The orders with the status of their newest dispute, as far as there may be one: no event tells of a dispute, but Polar
 * takes all benefits of the order away. Where benefits are granted, no dispute counts.
 */
async function withDisputes(
  polar: PolarReader,
  orders: readonly Snapshot[],
  grants: readonly Snapshot[],
): Promise<Snapshot[]> {
  const found: Snapshot[] = [];
  for (const snapshot of orders) {
    const { id, status, refunded_amount: refunded, subscription_id: subscribed } = snapshot.row;
    const own = grants.filter(({ row }) => row.order_id === id);
    const isSuspect = own.length > 0 && own.every(({ row }) => row.is_revoked === 1);
    if (status !== "paid" || refunded !== 0 || subscribed !== null || own.length === 0) found.push(snapshot);
    else if (!isSuspect) found.push({ ...snapshot, row: { ...snapshot.row, dispute_status: null } });
    else {
      const disputes = await polar.disputes?.(String(id));
      const dispute_status = disputes ? newestStatus(disputes) : undefined;
      found.push(dispute_status === undefined ? snapshot : { ...snapshot, row: { ...snapshot.row, dispute_status } });
    }
  }
  return found;
}

function newestStatus(disputes: readonly PolarObject[]): string | null {
  const byAge = disputes.toSorted((a, b) => (instant(a, "created_at") ?? 0) - (instant(b, "created_at") ?? 0));
  const newest = byAge.at(-1);
  return newest === undefined ? null : requiredText(newest, "status");
}

async function stateOrGone(polar: PolarReader, customerId: string): Promise<PolarObject | null> {
  try {
    return await polar.customerState(customerId);
  } catch (error) {
    if (error instanceof PolarGone) return null;
    throw error;
  }
}

/** The state is a customer with lists: without them it is some other answer. */
function readState(state: PolarObject, customerId: string): Snapshot {
  requiredObjects(state, "active_subscriptions");
  if (requiredId(state, "id") !== customerId) throw new Unreadable("state: of another customer");
  return CUSTOMERS.read(state);
}

function readOwn(projection: Projection, item: PolarObject, customerId: string): Snapshot {
  if (requiredId(item, "customer_id") !== customerId) throw new Unreadable(`${projection.table}: of another customer`);
  return projection.read(item);
}

function differences(
  db: D1Database,
  { projection, snapshots, listed }: Fetched,
  before: readonly StoredRow[],
  now: number,
  reactions: Reactions | null,
): Write[] {
  const { table } = projection;
  const known = new Map(before.map((row) => [row.id, row]));
  const found = snapshots.flatMap((snapshot): Write[] => {
    const { row } = snapshot;
    const old = known.get(String(row.id));
    const reacted = react(db, table, snapshot, old, now, reactions ?? {});
    if (old === undefined) return [{ kind: "created", statements: [insertUnknown(db, table, row), ...reacted] }];
    // What a route has written from Polar's answer is equal by now, but its reactions were not run.
    const answered = old.answered_us == null ? {} : { answered_us: null };
    const changes = { ...changedColumns(old, withoutErased(row, old)), ...answered };
    if (Object.keys(changes).length === 0) return [];
    return [{ kind: "updated", statements: [updateUnmoved(db, table, old, changes), ...reacted] }];
  });
  const revoked = projection === GRANTS ? revokeUnlisted(db, listed, before, now) : [];
  return [...found, ...revoked.map((statement): Write => ({ kind: "updated", statements: [statement] }))];
}

/** The reactions to a row that was read from Polar; it keeps the version that it has here, a new one has 0. */
function react(
  db: D1Database,
  table: string,
  { row, customer }: Snapshot,
  old: StoredRow | undefined,
  now: number,
  reactions: Reactions,
): D1PreparedStatement[] {
  if (customer === null) return [];
  const owner = { appUserId: typeof row.app_user_id === "string" ? row.app_user_id : null, customerId: customer.id };
  const read = { table, version: old?.version ?? 0, webhookId: old?.webhook_id ?? "", now };
  return reactionsTo(table, row)
    .filter(({ reaction }) => Object.hasOwn(reactions, reaction))
    .map((reaction) => addForFetched(db, reaction, owner, read));
}

/** The row without what is personal where that was erased here. */
function withoutErased(row: Row, old: StoredRow): Row {
  if (old.erased_us == null) return row;
  const { email: _, name: __, ...others } = row;
  return others;
}

/** Grants that Polar has nowhere any more, neither in its list nor in the customer's state. */
function unlisted(listed: ReadonlySet<unknown>, before: readonly StoredRow[]): StoredRow[] {
  return before.filter((row) => row.is_granted === 1 && !listed.has(row.id));
}

function revokeUnlisted(
  db: D1Database,
  listed: ReadonlySet<unknown>,
  before: readonly StoredRow[],
  now: number,
): D1PreparedStatement[] {
  const revoked = { is_granted: 0, is_revoked: 1, revoked_us: now };
  return unlisted(listed, before).map((row) => updateUnmoved(db, GRANTS.table, row, revoked));
}

async function forget(
  db: D1Database,
  customerId: string,
  now: number,
  reactions: Reactions | null,
): Promise<ReconcileReport> {
  const check = reactions === null ? [] : [markForCheck(db, customerId, now)];
  await runAll(db, [gone(db, customerId, now), ...forgetIfDeleted(db, customerId), ...check]);
  await conclude(db, customerId, now, reactions);
  return { customerId, gone: true, created: 0, updated: 0 };
}

/** Settles the access of those concerned, then clears the mark: also the one that a late renewal has just set again. */
async function conclude(db: D1Database, customerId: string, now: number, reactions: Reactions | null): Promise<void> {
  await settleConcerned(db, customerId, now, reactions);
  await reconciled(db, customerId, now).run();
}

/** Writes rows in batches of a bounded size, each with its reactions. Returns how many rows were written. */
async function writeAll(
  db: D1Database,
  writes: readonly Write[],
  customerId: string,
  now: number,
  reactions: Reactions | null,
): Promise<{ created: number; updated: number }> {
  const count = { created: 0, updated: 0 };
  for (let start = 0; start < writes.length; start += ROWS_PER_BATCH) {
    const some = writes.slice(start, start + ROWS_PER_BATCH);
    // Should the process end after this batch, the access is still compared.
    const check = reactions === null ? [] : [markForCheck(db, customerId, now)];
    const results = await db.batch([...some.flatMap(({ statements }) => statements), ...check]);
    let place = 0;
    for (const { kind, statements } of some) {
      count[kind] += results[place]?.meta.changes ?? 0;
      place += statements.length;
    }
  }
  return count;
}

/** Runs statements in batches of a bounded size. */
async function runAll(db: D1Database, statements: readonly D1PreparedStatement[]): Promise<void> {
  for (let start = 0; start < statements.length; start += STATEMENTS_PER_BATCH) {
    await db.batch(statements.slice(start, start + STATEMENTS_PER_BATCH));
  }
}
