/** Instants are integers in microseconds since 1970, UTC: Polar's own precision, and safe integers until the year 2255. */

export const SECOND_US = 1_000_000;
export const MINUTE_US = 60 * SECOND_US;
export const HOUR_US = 60 * MINUTE_US;
export const DAY_US = 24 * HOUR_US;

const ISO = /^(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)$/;

/** The years that can be written: 1 to 9999. A plan for life ends with them, and a leeway after it is beyond. */
const FIRST_MS = Date.UTC(2000, 0, 1) - 63_082_281_600_000;
const AFTER_LAST_MS = Date.UTC(10_000, 0, 1);
const LAST = "9999-12-31T23:59:59.999999Z";

/** Microseconds of an ISO 8601 instant with its offset, or null when the text is none. */
export function parseInstant(value: string): number | null {
  const [, day, time, fraction = "", offset] = ISO.exec(value) ?? [];
  const milliseconds = Date.parse(`${day}T${time}${offset}`);
  if (!(milliseconds >= FIRST_MS && milliseconds < AFTER_LAST_MS)) return null;
  return milliseconds * 1000 + Number(fraction.padEnd(6, "0").slice(0, 6));
}

/** The instant as `2026-10-01T12:00:00.000000Z`, always with six digits. */
export function formatInstant(us: number): string {
  const seconds = Math.floor(us / SECOND_US);
  if (seconds * 1000 >= AFTER_LAST_MS) return LAST;
  const whole = new Date(seconds * 1000).toISOString().slice(0, 19);
  return `${whole}.${String(us - seconds * SECOND_US).padStart(6, "0")}Z`;
}

/** The same for an instant that may be missing. */
export function formatOptionalInstant(us: number | null): string | null {
  return us === null ? null : formatInstant(us);
}
