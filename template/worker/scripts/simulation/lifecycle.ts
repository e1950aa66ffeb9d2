/**
 * Plays a scenario of `scenarios.json`: keeps the objects of one customer and makes the events that Polar would send.
 *
 * A line of a scenario names an object, says what changes of it, and which events tell so:
 * `["subscription", {"status": "paused"}, "updated", "paused"]`. An object that is named first is made as
 * `objects.json` has it; `order:renewal` is one more order. Values in those files:
 *
 * - `@now`, `@+30d`, `@-1h`: an instant, fixed when it is written;
 * - `$order.id`, `$user`: what is there when it is written, also `$order.total_amount - 100`;
 * - `&customer`, `&self.price.id`: what is there when an event is made; `&~subscription` without the objects in it;
 * - `#`: a new id. A field that begins with `_` is never sent.
 */
import { randomUUID } from "node:crypto";
import { DAY_US, formatInstant, HOUR_US, MINUTE_US, SECOND_US } from "../../src/billing/time.ts";

/** An object as it is kept or sent; its fields are read as what they are. */
// biome-ignore lint/suspicious/noExplicitAny: fields of every kind, as in the JSON files
export type Json = Record<string, any>;

/** A line of a scenario: what it is about, what changes, and which events tell of it. */
export type Line = readonly [name: string, options?: Json, ...kinds: string[]];

/** A value that is read no more: text of a merchant or a user may look like a reference. */
export class Fixed {
  readonly value: unknown;

  constructor(value: unknown) {
    this.value = value;
  }
}

/** One event: its `webhook-id`, and its body as Polar sends it. */
export interface Event {
  readonly id: string;
  readonly type: string;
  readonly body: Json;
}

/** What a life begins with. */
export interface Beginning {
  /** What an object of each kind looks like at first: `objects.json`. */
  readonly objects: Readonly<Record<string, Json>>;
  /** `user`, `email`, `organization`, and the products that scenarios speak of, as Polar has them. */
  readonly names: Readonly<Json>;
  readonly apiVersion: string;
  /** The first instant, in microseconds. */
  readonly now: number;
  readonly newId?: () => string;
}

const TICK_US = 10_000;
const UNITS: Readonly<Record<string, number>> = { d: DAY_US, h: HOUR_US, m: MINUTE_US, s: SECOND_US };
const OFFSET = /^@([+-]\d+)([dhms])$/;
const REFERENCE = /^[$&](~?)([\w:.]+)(?: - (\d+))?$/;
const ENTITLED = ["active", "trialing", "paid", "partially_refunded"];

/** The objects of one user's customers at Polar, and the clock they live by. */
export class Lifecycle {
  /** The objects so far, by the names that scenarios give them. */
  readonly state = new Map<string, Json>();
  readonly #grants = new Map<string, { source: string; member: string; benefit: string; name: string }>();
  readonly #beginning: Beginning;
  readonly #newId: () => string;
  #now: number;

  constructor(beginning: Beginning) {
    this.#beginning = beginning;
    this.#newId = beginning.newId ?? randomUUID;
    this.#now = beginning.now;
  }

  /** Makes the events of one line, one after the other. */
  *play([name, options = {}, ...kinds]: Line): Generator<Event> {
    if (name === "state") {
      yield this.#event("customer.state_changed", this.customerState(options.of ?? "customer"));
    } else if (name === "grants") {
      yield* this.#grantEvents(options, kinds);
    } else {
      this.change(name, options);
      for (const kind of kinds) yield this.#event(`${kindOf(name)}.${kind}`, this.snapshot(name));
    }
  }

