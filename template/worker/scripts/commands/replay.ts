/** `replay`: applies stored events once more, or has Polar deliver them once more. */
import { replay as applyAgain } from "../../src/billing/inbox.ts";
import { isGone } from "../../src/billing/polar.ts";
import { isObject, type PolarObject } from "../../src/billing/read.ts";
import { DAY_US, formatInstant, HOUR_US, MINUTE_US, parseInstant } from "../../src/billing/time.ts";
import { reactions } from "../../src/reactions.ts";
import { audit } from "../audit.ts";
import {
  asking,
  bad,
  confirm,
  endInterrupted,
  foundProblem,
  good,
  interruptible,
  Misused,
  progress,
  Refused,
  type StoreOptions,
  show,
  storeCommand,
} from "../console.ts";
import type { OperatorPolar } from "../polar.ts";
import { type Project, withProject } from "../project.ts";

interface ReplayOptions extends StoreOptions {
  readonly type: readonly string[];
  readonly since?: string;
  readonly failed?: boolean;
  readonly fromPolar?: boolean;
  readonly reactions?: boolean;
  readonly yes?: boolean;
}

/** Which events are meant: those that failed, where nothing else is said. */
interface Choice {
  readonly ids: readonly string[];
  readonly types: readonly string[];
  readonly since: number | null;
  readonly failed: boolean;
}

/** An event that is meant; without a type when it was named and is not known. */
interface Chosen {
  readonly webhook_id: string;
  readonly type: string;
}

interface Replayed extends Chosen {
  readonly outcome: string;
}

const UNITS: Readonly<Record<string, number>> = { m: MINUTE_US, h: HOUR_US, d: DAY_US };
const DONE = ["processed", "ignored", "redelivered"];

export const replay = asking(
  storeCommand(
    "replay",
    `Apply events once more.

Those that failed, unless ids, a type or a time choose others. From the inbox none of your reactions run, unless told so; what was reacted to already is not told again. From Polar, the app gets them as deliveries, and does with what it has not applied yet what it always does. Ends with 1 where an event could not be replayed.`,
    "replay --type order.paid --since 7d",
  ),
)
  .argument("[webhook_id...]", "Ids of events.")
  .option("--type <type>", "Events of this type; may be repeated.", (type, types) => [...types, type], [] as string[])
  .option("--since <time>", "Events since then: 2026-11-01, an instant, or 30m, 12h, 7d ago.")
  .option("--failed", "Only those that failed.")
  .option("--from-polar", "From Polar's delivery log instead of the inbox.")
  .option("--reactions", "Run your reactions too.")
  .action(async (ids: string[], options: ReplayOptions) => {
    const choice = readChoice(ids, options);
    const { events, total } = await withProject(options, (project) => replayAll(project, choice, options));
    const stuck = events.filter(({ outcome }) => !DONE.includes(outcome));
    const lines = events.map((event) =>
      (stuck.includes(event) ? bad : good)(Object.values(event).filter(Boolean).join(" ")),
    );
    show({ events }, [...lines, `Replayed: ${events.length} event(s), ${stuck.length} failed.`], options);
    if (events.length < total) endInterrupted(events.length, total, "Run it again: nothing is applied twice.");
    else if (stuck.length > 0) foundProblem();
  });

function readChoice(ids: string[], options: ReplayOptions): Choice {
  const { type: types, since, failed = false, fromPolar, reactions } = options;
  if (fromPolar && reactions) throw new Misused("--reactions: with --from-polar the app itself reacts.");
  const chosen = types.length > 0 || since !== undefined || failed;
  if (ids.length > 0 && chosen) throw new Misused("Ids are meant as they are; leave out --type, --since and --failed.");
  return { ids, types, since: readInstant(since), failed: failed || !(ids.length > 0 || chosen) };
}

function readInstant(since: string | undefined): number | null {
  if (since === undefined) return null;
  const [, count, unit = ""] = /^(\d{1,5})([mhd])$/.exec(since) ?? [];
  if (count !== undefined) return Date.now() * 1000 - Number(count) * Number(UNITS[unit]);
  const moment = parseInstant(since.length === "2026-11-01".length ? `${since}T00:00:00Z` : since);
  if (moment === null) throw new Misused("--since: must be like 2026-11-01, 2026-11-01T12:00:00Z or 7d.");
  return moment;
}

