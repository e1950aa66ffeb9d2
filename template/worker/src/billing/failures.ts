/** What a failure below a route becomes: one of our errors, and a log line without personal data. */

import { SettingsError } from "../settings";
import { ApiError, type ErrorCode, type ErrorDetails } from "./errors";
import { PolarApiError } from "./polar";
import { Unreadable } from "./read";

export interface Failure {
  readonly code: ErrorCode;
  readonly details: ErrorDetails;
}

/** The answer for anything that was thrown. */
export function failure(error: unknown): Failure {
  if (error instanceof ApiError) return error;
  if (error instanceof PolarApiError) return polarFailure(error);
  if (error instanceof Unreadable) {
    log("polar_unreadable", { error: error.message });
    return { code: "polar_error", details: {} };
  }
  if (error instanceof SettingsError) {
    log("settings_error", { message: error.message });
    return { code: "unavailable", details: {} };
  }
  const text = error instanceof Error ? `${error.name}: ${error.message}` : "unknown";
  log("internal_error", { error: text });
  return text.includes("D1_") ? { code: "unavailable", details: { retryAfter: 5 } } : { code: "internal", details: {} };
}

function polarFailure(error: PolarApiError): Failure {
  log("polar_error", { status: error.status, error: error.error });
  if (error.status !== 429) return { code: "polar_error", details: {} };
  return { code: "unavailable", details: { retryAfter: error.retryAfter ?? 60 } };
}

function log(event: string, fields: Record<string, unknown>): void {
  console.error(JSON.stringify({ event, ...fields }));
}
