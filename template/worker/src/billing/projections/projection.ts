/** What every projection has in common: a snapshot of one object, read out of an event or an answer of Polar. */
import { instant, type PolarObject, requiredId, text } from "../read";

export type Value = string | number | null;
export type Row = Readonly<Record<string, Value>>;

/** Which event a snapshot is of. The newest by `version` wins; the others only break ties. */
export interface Stamp {
  /** The envelope's `timestamp`: `modified_at` stands still for pending changes, and was seen to go back. */
  readonly version: number;
  readonly webhookId: string;
}

/** What any payload may tell about a customer or member, whatever else it is about; each is written once. */
export interface Identity {
  readonly id: string;
  readonly externalId: string | null;
  readonly createdUs: number;
  readonly deletedUs: number | null;
}

export interface MemberIdentity extends Identity {
  readonly customerId: string;
  readonly role: string | null;
}

export interface Snapshot {
  /** The row's columns, its key first. */
  readonly row: Row;
  readonly modifiedUs: number;
  /** The customer that it is about; null only for a checkout before its buyer is known. */
  readonly customer: Identity | null;
  readonly member: MemberIdentity | null;
}

/** What the envelope says beside the snapshot. */
export interface Envelope {
  readonly type: string;
  readonly version: number;
}

export interface Projection {
  readonly table: string;
  readonly key: "id" | "customer_id";
  /** A column that keeps its first value, outside the order of events. */
  readonly writtenOnce: string | null;
  /** Reads a snapshot; throws `Unreadable`. Without an envelope it comes from Polar's API. */
  readonly read: (data: PolarObject, envelope?: Envelope) => Snapshot;
}

/** The customer itself, wherever it is embedded. */
export function identityOf(customer: PolarObject): Identity {
  return {
    id: requiredId(customer, "id"),
    externalId: text(customer, "external_id"),
    createdUs: instant(customer, "created_at") ?? 0,
    deletedUs: instant(customer, "deleted_at"),
  };
}

/** The owner of an object: its embedded customer, or at least that customer's id. */
export function customerOf(data: PolarObject, embedded: PolarObject | null): Identity {
  const id = requiredId(data, "customer_id");
  if (embedded !== null && embedded.id === id) return identityOf(embedded);
  return { id, externalId: null, createdUs: 0, deletedUs: null };
}

export function modifiedUs(data: PolarObject): number {
  return instant(data, "modified_at") ?? instant(data, "created_at") ?? 0;
}
