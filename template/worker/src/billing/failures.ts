/** What a failure below a route becomes: one of our errors, and a log line without personal data. */

import { SettingsError } from "../settings";
import { ApiError, type ErrorCode, type ErrorDetails } from "./errors";
import { errorName, logError } from "./log";
import { PolarApiError } from "./polar";
import { Unreadable } from "./read";

/** It makes `.dev.vars` and the tables, and passes on what wrangler alone would not read. */
const START = "Start the Worker with npm run dev, not with wrangler dev.";

export interface Failure {
  readonly code: ErrorCode;
  readonly details: ErrorDetails;
}

/** The answer for anything that was thrown. */
export function failure(error: unknown): Failure {
  if (error instanceof ApiError) return error;
  if (error instanceof PolarApiError) return polarFailure(error);
  if (error instanceof Unreadable) {
    logError("polar_unreadable", { error: error.message });
    return { code: "polar_error", details: {} };
  }
  if (error instanceof SettingsError) {
    logError("settings_error", { message: error.message, in_development: START });
    return { code: "unavailable", details: {} };
  }
  const text = errorName(error);
  logError("internal_error", { error: text, stack: framesOf(error) });
  return text.includes("D1_") ? { code: "unavailable", details: { retryAfter: 5 } } : { code: "internal", details: {} };
}

function polarFailure(error: PolarApiError): Failure {
  logError("polar_error", { status: error.status, error: error.error });
  if (error.status !== 429) return { code: "polar_error", details: {} };
  return { code: "unavailable", details: { retryAfter: error.retryAfter ?? 60 } };
}

/** Where it happened, without the message. */
function framesOf(error: unknown): string | null {
  const frames = error instanceof Error ? error.stack?.match(/^ +at .*$/gm) : null;
  return frames?.map((frame) => frame.trim()).join("\n") ?? null;
}
