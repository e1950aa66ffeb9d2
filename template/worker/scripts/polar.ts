/** Polar's API for commands: the calls that only they make, no faster than Polar allows. */
import { setTimeout as sleep } from "node:timers/promises";
import { all, asPolarApiError, createCore, one, PolarApi } from "../src/billing/polar.ts";
import type { PolarCore } from "../src/billing/polar-sdk.ts";
import type { PolarObject } from "../src/billing/read.ts";
import type { PolarSettings } from "../src/settings.ts";
import { note } from "./console.ts";

/** Which attempts to deliver events are meant. */
export interface DeliveryQuery {
  readonly endpoint_id: string;
  readonly event_type?: string[];
  readonly start_timestamp?: string;
  readonly succeeded?: boolean;
}

type Query = Record<string, string | number | boolean | string[]>;

/** Polar allows 100 and 500 calls a minute, and the running app makes some of them. */
const CALLS_A_MINUTE = { sandbox: 80, production: 400 };
const MAX_WAITS = 5;
const USUAL_WAIT_SECONDS = 60;
const MAX_PAGES = 100_000;
const MINUTE_MS = 60_000;

/** Polar's API, asked at a steady pace, and asked again where it says to come back later. */
export class OperatorPolar extends PolarApi {
  readonly #core: PolarCore;

  constructor(settings: PolarSettings) {
    const core = patient(createCore(settings), paced(CALLS_A_MINUTE[settings.environment]));
    super(settings, core);
    this.#core = core;
  }

  /** All customers, oldest first: what is new comes last, and shifts no page. */
  customers(): Promise<PolarObject[]> {
    return this.#list("/v1/customers/", { sorting: "created_at" });
  }

  customer(id: string): Promise<PolarObject> {
    return one(this.#send("json", "GET", "/v1/customers/{id}", { id }));
  }

  /** Gives a customer its external id, once and for all. */
  linkCustomer(id: string, externalId: string): Promise<PolarObject> {
    return one(this.#send("json", "PATCH", "/v1/customers/{id}", { id }, {}, { external_id: externalId }));
  }

  endpoints(): Promise<PolarObject[]> {
    return this.#list("/v1/webhooks/endpoints", {});
  }

  /** Attempts to deliver events, newest first; each shows its event. */
  deliveries(query: DeliveryQuery): Promise<PolarObject[]> {
    return this.#list("/v1/webhooks/deliveries", { ...query });
  }

  /** Has an event delivered once more. The answer has no body that could be read. */
  async redeliver(id: string): Promise<void> {
    await this.#send("none", "POST", "/v1/webhooks/events/{id}/redeliver", { id }).catch((error: unknown) => {
      throw asPolarApiError(error);
    });
  }

  #list(path: string, query: Query): Promise<PolarObject[]> {
    return all((paging) => this.#send("json", "GET", path, {}, { ...query, ...paging }), MAX_PAGES);
  }

  /** The SDK escapes the ids in the path. */
  async #send(
    answer: "json" | "none",
    method: string,
    path: string,
    ids: Record<string, string>,
    query: Query = {},
    body?: object,
  ): Promise<unknown> {
    const request = this.#core.buildRequest(method, path, ids, query, body);
    return this.#core.parseResponse(await this.#core.sendRequest(request), answer);
  }
}

/** Lets so many calls pass in any minute; the next one waits. */
function paced(callsAMinute: number): () => Promise<void> {
  const calls: number[] = [];
  return async () => {
    if (calls.length === callsAMinute) await sleep(Math.max(0, Number(calls.shift()) + MINUTE_MS - Date.now()));
    calls.push(Date.now());
  };
}

/** Sends each request when it is its turn; where Polar has it wait, again after that. */
function patient(core: PolarCore, turn: () => Promise<void>): PolarCore {
  const send = core.sendRequest.bind(core);
  core.sendRequest = async (...request) => {
    for (let waits = 0; ; waits++) {
      await turn();
      const response = await send(...request);
      if (response.status !== 429 || waits === MAX_WAITS) return response;
      const asked = response.headers.get("retry-after") ?? "";
      const seconds = /^\d{1,5}$/.test(asked) ? Number(asked) : USUAL_WAIT_SECONDS;
      note(`Polar asks to wait for ${seconds} s.`);
      await sleep(seconds * 1000);
    }
  };
  return core;
}
