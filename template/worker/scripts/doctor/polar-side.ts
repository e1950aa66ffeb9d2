/** Asking Polar, with answers as they are: status, headers, JSON. */
import { isGone, PolarApiError } from "../../src/billing/polar.ts";
import { isObject, type PolarObject, text } from "../../src/billing/read.ts";
import type { PolarSettings } from "../../src/settings.ts";
import { OperatorPolar, parsed, type Request } from "../polar.ts";
import { Skipped } from "./skipped.ts";

const TIMEOUT_SECONDS = 10;
const REASONS: Readonly<Record<number, string>> = {
  0: "No answer from Polar.",
  200: "Polar's answer cannot be read.",
  401: "Polar refuses the token.",
  403: "The token lacks a scope.",
  429: "Polar limits how often it is asked; try later.",
};

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
    return reasonFor(this.status);
  }
}

/**
 * Polar as the token of the project sees it; each list is asked for once.
 *
 * Where Polar does not answer, or has us wait for too long, nothing more is asked: each check would wait once more.
 */
export class PolarSide {
  readonly server: string;
  readonly token: string;
  readonly #api: OperatorPolar;
  readonly #known = new Map<string, Promise<Answer | PolarObject[]>>();
  #silent = "";

  constructor(settings: PolarSettings) {
    this.server = settings.environment;
    this.token = settings.accessToken;
    this.#api = new OperatorPolar(settings, TIMEOUT_SECONDS);
  }

  /** Sends one request. */
  async ask(method: string, path: string, request: Request = {}): Promise<Answer> {
    const answer = await this.#told(async () => {
      const { status, headers, content } = await this.#api.exchange(method, path, request);
      return new Answer(status, headers, parsed(content));
    });
    if (answer.status === 429) this.#silent = answer.refusal;
    return answer;
  }

  /** The answer to a plain question: it tells of token, API version and clock. */
  first(): Promise<Answer> {
    return this.#once("first", () => this.ask("GET", "/v1/products/", { query: { limit: 1 } }));
  }

  /** All products, archived ones too. */
  products(): Promise<PolarObject[]> {
    return this.#once("products", () => this.#told(() => this.#api.list("/v1/products/")));
  }

  /** All webhook endpoints. */
  endpoints(): Promise<PolarObject[]> {
    return this.#once("endpoints", () => this.#told(() => this.#api.endpoints()));
  }

  /** The newest deliveries to an endpoint. */
  deliveries(endpointId: string): Promise<PolarObject[]> {
    return this.#told(() => this.#api.newestDeliveries(endpointId));
  }

  /** A customer's state; null where Polar has no such customer. */
  customerState(id: string): Promise<PolarObject | null> {
    return this.#told(() =>
      this.#api.send("GET", "/v1/customers/{id}/state", { ids: { id } }).catch((error: unknown) => {
        if (isGone(error)) return null;
        throw error;
      }),
    );
  }

  async #told<T>(ask: () => Promise<T>): Promise<T> {
    if (this.#silent !== "") throw new Skipped(this.#silent);
    try {
      return await ask();
    } catch (error) {
      if (!(error instanceof PolarApiError)) throw error;
      if (error.error === "TooManyPages") throw new Skipped("Polar's list is longer than can be read.");
      const reason = reasonFor(error.status);
      if (error.status === 0 || error.status === 429) this.#silent = reason;
      throw new Skipped(reason);
    }
  }

  #once<T extends Answer | PolarObject[]>(name: string, ask: () => Promise<T>): Promise<T> {
    const known = this.#known.get(name) ?? ask();
    this.#known.set(name, known);
    return known as Promise<T>;
  }
}

function reasonFor(status: number): string {
  return REASONS[status] ?? `Polar answered ${status}.`;
}