  /** Changes an object; one that is not there yet is made. */
  change(name: string, changes: Json): void {
    const known = this.state.get(name);
    const entry = known ?? { ...this.#beginning.objects[kindOf(name)], ...changes };
    if (known === undefined) this.state.set(name, entry);
    const changed = Object.keys(changes).length > 0 ? { modified_at: "@now", ...changes } : {};
    const news = known === undefined ? { ...entry } : changed;
    Object.assign(
      entry,
      mapValues(news, (value) => this.#fix(value, entry)),
    );
  }

  /** An object as it stands. */
  snapshot(name: string): Json {
    return this.#plain(this.#entry(name));
  }

  /** What Polar says of a customer as a whole. */
  customerState(name: string): Json {
    const { objects } = this.#beginning;
    const customer = this.snapshot(name);
    const live = this.#owned(customer.id, "subscription").filter((entry) =>
      ["active", "trialing"].includes(this.#of(entry, "status")),
    );
    const granted = this.#owned(customer.id, "benefit_grant").filter((entry) => this.#of(entry, "is_granted"));
    return {
      ...customer,
      active_subscriptions: live.map((entry) => this.#plain(objects.state_subscription ?? {}, entry)),
      granted_benefits: granted.map((entry) => this.#plain(objects.state_grant ?? {}, entry)),
      active_meters: this.#owned(customer.id, "customer_meter").map((entry) => this.#plain(entry)),
    };
  }

  #owned(customerId: string, kind: string): Json[] {
    const entries = [...this.state].filter(([name]) => kindOf(name) === kind).map(([, entry]) => entry);
    const owners = (entry: Json) => [this.#of(entry, "customer_id"), this.#of(entry, "_customer_id")];
    return entries.filter((entry) => owners(entry).includes(customerId));
  }

  #event(type: string, data: Json): Event {
    const body = { type, timestamp: this.#instant("@now"), api_version: this.#beginning.apiVersion, data };
    this.#now += TICK_US;
    return { id: this.#newId(), type, body };
  }

  /** Gives and takes the benefits of a purchase as it stands now; or tells `kinds` of those that are given. */
  *#grantEvents(options: Json, kinds: readonly string[]): Generator<Event> {
    const { of: source, member = "member" } = options;
    const purchase = this.#entry(source);
    const product = this.#of(purchase, kindOf(source) === "order" ? "_product" : "product");
    const entitled = !options.end && ENTITLED.includes(this.#of(purchase, "status"));
    const wanted = new Map<string, Json>(entitled ? product.benefits.map((each: Json) => [each.id, each]) : []);
    const held = [...this.#grants.values()].filter((grant) => grant.source === source && grant.member === member);
    const given = held.filter(({ name }) => this.#of(this.#entry(name), "is_granted"));
    for (const kind of kinds) {
      for (const { name } of given) yield this.#event(`benefit_grant.${kind}`, this.snapshot(name));
    }
    const ended = { is_granted: false, granted_at: null, is_revoked: true, revoked_at: "@now" };
    for (const { name, benefit } of given) if (!wanted.has(benefit)) yield* this.play([name, ended, "revoked"]);
    const again = { is_granted: true, granted_at: "@now", is_revoked: false, revoked_at: null };
    for (const [benefit, details] of wanted) {
      if (given.some((grant) => grant.benefit === benefit)) continue;
      const name = this.#grantName(source, member, benefit);
      const first = {
        [`${kindOf(source)}_id`]: `$${source}.id`,
        customer: `&${options.customer ?? "customer"}`,
        member: `&${member}`,
        benefit: new Fixed(details),
      };
      yield* this.play([name, this.state.has(name) ? again : first, "created"]);
    }
  }

  #grantName(source: string, member: string, benefit: string): string {
    const key = JSON.stringify([source, member, benefit]);
    const grant = this.#grants.get(key) ?? { source, member, benefit, name: `benefit_grant:${this.#grants.size}` };
    this.#grants.set(key, grant);
    return grant.name;
  }

  #entry(name: string): Json {
    const entry = this.state.get(name);
    if (entry === undefined) throw new Error(`${name}: no such object`);
    return entry;
  }

  /** Replaces what is to be read when it is written. */
  #fix(value: unknown, entry: Json): unknown {
    if (typeof value === "string" && /^[@$#]/.test(value)) return new Fixed(this.#read(value, entry));
    return mapInside(value, (each) => this.#fix(each, entry));
  }

  #plain(entry: Json, itself = entry): Json {
    const read = mapValues(entry, (value) => this.#read(value, itself));
    return Object.fromEntries(Object.entries(read).filter(([key]) => !key.startsWith("_")));
  }

  /** Gives a value as it goes into a body; `entry` is the object that `self` means. */
  #read(value: unknown, entry: Json): unknown {
    if (value instanceof Fixed) return value.value;
    if (value === "#") return this.#newId();
    if (typeof value === "string" && value.startsWith("@")) return this.#instant(value);
    if (typeof value === "string" && /^[$&]/.test(value)) return this.#follow(value, entry);
    return mapInside(value, (each) => this.#read(each, entry));
  }

  #follow(reference: string, entry: Json): unknown {
    const [, brief, path, less] = REFERENCE.exec(reference) ?? [];
    if (path === undefined) throw new Error(`${reference}: no reference`);
    const [first = "", ...rest] = path.split(".");
    let value = this.#start(first, rest[0], entry);
    for (const part of rest) value = value?.[part] ?? null;
    if (brief && value !== null) value = withoutObjects(value);
    return less !== undefined && typeof value === "number" ? value - Number(less) : value;
  }

  /** Gives what a path begins at. Of an object, the field in question alone: fields refer to each other. */
  #start(first: string, field: string | undefined, entry: Json): Json[string] {
    const { names, objects } = this.#beginning;
    if (Object.hasOwn(names, first)) return names[first];
    const target = first === "self" ? entry : this.state.get(first);
    if (target === undefined && !Object.hasOwn(objects, kindOf(first))) throw new Error(`${first}: no such name`);
    if (target === undefined) return null;
    return field === undefined ? this.#plain(target) : { [field]: this.#of(target, field) };
  }

  #of(entry: Json, key: string): Json[string] {
    return this.#read(entry[key] ?? null, entry);
  }

  #instant(text: string): string {
    const [, count, unit = ""] = OFFSET.exec(text) ?? [];
    return formatInstant(this.#now + (count === undefined ? 0 : Number(count) * (UNITS[unit] ?? 0)));
  }
}

/** `order` of `order:renewal`. */
export function kindOf(name: string): string {
  return name.split(":", 1)[0] ?? name;
}

function withoutObjects(value: Json): Json {
  const kept = ([key, each]: [string, unknown]) => key === "metadata" || each === null || typeof each !== "object";
  return Object.fromEntries(Object.entries(value).filter(kept));
}

/** Maps what a list or an object holds; anything else, and what is fixed, stays. */
function mapInside(value: unknown, change: (value: unknown) => unknown): unknown {
  if (Array.isArray(value)) return value.map(change);
  if (value === null || typeof value !== "object" || value instanceof Fixed) return value;
  return mapValues(value, change);
}

function mapValues(entry: object, change: (value: unknown) => unknown): Json {
  return Object.fromEntries(Object.entries(entry).map(([key, value]) => [key, change(value)]));
}
