/** Polar's API for commands: the calls that only they make, no faster than Polar allows. */
import { setTimeout as sleep } from "node:timers/promises";
import {
  all,
  asPolarApiError,
  createCore,
  MAX_PAGES,
  PAGE_SIZE,
  PolarApi,
  PolarApiError,
} from "../src/billing/polar.ts";
import type { PolarCore } from "../src/billing/polar-sdk.ts";
import { isObject, type PolarObject, text } from "../src/billing/read.ts";
import type { PolarSettings } from "../src/settings.ts";
import { note } from "./console.ts";

/** Which attempts to deliver events are meant. */
export interface DeliveryQuery {
  readonly endpoint_id: string;
  readonly event_type?: string[];
  readonly start_timestamp?: string;
  readonly succeeded?: boolean;
}

/** What a request may have besides method and path; the SDK escapes the ids in the path. */
export interface Request {
  readonly ids?: Readonly<Record<string, string>>;
  readonly query?: Readonly<Record<string, string | number | boolean | string[]>>;
  readonly body?: object;
}

/** What Polar answered. */
interface Said {
  readonly ok: boolean;
  readonly status: number;
  readonly headers: Headers;
  readonly content: string;
}

/** Polar allows 100 and 500 calls a minute, and the running app makes some of them. */
const CALLS_A_MINUTE = { sandbox: 80, production: 400 };
const MAX_WAITS = 5;
const USUAL_WAIT_SECONDS = 60;
const LONGEST_WAIT_SECONDS = 300;
const ALL_PAGES = 100_000;
const MINUTE_MS = 60_000;

/** Polar's API, asked at a steady pace, and asked again where it says to come back later. */
export class OperatorPolar extends PolarApi {
  readonly #core: PolarCore;

  /** `timeout` is in seconds. */
  constructor(settings: PolarSettings, timeout?: number) {
    const core = patient(createCore(settings, timeout), paced(CALLS_A_MINUTE[settings.environment]));
    super(settings, core);
    this.#core = core;
  }

  /** All customers, oldest first: what is new comes last, and shifts no page. */
  customers(): Promise<PolarObject[]> {
    return this.list("/v1/customers/", { sorting: "created_at" }, ALL_PAGES);
  }

  customer(id: string): Promise<PolarObject> {
    return this.send("GET", "/v1/customers/{id}", { ids: { id } });
  }

  /** Gives a customer its external id, once and for all. */
  linkCustomer(id: string, externalId: string): Promise<PolarObject> {
    return this.send("PATCH", "/v1/customers/{id}", { ids: { id }, body: { external_id: externalId } });
  }

  endpoints(): Promise<PolarObject[]> {
    return this.list("/v1/webhooks/endpoints");
  }

  /** Attempts to deliver events, newest first; each shows its event. */
  deliveries(query: DeliveryQuery): Promise<PolarObject[]> {
    return this.list("/v1/webhooks/deliveries", { ...query }, ALL_PAGES);
  }

  /** The newest attempts to deliver events to an endpoint. */
  async newestDeliveries(endpointId: string): Promise<PolarObject[]> {
    const query = { endpoint_id: endpointId, page: 1, limit: PAGE_SIZE };
    const { items } = await this.send("GET", "/v1/webhooks/deliveries", { query });
    if (!Array.isArray(items) || !items.every(isObject)) throw new PolarApiError(200, "UnreadableAnswer");
    return items;
  }

  /** Has an event delivered once more. */
  async redeliver(id: string): Promise<void> {
    await this.send("POST", "/v1/webhooks/events/{id}/redeliver", { ids: { id } });
  }

  /** All items of a list. */
  list(path: string, query: Request["query"] = {}, maxPages = MAX_PAGES): Promise<PolarObject[]> {
    return all((paging) => this.send("GET", path, { query: { ...query, ...paging } }), maxPages);
  }

  /** Sends one request and returns the object in a good answer; empty where there is no body. */
  async send(method: string, path: string, request: Request = {}): Promise<PolarObject> {
    const said = await this.exchange(method, path, request);
    const answer = parsed(said.content);
    if (!said.ok) throw refusal(said, isObject(answer) ? answer : {});
    if (said.content === "") return {};
    if (!isObject(answer)) throw new PolarApiError(said.status, "UnreadableAnswer");
    return answer;
  }

  /** Sends one request and returns the answer, good or not. */
  async exchange(method: string, path: string, { ids, query, body }: Request = {}): Promise<Said> {
    try {
      const request = this.#core.buildRequest(method, path, { ...ids }, { ...query }, body);
      const response = await this.#core.sendRequest(request);
      const { ok, status, headers } = response;
      return { ok, status, headers, content: await response.text() };
    } catch (error) {
      throw asPolarApiError(error);
    }
  }
}

/** What a body says; null where it is no JSON. */
export function parsed(content: string): unknown {
  try {
    return JSON.parse(content);
  } catch {
    return null;
  }
}

/** The error that an answer which is no good tells of. */
function refusal({ status, headers }: Said, answer: PolarObject): PolarApiError {
  return new PolarApiError(status, text(answer, "error") ?? "", answer.detail ?? null, waitAsked(headers));
}

/** The seconds that Polar asks to wait; a proxy before it may name a date instead. */
function waitAsked(headers: Headers): number | null {
  const seconds = headers.get("retry-after") ?? "";
  return /^\d{1,5}$/.test(seconds) ? Number(seconds) : null;
}

/** Lets so many calls pass in any minute; the next one waits. */
function paced(callsAMinute: number): () => Promise<void> {
  const calls: number[] = [];
  return async () => {
    if (calls.length === callsAMinute) await sleep(Math.max(0, Number(calls.shift()) + MINUTE_MS - Date.now()));
    calls.push(Date.now());
  };
}

/** Sends each request when it is its turn; where Polar has it wait, again after that, unless that is for long. */
function patient(core: PolarCore, turn: () => Promise<void>): PolarCore {
  const send = core.sendRequest.bind(core);
  core.sendRequest = async (...request) => {
    for (let waits = 0; ; waits++) {
      await turn();
      const response = await send(...request);
      if (response.status !== 429 || waits === MAX_WAITS) return response;
      const seconds = waitAsked(response.headers) ?? USUAL_WAIT_SECONDS;
      if (seconds > LONGEST_WAIT_SECONDS) return response;
      note(`Polar asks to wait for ${seconds} s.`);
      await sleep(seconds * 1000);
    }
  };
  return core;
}
