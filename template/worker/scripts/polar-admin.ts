/** What only commands ask of Polar, such as webhook endpoints: raw answers, and one line where it refuses. */
import { API_VERSION, createPolarCore, type PolarCore } from "../src/billing/polar-sdk.ts";
import { isObject, optionalObject, type PolarObject } from "../src/billing/read.ts";
import type { Settings } from "../src/settings.ts";
import { Refused } from "./console.ts";

/** An object that Polar has under an id. */
export type Item = PolarObject & { readonly id: string };

/** What a request may have besides method and path. */
interface Request {
  readonly id?: string;
  readonly query?: Readonly<Record<string, number>>;
  readonly body?: object;
}

const PAGE_SIZE = 100;
const MAX_PAGES = 50;
const TIMEOUT_SECONDS = 10;
const LONGEST_MESSAGE = 300;

/** Polar as the access token of the project sees it. Its failures are `Refused`: no command can do without Polar. */
export class PolarAdmin {
  readonly #core: PolarCore;

  /** Throws Refused where the products are demo products. */
  constructor({ polar }: Settings) {
    if (polar === null) {
      throw new Refused("The products are demo products, so there is no Polar to ask: connect your account first.");
    }
    const { accessToken, environment, baseUrl } = polar;
    const address = baseUrl === undefined ? {} : { baseUrl };
    this.#core = createPolarCore({ accessToken, environment, timeout: TIMEOUT_SECONDS, ...address });
  }

  /** All items of a list, which needs this scope. A list without end is an error, not half a list. */
  async items(path: string, scope: string): Promise<Item[]> {
    const found: Item[] = [];
    for (let page = 1; page <= MAX_PAGES; page++) {
      const answer = await this.ask("GET", path, scope, { query: { page, limit: PAGE_SIZE } });
      const { items } = answer;
      const last = optionalObject(answer, "pagination")?.max_page;
      if (!Array.isArray(items) || !items.every(isItem) || !Number.isInteger(last)) throw new Refused(unreadable(200));
      found.push(...items);
      if (page >= Number(last)) return found;
    }
    throw new Refused(
      `Polar has more than ${MAX_PAGES * PAGE_SIZE} entries in ${path}, which is more than can be read.`,
    );
  }

  /** Sends one request, which needs this scope. Returns the answer: an object, empty where there is none. */
  async ask(method: string, path: string, scope: string, { id, query, body }: Request = {}): Promise<PolarObject> {
    const { status, headers, content } = await this.#send(method, path, id === undefined ? {} : { id }, query, body);
    if (status === 204) return {};
    const answer = parsed(content);
    if (status < 200 || status > 299) throw new Refused(refusal(status, answer, headers.get("retry-after"), scope));
    if (answer === null) throw new Refused(unreadable(status));
    return answer;
  }

  async #send(method: string, path: string, ids: Record<string, string>, query: object = {}, body?: object) {
    try {
      const request = this.#core.buildRequest(method, path, ids, { ...query }, body);
      const response = await this.#core.sendRequest(request);
      return { status: response.status, headers: response.headers, content: await response.text() };
    } catch {
      throw new Refused("Polar does not answer: look at the network, and at POLAR_BASE_URL if it is set.");
    }
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

/** Why Polar refused and what to do. What was asked is not repeated: it may be personal or secret. */
function refusal(status: number, answer: PolarObject | null, retryAfter: string | null, scope: string): string {
  if (status >= 500) return `Polar has a fault of its own (${status}): try again later.`;
  switch (status) {
    case 401:
      return "Polar refuses the access token: it is wrong, expired, or of another server than POLAR_SERVER says.";
    case 403:
      return `The access token lacks the scope ${scope}: give it that in Settings > Developers at Polar.`;
    case 404:
      return answer?.error === "ResourceNotFound"
        ? "Polar no longer has what was to be changed: run the command again."
        : `Polar does not know API version ${API_VERSION} at this address: update the project.`;
    case 429: {
      const wait = /^\d+$/.test(retryAfter ?? "") ? `${retryAfter} seconds` : "a minute";
      return `Polar limits how often it is asked: try again in ${wait}.`;
    }
    default: {
      const problems = status === 422 ? problemsIn(answer) : "";
      return problems === "" ? unreadable(status) : `Polar refuses the request: ${problems}`;
    }
  }
}

/** What a 422 complains about. */
function problemsIn(answer: PolarObject | null): string {
  const entries = Array.isArray(answer?.detail) ? answer.detail.filter(isObject) : [];
  const told = entries.map(({ loc, msg }) => `${whereOf(loc)}: ${msg}`);
  return told.join("; ").slice(0, LONGEST_MESSAGE);
}

function whereOf(location: unknown): string {
  return Array.isArray(location) ? location.filter((part) => part !== "body").join(".") : "request";
}

function parsed(content: string): PolarObject | null {
  try {
    const value: unknown = JSON.parse(content);
    return isObject(value) ? value : null;
  } catch {
    return null;
  }
}
