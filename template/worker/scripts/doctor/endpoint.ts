/** The webhook endpoint at Polar, its deliveries, and the address that it calls. */
import { API_VERSION } from "../../src/billing/polar-sdk.ts";
import { optionalObject, type PolarObject, text } from "../../src/billing/read.ts";
import { DELIVERY_CAUSES } from "./checks.ts";
import type { Examination, Found } from "./examination.ts";
import { EVENTS } from "./generated.ts";
import { Skipped } from "./skipped.ts";

const TIMEOUT_MS = 10_000;

/** Nothing is registered at our address. */
export async function endpointMissing(x: Examination): Promise<Found[]> {
  if ((await registered(x)).length > 0) return [];
  const urls = (await x.polar.endpoints()).map(({ url }) => String(url)).sort();
  return [{ place: x.webhookUrl, what: `is not registered; registered: ${urls.join(", ") || "none"}` }];
}

/** Every event comes more than once. */
export async function endpointDuplicate(x: Examination): Promise<Found[]> {
  const { length } = await ours(x);
  return length > 1 ? [{ place: x.webhookUrl, what: `is registered ${length} times` }] : [];
}

/** Endpoints that Polar has switched off. */
export async function endpointDisabled(x: Examination): Promise<Found[]> {
  return (await ours(x))
    .filter(({ enabled }) => enabled === false)
    .map((endpoint) => ({ place: placeOf(endpoint), what: "is switched off: what happens meanwhile is lost" }));
}

/** Events that are applied here and not sent. */
export async function endpointEvents(x: Examination): Promise<Found[]> {
  return (await ours(x)).flatMap((endpoint) => {
    const sent = new Set(Array.isArray(endpoint.events) ? endpoint.events : []);
    const missing = Object.keys(EVENTS).filter((type) => EVENTS[type] && !sent.has(type));
    if (missing.length === 0) return [];
    return [{ place: placeOf(endpoint), what: `does not send ${missing.sort().join(", ")}` }];
  });
}

/** Formats for chat rooms. */
export async function endpointFormat(x: Examination): Promise<Found[]> {
  return (await ours(x))
    .filter(({ format }) => format !== "raw")
    .map((endpoint) => ({ place: placeOf(endpoint), what: `sends ${endpoint.format}, not raw` }));
}

/** The version of the deliveries is not that of the code. */
export async function endpointVersion(x: Examination): Promise<Found[]> {
  return (await ours(x))
    .filter(({ api_version: version }) => version !== API_VERSION)
    .map((endpoint) => ({
      place: placeOf(endpoint),
      what: `sends ${endpoint.api_version}; the code is written for ${API_VERSION}`,
    }));
}

/** The endpoint's secret is not among ours; it is shown nowhere. */
export async function endpointSecret(x: Examination): Promise<Found[]> {
  const { webhookSecrets } = x.settings;
  return (await ours(x))
    .filter(({ secret }) => !webhookSecrets.includes(String(secret)))
    .map((endpoint) => ({ place: "POLAR_WEBHOOK_SECRET", what: `is not the secret of ${placeOf(endpoint)}` }));
}

/** The failures among the newest deliveries, by their cause. */
export async function deliveriesFailing(x: Examination): Promise<Found[]> {
  const found: Found[] = [];
  for (const endpoint of await ours(x)) {
    const deliveries = await x.polar.deliveries(String(endpoint.id));
    const failed = deliveries.filter(({ succeeded }) => succeeded === false);
    for (const [code, alike] of [...Map.groupBy(failed, codeOf)].sort(([a], [b]) => a - b)) {
      const last = text(optionalObject(alike[0] ?? {}, "webhook_event") ?? {}, "type");
      const what = `${alike.length} of the newest ${deliveries.length} got ${code || "nothing"} (last: ${last}): ${cause(code)}`;
      found.push({ place: placeOf(endpoint), what });
    }
  }
  return found;
}

/** An unsigned event, sent to the app's public address, must be refused by the app itself. */
export async function deployedRoute(x: Examination): Promise<Found[]> {
  const { status } = await post(x.webhookUrl);
  if (status === 401) return [];
  return [{ place: `POST ${x.webhookUrl}`, what: `answers ${status}, not 401: ${cause(status)}` }];
}

async function post(url: string): Promise<Response> {
  try {
    const headers = { "content-type": "application/json" };
    const signal = AbortSignal.timeout(TIMEOUT_MS);
    return await fetch(url, { method: "POST", headers, body: "{}", redirect: "manual", signal });
  } catch {
    throw new Skipped("No answer from APP_URL.");
  }
}

async function registered(x: Examination): Promise<PolarObject[]> {
  if (x.isLocal) throw new Skipped("APP_URL is this machine, which Polar cannot call.");
  return (await x.polar.endpoints()).filter(({ url }) => String(url).replace(/\/+$/, "") === x.webhookUrl);
}

async function ours(x: Examination): Promise<PolarObject[]> {
  const endpoints = await registered(x);
  if (endpoints.length === 0) throw new Skipped("No endpoint is registered for the app.");
  return endpoints;
}

function placeOf({ id }: PolarObject): string {
  return `endpoint ${id}`;
}

/** What a delivery was answered; 0 for nothing. */
function codeOf({ http_code: code }: PolarObject): number {
  return typeof code === "number" ? code : 0;
}

function cause(code: number): string | undefined {
  if (code === 0) return DELIVERY_CAUSES.none;
  if (code < 300) return "it was accepted without a signature";
  return DELIVERY_CAUSES[code] ?? DELIVERY_CAUSES[String(code).charAt(0)];
}
