/** JSON bodies of our routes: small, and nothing in them but the keys a route names. */
import { ApiError } from "./errors";

const MAX_BODY_BYTES = 16 * 1024;
const NAMED_KEYS = 5;
const NAME_LENGTH = 40;

export type Body<Key extends string> = Partial<Record<Key, unknown>>;

/** Reads a JSON object with these keys and no others. */
export async function readBody<Key extends string>(
  request: Request,
  keys: readonly Key[],
  { mayBeEmpty = false } = {},
): Promise<Body<Key>> {
  const text = await readText(request);
  if (mayBeEmpty && text === "") return {};
  const type = request.headers.get("Content-Type")?.split(";")[0]?.trim().toLowerCase();
  if (type !== "application/json") throw invalid("The content type must be application/json.");
  const body = parseObject(text);
  const unknown = Object.keys(body).filter((key) => !(keys as readonly string[]).includes(key));
  if (unknown.length > 0) throw invalid(`Unknown keys: ${named(unknown)}.`);
  return body as Body<Key>;
}

/** A required, non-empty string of the body. */
export function requiredString(name: string, value: unknown, maxLength = 100): string {
  if (typeof value !== "string" || value === "" || value.length > maxLength) {
    throw invalid(`${name}: must be a string of 1 to ${maxLength} characters.`);
  }
  return value;
}

/** The error for a body that a route does not take. */
export function invalid(message: string): ApiError {
  return new ApiError("invalid_body", { message });
}

async function readText(request: Request): Promise<string> {
  if (Number(request.headers.get("Content-Length") ?? 0) > MAX_BODY_BYTES) {
    throw new ApiError("body_too_large");
  }
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of request.body ?? []) {
    size += chunk.byteLength;
    if (size > MAX_BODY_BYTES) throw new ApiError("body_too_large");
    chunks.push(chunk);
  }
  return decode(await new Blob(chunks).arrayBuffer());
}

function decode(bytes: ArrayBuffer): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw invalid("The body is not UTF-8.");
  }
}

function parseObject(text: string): object {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw invalid("The body is not JSON.");
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw invalid("The body must be a JSON object.");
  }
  return value;
}

function named(keys: string[]): string {
  const shown = keys.slice(0, NAMED_KEYS).map((key) => JSON.stringify([...key].slice(0, NAME_LENGTH).join("")));
  return shown.join(", ") + (keys.length > NAMED_KEYS ? ", …" : "");
}
