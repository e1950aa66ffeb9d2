/**
 * Reading Polar's objects: only what is used, and tolerantly. A missing field is null, an unknown status is kept as it
 * is, and new fields are not looked at. Only what nothing works without, such as ids, is required.
 */
import { parseInstant } from "./time";

/** An object as Polar sent it. */
export type PolarObject = Readonly<Record<string, unknown>>;

/** A verified event, or an answer of Polar, that cannot be applied. The message names fields and never quotes values. */
export class Unreadable extends Error {
  constructor(message: string) {
    super(message);
    this.name = "Unreadable";
  }
}

const MAX_ID_LENGTH = 255;

export function isObject(value: unknown): value is PolarObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The object under a name, or null. */
export function optionalObject(parent: PolarObject, name: string): PolarObject | null {
  const value = parent[name];
  return isObject(value) ? value : null;
}

/** A list of objects. Anything else is an error: an empty list would look like losses. */
export function requiredObjects(parent: PolarObject, name: string): PolarObject[] {
  const value = parent[name];
  if (!Array.isArray(value) || !value.every(isObject)) throw new Unreadable(`${name}: not a list of objects`);
  return value;
}

export function requiredId(parent: PolarObject, name: string): string {
  const value = text(parent, name);
  if (value === null || value === "" || value.length > MAX_ID_LENGTH) throw new Unreadable(`${name}: no id`);
  return value;
}

export function requiredText(parent: PolarObject, name: string): string {
  const value = text(parent, name);
  if (value === null) throw new Unreadable(`${name}: no text`);
  return value;
}

/** Text without NULs, which stores cut or refuse. */
export function text(parent: PolarObject, name: string): string | null {
  const value = parent[name];
  return typeof value === "string" ? value.replaceAll("\0", "") : null;
}

/** A whole number that arithmetic can be trusted with. */
export function integer(parent: PolarObject, name: string): number | null {
  const value = parent[name];
  return Number.isSafeInteger(value) ? (value as number) : null;
}

export function flag(parent: PolarObject, name: string): 0 | 1 {
  return parent[name] === true ? 1 : 0;
}

/** An instant or null. A malformed one is an error: no end of a period would mean access without end. */
export function instant(parent: PolarObject, name: string): number | null {
  const value = parent[name];
  if (value === undefined || value === null) return null;
  const us = typeof value === "string" ? parseInstant(value) : null;
  if (us === null) throw new Unreadable(`${name}: no instant`);
  return us;
}

/** The user that our server wrote into the checkout's metadata; Polar copies it to subscription and order. */
export function appUserId(data: PolarObject): string | null {
  const metadata = optionalObject(data, "metadata");
  const value = metadata === null ? null : text(metadata, "app_user_id");
  return value === null || value === "" || value.length > MAX_ID_LENGTH ? null : value;
}