/** What was replayed, of how many: fewer where Ctrl-C stopped it. */
async function replayAll(
  project: Project,
  choice: Choice,
  options: ReplayOptions,
): Promise<{ events: Replayed[]; total: number }> {
  const events = options.fromPolar ? await atPolar(project, choice) : await inInbox(project.db, choice);
  const total = events.length;
  if (total === 0) return { events: [], total };
  if (options.reactions) await confirm(`Replay ${total} event(s), and run your reactions to them?`, options);
  await audit(project.db, "replay", describe(choice)).run();
  const again = againBy(project, options);
  return interruptible(async (interrupted) => {
    const replayed: Replayed[] = [];
    for (const event of progress(events, "Replaying", total)) {
      replayed.push({ ...event, outcome: await again(event.webhook_id) });
      if (interrupted()) break;
    }
    return { events: replayed, total };
  });
}

/** How an event is replayed; what it gives is the outcome. */
function againBy({ db, polar: connect }: Project, options: ReplayOptions): (id: string) => Promise<string> {
  if (options.fromPolar) {
    const polar = connect();
    return (id) => redeliver(polar, id);
  }
  const handlers = options.reactions ? reactions : null;
  return async (id) => (await applyAgain(db, id, Date.now() * 1000, handlers)) ?? "missing";
}

function describe({ ids, types, since, failed }: Choice): string {
  const time = since === null ? [] : [`since ${formatInstant(since)}`];
  return [...(failed ? ["failed"] : []), ...ids, ...types, ...time].join(" ");
}

/** Those that still have their body, oldest first. */
async function inInbox(db: D1Database, { ids, types, since, failed }: Choice): Promise<Chosen[]> {
  const { results } = await db
    .prepare(
      `SELECT webhook_id, type FROM billing_webhook_events
       WHERE body IS NOT NULL AND received_us >= ?1
         AND (?2 = '[]' OR webhook_id IN (SELECT value FROM json_each(?2)))
         AND (?3 = '[]' OR type IN (SELECT value FROM json_each(?3)))
         AND (?4 = 0 OR state IN ('failed', 'dead'))
       ORDER BY received_us, webhook_id`,
    )
    .bind(since ?? 0, JSON.stringify(ids), JSON.stringify(types), failed ? 1 : 0)
    .all<Chosen>();
  return byId([...ids.map((id) => ({ webhook_id: id, type: "" })), ...results]);
}

async function atPolar(
  { polar: connect, services }: Project,
  { ids, types, since, failed }: Choice,
): Promise<Chosen[]> {
  const polar = connect();
  if (ids.length > 0) return byId(ids.map((id) => ({ webhook_id: id, type: "" })));
  const attempts = await polar.deliveries({
    endpoint_id: await ownEndpoint(polar, services().settings.appUrl),
    ...(types.length > 0 && { event_type: [...types] }),
    ...(since !== null && { start_timestamp: formatInstant(since) }),
    ...(failed && { succeeded: false }),
  });
  const events = attempts.map(({ webhook_event: event }) => event).filter(isObject);
  const wanted = events.filter(({ succeeded }) => !(failed && succeeded === true));
  return byId(wanted.reverse().map(({ id, type }) => ({ webhook_id: String(id), type: String(type ?? "") })));
}

/** Each event once, in the place where it is first and as it is last. */
function byId(events: readonly Chosen[]): Chosen[] {
  return [...new Map(events.map((event) => [event.webhook_id, event])).values()];
}

/** The id of our webhook endpoint: an organization may have others, of other apps. */
async function ownEndpoint(polar: OperatorPolar, appUrl: string): Promise<string> {
  const address = `${appUrl}/webhooks/polar`;
  const isOurs = ({ url }: PolarObject) => String(url).replace(/\/+$/, "") === address;
  const endpoint = (await polar.endpoints()).find(isOurs);
  if (endpoint === undefined) throw new Refused(`Polar has no webhook endpoint for ${address}.`);
  return String(endpoint.id);
}

async function redeliver(polar: OperatorPolar, webhookId: string): Promise<string> {
  try {
    await polar.redeliver(webhookId);
    return "redelivered";
  } catch (error) {
    if (isGone(error)) return "missing";
    throw error;
  }
}
