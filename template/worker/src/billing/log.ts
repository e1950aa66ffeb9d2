/** Structured log lines: one JSON object a line; ids and names of errors only, never personal data or secrets. */
import { Unreadable } from "./read";

type Fields = Readonly<Record<string, string | number | boolean | null | undefined>>;

/** Says what happened. */
export function logInfo(event: string, fields: Fields): void {
  console.log(JSON.stringify({ event, ...fields }));
}

/** Says what went wrong. */
export function logError(event: string, fields: Fields): void {
  console.error(JSON.stringify({ event, ...fields }));
}

/** An error without the data that its message may repeat: D1's messages and our own about a payload repeat none. */
export function errorName(error: unknown): string {
  if (!(error instanceof Error)) return typeof error;
  return error instanceof Unreadable || error.message.startsWith("D1_") ? String(error) : error.name;
}
