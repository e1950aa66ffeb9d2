/** Asking Polar, with answers as they are: status, headers, JSON. */
import { createPolarCore, type PolarCore } from "../../src/billing/polar-sdk.ts";
import { isObject, optionalObject, type PolarObject, text } from "../../src/billing/read.ts";
import type { PolarSettings } from "../../src/settings.ts";
import { Skipped } from "./skipped.ts";

type Query = Readonly<Record<string, string | number | null>>;

const PAGE_SIZE = 100;
const MAX_PAGES = 50;
const TIMEOUT_SECONDS = 10;

/** What Polar answered. */
export class Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: unknown;

  constructor(status: number, headers: Headers, body: unknown) {
    this.status = status;
    this.headers = headers;
    this.body = body;
  }

  /** Polar's name of the error; empty where the body has none, as with a version that is removed. */
  get error(): string {
    return text(this.object, "error") ?? "";
  }

  /** The body, where it is an object. */
  get object(): PolarObject {
    return isObject(this.body) ? this.body : {};
  }

  /** Whether Polar does not know the API version: 404 with nothing but a detail. */
  get isVersionRemoved(): boolean {
    return this.status === 404 && this.error === "";
  }

  /** Why the answer is no use. */
  get refusal(): string {
    const reasons: Readonly<Record<number, string>> = {
      401: "Polar refuses the token.",
      403: "The token lacks a scope.",
      429: "Polar limits how often it is asked; try later.",
    };
    return reasons[this.status] ?? `Polar answered ${this.status}.`;
  }
}

/** Polar as the token of the project sees it; each list is asked for once. */
export class PolarSide {
  readonly server: string;
  readonly token: string;
  readonly #core: PolarCore;
  readonly #known = new Map<string, Promise<Answer | PolarObject[]>>();
  #reached = true;

  constructor({ accessToken, environment, baseUrl }: PolarSettings) {
    this.server = environment;
    this.token = accessToken;
    const address = baseUrl === undefined ? {} : { baseUrl };
    this.#core = createPolarCore({ accessToken, environment, timeout: TIMEOUT_SECONDS, ...address });
  }

  /** Sends one request. Where Polar does not answer, nothing more is asked: each would wait for a time-out. */
  async ask(method: string, path: string, query: Query = {}, body?: unknown): Promise<Answer> {
    if (!this.#reached) throw new Skipped("No answer from Polar.");
    try {
      const response = await this.#core.sendRequest(this.#core.buildRequest(method, path, {}, query, body));
      return new Answer(response.status, response.headers, parsed(await response.text()));
    } catch {
      this.#reached = false;
      throw new Skipped("No answer from Polar.");
    }
  }

  /** The answer to a plain question: it tells of token, API version and clock. */
  first(): Promise<Answer> {
    return this.#once("first", () => this.ask("GET", "/v1/products/", { limit: 1 }));
  }

  /** All products, archived ones too. */
  products(): Promise<PolarObject[]> {
    return this.#once("products", () => this.all("/v1/products/"));
  }

  /** All webhook endpoints. */
  endpoints(): Promise<PolarObject[]> {
    return this.#once("endpoints", () => this.all("/v1/webhooks/endpoints"));
  }

  /** All items of a list. */
  async all(path: string): Promise<PolarObject[]> {
    const items: PolarObject[] = [];
    for (let number = 1; number <= MAX_PAGES; number++) {
      const { found, last } = await this.page(path, number);
      items.push(...found);
      if (number >= last) break;
    }
    return items;
  }

  /** One page of a list, and the number of the last. */
  async page(path: string, number: number, query: Query = {}): Promise<{ found: PolarObject[]; last: number }> {
    const answer = await this.ask("GET", path, { ...query, page: number, limit: PAGE_SIZE });
    const { items } = answer.object;
    if (answer.status !== 200 || !Array.isArray(items)) throw new Skipped(answer.refusal);
    const last = optionalObject(answer.object, "pagination")?.max_page;
    return { found: items.filter(isObject), last: typeof last === "number" ? last : number };
  }

  #once<T extends Answer | PolarObject[]>(name: string, ask: () => Promise<T>): Promise<T> {
    const known = this.#known.get(name) ?? ask();
    this.#known.set(name, known);
    return known as Promise<T>;
  }
}

function parsed(content: string): unknown {
  try {
    return JSON.parse(content);
  } catch {
    return null;
  }
}
