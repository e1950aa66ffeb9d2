/**
 * Applying a verified event: stored and projected in one transaction, or stored as failed and tried again.
 * One event that cannot be applied never holds up another.
 */
import { settleConcerned } from "./compare-access";
import { projectionOf } from "./events";
import { errorName, logError, logInfo } from "./log";
import { PROJECTIONS } from "./projections";
import type { Projection, Snapshot } from "./projections/projection";
import { type Reactions, reactionsTo } from "./reactions";
import { isObject, optionalObject, type PolarObject, requiredText, text, Unreadable } from "./read";
import { markForCheck, markOwners } from "./store/access-store";
import { bodyOf, failedEvents, type InboxEntry, reopen, storeDone, storeFailed } from "./store/inbox-store";
import { applySnapshot, forgetIfDeleted } from "./store/projection-store";
import { addForEvent } from "./store/reaction-store";
import { markForReconciliation } from "./store/reconcile-store";
import { parseInstant } from "./time";

/** A delivery whose signature was found right. */
export interface Delivery {
  readonly webhookId: string;
  readonly body: Uint8Array;
  /** The body as JSON, where it was read before. */
  readonly payload?: unknown;
}

export type Outcome = "processed" | "ignored" | "failed" | "repeat";

/** What became of a delivery. */
export interface Receipt {
  readonly outcome: Outcome;
  readonly type: string;
  readonly customerId: string | null;
}

interface ReadEvent {
  readonly entry: InboxEntry;
  /** Null for an event that is stored only. */
  readonly projected: { readonly projection: Projection; readonly snapshot: Snapshot } | null;
}

const MAX_RETRIES_A_RUN = 20;
const MAX_ERROR_LENGTH = 500;
const PERSONAL: ReadonlySet<string> = new Set([PROJECTIONS.customer.table, PROJECTIONS.member.table]);
/** What no access hangs on. */
const WITHOUT_ACCESS: ReadonlySet<string> = new Set([PROJECTIONS.checkout.table, PROJECTIONS.customer_state.table]);

/**
 * Stores and applies an event: one round trip, or two when the store refuses it. Throws when it could not be stored.
 * Reactions are written for those that have a handler.
 */
export async function receive(db: D1Database, delivery: Delivery, now: number, reactions: Reactions): Promise<Receipt> {
  const payload = delivery.payload ?? parse(delivery.body);
  const entry = describe(delivery, payload);
  const outcome = await storeAndApply(db, entry, payload, now, reactions);
  return { outcome, type: entry.type, customerId: entry.customerId };
}

/** Tries failed events again whose time has come. Returns how many failed once more. */
export async function retryFailed(db: D1Database, now: number, reactions: Reactions): Promise<number> {
  let failures = 0;
  for (const { webhook_id: webhookId, body } of await failedEvents(db, now, MAX_RETRIES_A_RUN)) {
    const { outcome } = await receive(db, { webhookId, body: new Uint8Array(body ?? []) }, now, reactions);
    logInfo("webhook_retry", { webhook_id: webhookId, outcome });
    if (outcome === "failed") failures += 1;
  }
  return failures;
}

/**
 * Applies a stored event once more, without reactions unless given: then what changed is settled here, and told to
 * nobody later. Null: its body was emptied, or it is unknown. What was applied before and cannot be now stays as it was.
 */
export async function replay(
  db: D1Database,
  webhookId: string,
  now: number,
  reactions: Reactions | null = null,
): Promise<Outcome | null> {
  const body = await bodyOf(db, webhookId);
  if (body === null) return null;
  const payload = parse(body);
  const entry = describe({ webhookId, body }, payload);
  try {
    const event = readEvent(entry, payload);
    await db.batch([reopen(db, webhookId), ...apply(db, event, now, reactions)]);
    if (reactions === null && entry.customerId !== null) await settleConcerned(db, entry.customerId, now, null);
    return event.projected === null ? "ignored" : "processed";
  } catch (error) {
    await keepFailed(db, entry, error, now);
    return "failed";
  }
}

async function storeAndApply(
  db: D1Database,
  entry: InboxEntry,
  payload: unknown,
  now: number,
  reactions: Reactions,
): Promise<Outcome> {
  try {
    const event = readEvent(entry, payload);
    const statements = apply(db, event, now, reactions);
    const [stored] = await db.batch(statements);
    if (stored?.results.length === 0) return "repeat";
    return event.projected === null ? "ignored" : "processed";
  } catch (error) {
    return await keepFailed(db, entry, error, now);
  }
}

