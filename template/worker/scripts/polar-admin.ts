/** What commands ask of Polar that can do nothing without it: where it refuses, they end with one line that says why. */
import { MAX_PAGES, PAGE_SIZE, PolarApiError } from "../src/billing/polar.ts";
import { API_VERSION } from "../src/billing/polar-sdk.ts";
import { isObject, type PolarObject } from "../src/billing/read.ts";
import type { Settings } from "../src/settings.ts";
import { NO_ANSWER, Refused } from "./console.ts";
import { OperatorPolar, type Request } from "./polar.ts";

/** An object that Polar has under an id. */
export type Item = PolarObject & { readonly id: string };

const TIMEOUT_SECONDS = 10;
const LONGEST_MESSAGE = 300;

/** Polar as the access token of the project sees it. Its failures are `Refused`: no command can do without Polar. */
export class PolarAdmin {
  readonly #api: OperatorPolar;

  /** Throws Refused where the products are demo products. */
  constructor({ polar }: Settings) {
    if (polar === null) {
      throw new Refused("The products are demo products, so there is no Polar to ask: connect your account first.");
    }
    this.#api = new OperatorPolar(polar, TIMEOUT_SECONDS);
  }

  /** All items of a list, which needs this scope. A list without end is an error, not half a list. */
  async items(path: string, scope: string): Promise<Item[]> {
    const found = await this.#api.list(path).catch((error: unknown) => {
      throw refused(error, scope, path);
    });
    if (!found.every(isItem)) throw new Refused(unreadable(200));
    return found;
  }

  /** Sends one request, which needs this scope. Returns the answer: an object, empty where there is none. */
  async ask(method: string, path: string, scope: string, request: Request = {}): Promise<PolarObject> {
    return this.#api.send(method, path, request).catch((error: unknown) => {
      throw refused(error, scope, path);
    });
  }
}

/** Whether this is an object with an id. */
export function isItem(value: unknown): value is Item {
  return isObject(value) && typeof value.id === "string";
}

/** Says that an answer is none of Polar's API. */
export function unreadable(status: number): string {
  return `Polar's answer (${status}) cannot be read: is POLAR_BASE_URL, or a proxy, in between?`;
}

/** A failure as one line. */
function refused(error: unknown, scope: string, path: string): unknown {
  return error instanceof PolarApiError ? new Refused(describe(error, scope, path)) : error;
}

/** Why Polar refused and what to do. What was asked is not repeated: it may be personal or secret. */
function describe({ status, error, detail, retryAfter }: PolarApiError, scope: string, path: string): string {
  if (status >= 500) return `Polar has a fault of its own (${status}): try again later.`;
  switch (status) {
    case 0:
      return NO_ANSWER;
    case 401:
      return "Polar refuses the access token: it is wrong, expired, or of another server than POLAR_SERVER says.";
    case 403:
      return `The access token lacks the scope ${scope}: give it that in Settings > Developers at Polar.`;
    case 404:
      return error === "ResourceNotFound"
        ? "Polar no longer has what was to be changed: run the command again."
        : `Polar does not know API version ${API_VERSION} at this address: update the project.`;
    case 429:
      return `Polar limits how often it is asked: try again in ${retryAfter === null ? "a minute" : `${retryAfter} seconds`}.`;
    default:
      return describeOther(status, error, detail, path);
  }
}

function describeOther(status: number, error: string, detail: unknown, path: string): string {
  if (error === "TooManyPages") {
    return `Polar has more than ${MAX_PAGES * PAGE_SIZE} entries in ${path}, which is more than can be read.`;
  }
  const problems = status === 422 ? problemsIn(detail) : "";
  return problems === "" ? unreadable(status) : `Polar refuses the request: ${problems}`;
}

/** What a 422 complains about. */
function problemsIn(detail: unknown): string {
  const entries = Array.isArray(detail) ? detail.filter(isObject) : [];
  const told = entries.map(({ loc, msg }) => `${whereOf(loc)}: ${msg}`);
  return told.join("; ").slice(0, LONGEST_MESSAGE);
}

function whereOf(location: unknown): string {
  return Array.isArray(location) ? location.filter((part) => part !== "body").join(".") : "request";
}
