/** Plays events to the running app, and asks for the access between them. */
import { createHash } from "node:crypto";
import type { Event } from "./lifecycle.ts";
import type { RunningApp } from "./running-app.ts";

/** A step with the events that tell of it, and the access after it; null where that is not known. */
export interface Told {
  readonly do: string;
  readonly expected: boolean | null;
  readonly events: readonly Event[];
}

/** An event that was delivered, and the status of the answer. */
export interface Delivered {
  readonly type: string;
  readonly webhook_id: string;
  readonly status: number;
}

/** A step that was played, and the access before and after it; null where it cannot be asked. */
export interface Played {
  readonly do: string;
  readonly before: boolean | null;
  readonly after: boolean | null;
  readonly expected: boolean | null;
  readonly events: readonly Delivered[];
}

const ACCEPTED = 202;

/** Delivers the events step by step; the header signs the user in. Throws Refused when the app does not take part. */
export async function play(app: RunningApp, header: string | null, told: readonly Told[]): Promise<Played[]> {
  const access = async () => (header === null ? null : app.access(header));
  const played: Played[] = [];
  for (const { do: what, expected, events } of told) {
    const before = await access();
    const delivered: Delivered[] = [];
    for (const event of events) {
      delivered.push({ type: event.type, webhook_id: event.id, status: await app.deliver(event) });
    }
    played.push({ do: what, before, after: await access(), expected, events: delivered });
  }
  return played;
}

/** Whether every event was accepted, and the access is not another one than expected. */
export function asExpected({ after, expected, events }: Played): boolean {
  const differs = after !== null && expected !== null && after !== expected;
  return !differs && events.every(({ status }) => status === ACCEPTED);
}

/** The steps with every event twice, if wanted, and as one step in another order, if there is a seed. */
export function arranged(told: readonly Told[], duplicates: boolean, seed: number | null): Told[] {
  const twice = (event: Event) => (duplicates ? [event, event] : [event]);
  const steps = told.map((step) => ({ ...step, events: step.events.flatMap(twice) }));
  return seed === null ? steps : [shuffled(steps, seed)];
}

/** One step with all events, in an order that the seed decides alike in both runtimes. */
function shuffled(told: readonly Told[], seed: number): Told {
  const placed = told
    .flatMap(({ events }) => events)
    .map((event, place) => ({ event, key: createHash("sha256").update(`${seed}/${place}`).digest("hex") }));
  placed.sort((one, other) => (one.key < other.key ? -1 : 1));
  return {
    do: `all of it, in the order of seed ${seed}`,
    expected: told.at(-1)?.expected ?? null,
    events: placed.map(({ event }) => event),
  };
}