/** Keeps what could not be applied, as it came. */
async function keepFailed(db: D1Database, entry: InboxEntry, error: unknown, now: number): Promise<Outcome> {
  const text = String(error).slice(0, MAX_ERROR_LENGTH);
  const [stored] = await db.batch<{ state: string }>([storeFailed(db, entry, text, now)]);
  const kept = stored?.results[0];
  if (kept === undefined) return "repeat";
  const fields = { webhook_id: entry.webhookId, error: errorName(error), dead: kept.state === "dead" };
  logError("webhook_failed", fields);
  return "failed";
}

/** Without reactions, access is not compared either. */
function apply(db: D1Database, { entry, projected }: ReadEvent, now: number, reactions: Reactions | null) {
  const { webhookId, version, customerId } = entry;
  const stored = storeDone(db, entry, projected === null ? "ignored" : "processed", now);
  if (projected === null) return [stored];
  const { projection, snapshot } = projected;
  return [
    stored,
    ...applySnapshot(db, projection, snapshot, { version, webhookId }),
    ...(reactions === null ? [] : react(db, projection, snapshot, { webhookId, now }, reactions)),
    ...(reactions === null ? [] : mark(db, projection, snapshot, now)),
    ...(customerId !== null && tellsPersonalData(projection, snapshot) ? forgetIfDeleted(db, customerId) : []),
  ];
}

/** A snapshot that brings names and addresses, or the deletion of those that are there. */
function tellsPersonalData({ table }: Projection, { customer }: Snapshot): boolean {
  return PERSONAL.has(table) || (customer !== null && customer.deletedUs !== null);
}

function react(
  db: D1Database,
  { table }: Projection,
  { row, customer }: Snapshot,
  { webhookId, now }: { webhookId: string; now: number },
  reactions: Reactions,
): D1PreparedStatement[] {
  if (customer === null) return [];
  const owner = {
    appUserId: typeof row.app_user_id === "string" ? row.app_user_id : null,
    customerId: customer.id,
  };
  return reactionsTo(table, row)
    .filter(({ reaction }) => Object.hasOwn(reactions, reaction))
    .map((reaction) => addForEvent(db, reaction, owner, { table, webhookId, now }));
}

function mark(db: D1Database, { table }: Projection, { row, customer }: Snapshot, now: number): D1PreparedStatement[] {
  if (customer === null || WITHOUT_ACCESS.has(table)) return [];
  if (PERSONAL.has(table)) return [markForCheck(db, customer.id, now)];
  // Nothing else tells of a dispute: Polar takes the benefits of its order away.
  const isSuspect = table === PROJECTIONS.benefit_grant.table && row.is_revoked === 1 && row.order_id !== null;
  return [markOwners(db, customer.id, row, now), ...(isSuspect ? [markForReconciliation(db, customer.id, now)] : [])];
}

function parse(body: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(body));
  } catch {
    return undefined;
  }
}

/** What can be said of an event before anything in it is trusted. */
function describe({ webhookId, body }: Delivery, payload: unknown): InboxEntry {
  const envelope = isObject(payload) ? payload : {};
  const type = text(envelope, "type") ?? "";
  return {
    webhookId,
    type,
    version: parseInstant(text(envelope, "timestamp") ?? "") ?? 0,
    customerId: mentionedCustomer(type, optionalObject(envelope, "data") ?? {}),
    body,
  };
}

/** The customer that an event is about, whatever its type: a deletion empties all bodies about them. */
function mentionedCustomer(type: string, data: PolarObject): string | null {
  if (type.startsWith("customer.")) return text(data, "id");
  return text(data, "customer_id") ?? text(optionalObject(data, "customer") ?? {}, "id");
}

function readEvent(entry: InboxEntry, payload: unknown): ReadEvent {
  if (!isObject(payload)) throw new Unreadable("body: not a JSON object");
  const type = requiredText(payload, "type");
  const name = projectionOf(type);
  if (name === null) return { entry, projected: null };
  const data = optionalObject(payload, "data");
  if (data === null) throw new Unreadable("data: not an object");
  if (entry.version === 0) throw new Unreadable("timestamp: no instant");
  const projection = PROJECTIONS[name];
  return {
    entry,
    projected: { projection, snapshot: projection.read(data, { type, version: entry.version }) },
  };
}
