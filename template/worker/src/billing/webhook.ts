/** Polar's webhook: verified on the raw bytes, stored and applied, and answered 202 whatever is in it. */
import { reactions as ownReactions } from "../reactions";
import { errorResponse } from "./errors";
import { type Receipt, receive } from "./inbox";
import { errorName, logError, logInfo } from "./log";
import { webhooks } from "./polar-sdk";
import type { Reactions } from "./reactions";

export interface WebhookDeps {
  readonly db: D1Database;
  /** Several while a secret is being rotated: at Polar the old one dies at once. */
  readonly secrets: readonly string[];
  readonly now: number;
  readonly reactions?: Reactions;
}

/** The largest genuine body seen had 10.1 KB. */
const MAX_BODY_BYTES = 1024 * 1024;
const RETRY_AFTER_SECONDS = 5;
/** The SDK's. */
const TOLERANCE_SECONDS = 5 * 60;

/**
 * Answers a delivery. Only 2xx counts as success at Polar, and ten events in a row that fail all their attempts switch
 * the endpoint off: so an event that cannot be applied is kept here, and answered 202 too.
 */
export async function handleWebhook(request: Request, deps: WebhookDeps): Promise<Response> {
  const started = Date.now();
  const headers = Object.fromEntries(request.headers);
  const webhookId = headers["webhook-id"] ?? "";
  const plausible = mayBeSigned(headers);
  const body = plausible ? await readLimited(request, MAX_BODY_BYTES) : new Uint8Array();
  if (body === null) return errorResponse("body_too_large");
  const signed = plausible ? await openSigned(body, headers, deps.secrets) : null;
  if (signed === null) {
    log(webhookId, { outcome: "refused", type: "", customerId: null }, started);
    return errorResponse("invalid_signature");
  }
  try {
    const { db, now, reactions = ownReactions } = deps;
    log(webhookId, await receive(db, { webhookId, body, ...signed }, now, reactions), started);
  } catch (error) {
    logError("webhook_not_stored", { webhook_id: webhookId, error: errorName(error) });
    return errorResponse("unavailable", { retryAfter: RETRY_AFTER_SECONDS });
  }
  return Response.json({ received: true }, { status: 202 });
}

/** Whether headers look like a signature of now: all that can be known before the body is read. */
function mayBeSigned(headers: Record<string, string>): boolean {
  const age = Date.now() / 1000 - Number(headers["webhook-timestamp"] || Number.NaN);
  const named = headers["webhook-id"] && headers["webhook-signature"]?.includes(",");
  return Boolean(named) && Math.abs(age) <= TOLERANCE_SECONDS;
}

/** The body, or null when it is too large; what comes after the limit is not read. */
async function readLimited(request: Request, limit: number): Promise<Uint8Array | null> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of request.body ?? []) {
    size += chunk.byteLength;
    if (size > limit) return null;
    chunks.push(chunk);
  }
  return new Uint8Array(await new Blob(chunks).arrayBuffer());
}

/** What Polar signed; without a payload where it is of a type unknown to us, or no JSON. Null: Polar did not sign it. */
interface Signed {
  readonly payload?: unknown;
}

async function openSigned(
  body: Uint8Array,
  headers: Record<string, string>,
  secrets: readonly string[],
): Promise<Signed | null> {
  for (const secret of secrets) {
    const signed = await openSignedWith(body, headers, secret);
    if (signed !== null) return signed;
  }
  return null;
}

/** The SDK knows both key schemes. Its other complaints come after the signature was found right. */
async function openSignedWith(
  body: Uint8Array,
  headers: Record<string, string>,
  secret: string,
): Promise<Signed | null> {
  try {
    return { payload: await webhooks.validateEvent(body, headers, secret) };
  } catch (error) {
    if (error instanceof webhooks.PolarWebhookVerificationError) return null;
    if (error instanceof webhooks.PolarWebhookError) return {};
    throw error;
  }
}

function log(
  webhookId: string,
  { outcome, type, customerId }: Omit<Receipt, "outcome"> & { outcome: Receipt["outcome"] | "refused" },
  started: number,
): void {
  logInfo("webhook", {
    webhook_id: webhookId,
    type,
    outcome,
    duration_ms: Date.now() - started,
    customer_id: customerId,
  });
}
