/** `simulate`: plays what happens at Polar to the running app. */
import { randomBytes } from "node:crypto";
import { isUserId } from "../../src/auth/user.ts";
import { EVENTS } from "../../src/billing/events.ts";
import type { Bindings } from "../../src/settings.ts";
import { readSettings } from "../../src/settings.ts";
import {
  bad,
  columns,
  command,
  endInterrupted,
  foundProblem,
  good,
  interruptible,
  Misused,
  note,
  type Options,
  progress,
  Refused,
  show,
  visible,
  warn,
} from "../console.ts";
import { openSettings } from "../project.ts";
import { arranged, asExpected, type Played, play, type Told } from "../simulation/play.ts";
import { RunningApp } from "../simulation/running-app.ts";
import { begin, readScenarios, type Scenario, singleEvent, whyNot } from "../simulation/scenarios.ts";
import { signIn } from "../simulation/sign-in.ts";

interface SimulateOptions extends Options {
  readonly all?: boolean;
  readonly event?: string;
  readonly duplicates?: boolean;
  readonly shuffle?: boolean;
  readonly seed: number;
  readonly user?: string;
  readonly header?: string;
  readonly url: string;
}

/** What became of a scenario; `skipped` says why it was not played. */
interface Life {
  readonly name: string;
  readonly user: string | null;
  readonly skipped: string | null;
  readonly as_expected: boolean | null;
  readonly steps: readonly Played[];
}

const HEADER = /^[\w-]+:[\x20-\x7e]+$/;
const HEAD = ["step", "event", "answer", "access", "expected"];

export const simulate = command(
  "simulate",
  `Play what happens at Polar to the running app.

A scenario is the life of a user who buys your products. Its events are signed and delivered as by Polar, and the access before and after each step is shown beside the one that is expected; ends with 1 where it is another one. Neither network nor an account is needed. Only an app on this machine is played to, and what happens is written to its database. Polar knows nothing of it, so that a reconciliation takes it back.`,
  "simulate buy past_due recover",
)
  .argument("[scenarios...]", "Scenarios to play; none lists them.")
  .option("--all", "Play every scenario.")
  .option("--event <type>", "Send a single event of this type instead.")
  .option("--duplicates", "Deliver every event twice.")
  .option("--shuffle", "Deliver the events in another order.")
  .option("--seed <number>", "Which other order.", readSeed, 1)
  .option("--user <id>", "The user's id; a new user by default.")
  .option("--header <header>", "NAME: VALUE of the header that signs the user in.")
  .option("--url <address>", "The address of the running app.", "http://127.0.0.1:8787")
  .action(async (named: string[], options: SimulateOptions) => {
    const known = readScenarios();
    const chosen = choose(known, named, options);
    check(options);
    if (chosen.length === 0 && options.event === undefined) return list(known, options);
    const simulation = new Simulation(options);
    const { event } = options;
    const lives = event === undefined ? await playAll(simulation, chosen) : [await simulation.event(event)];
    const isExpected = showLives(lives, options);
    if (lives.length < chosen.length) {
      endInterrupted(lives.length, chosen.length, "What was played stays in the database.");
    } else if (!isExpected) foundProblem();
  });

/** Plays scenarios, as many as there are before Ctrl-C. */
function playAll(simulation: Simulation, chosen: readonly Scenario[]): Promise<Life[]> {
  return interruptible(async (interrupted) => {
    const lives: Life[] = [];
    for (const scenario of progress(chosen, "Simulating", chosen.length)) {
      lives.push(await simulation.scenario(scenario));
      if (interrupted()) break;
    }
    return lives;
  });
}

/** What is the same for every scenario that is played. */
class Simulation {
  readonly #options: SimulateOptions;
  readonly #settings: Record<string, string>;
  readonly #app: RunningApp;

  constructor(options: SimulateOptions) {
    this.#options = options;
    this.#settings = openSettings();
    const { server, webhookSecrets } = readSettings(this.#settings as unknown as Bindings);
    if (server === "production") throw new Refused("POLAR_SERVER is production: nothing is simulated there.");
    this.#app = new RunningApp(options.url, webhookSecrets[0] ?? "");
  }

  /** Plays a scenario, unless the catalogue lacks what it is about. */
  async scenario(scenario: Scenario): Promise<Life> {
    const { name, steps } = scenario;
    const skipped = whyNot(scenario);
    if (skipped !== null) return { name, user: null, skipped, as_expected: null, steps: [] };
    const user = this.#user();
    const life = begin(user);
    const told = steps.map(({ about, access, lines }) => ({
      do: about,
      expected: access,
      events: lines.flatMap((line) => [...life.play(line)]),
    }));
    return this.#play(name, user, told);
  }

  /** Sends one event of a type, about a life that the app was told nothing else of. */
  async event(type: string): Promise<Life> {
    const user = this.#user();
    const event = singleEvent(type, user);
    if (event === undefined) throw new Refused(`No scenario that fits the catalogue has an event ${type}.`);
    return this.#play(type, user, [{ do: "a single event", expected: null, events: [event] }]);
  }

  #user(): string {
    return this.#options.user ?? `simulated-${randomBytes(4).toString("hex")}`;
  }

  async #play(name: string, user: string, told: readonly Told[]): Promise<Life> {
    const { header, duplicates = false, shuffle, seed } = this.#options;
    const signedIn = header ?? (await signIn(this.#settings, user));
    const steps = await play(this.#app, signedIn, arranged(told, duplicates, shuffle ? seed : null));
    return { name, user, skipped: null, as_expected: steps.every(asExpected), steps };
  }
}

function readSeed(text: string): number {
  if (!/^\d{1,9}$/.test(text)) throw new Misused("--seed: must be a whole number.");
  return Number(text);
}

/** The scenarios that are asked for. */
function choose(known: ReadonlyMap<string, Scenario>, named: readonly string[], options: SimulateOptions): Scenario[] {
  const { all = false, event } = options;
  if ([named.length > 0, all, event !== undefined].filter(Boolean).length > 1) {
    throw new Misused("Scenarios, --all and --event exclude each other.");
  }
  if (event !== undefined && !Object.hasOwn(EVENTS, event)) {
    throw new Misused(`--event: Polar has no event type ${event}.`);
  }
  return all ? [...known.values()] : named.map((name) => scenarioCalled(name, known));
}

function scenarioCalled(name: string, known: ReadonlyMap<string, Scenario>): Scenario {
  const found = known.get(name);
  if (found === undefined) throw new Misused(`No scenario is called ${name}; \`simulate\` lists them.`);
  return found;
}

function check({ user, header }: SimulateOptions): void {
  if (user !== undefined && !isUserId(user)) throw new Misused("--user: must be 1 to 255 characters.");
  if (header !== undefined && (user === undefined || !HEADER.test(header))) {
    throw new Misused("--header: must be NAME: VALUE, with the --user that it signs in.");
  }
}

function list(known: ReadonlyMap<string, Scenario>, options: Options): void {
  const scenarios = [...known.values()].map((each) => ({
    name: each.name,
    about: each.about,
    skipped: whyNot(each),
  }));
  const lines = columns(
    scenarios.map(({ name, about, skipped }) => [name, skipped === null ? about : `${about} (Skipped: ${skipped}.)`]),
  );
  show({ scenarios }, lines, options);
}

/** Shows what was played. Returns whether something was, and all of it as expected. */
function showLives(lives: readonly Life[], options: SimulateOptions): boolean {
  const wrong = lives.filter((life) => life.as_expected === false).length;
  const skipped = lives.filter((life) => life.skipped !== null).length;
  if (lives.some(({ steps }) => steps.some(({ after }) => after === null))) {
    note("The access cannot be asked: sign the user in with --header and --user.");
  }
  const summary = `Played: ${lives.length - skipped}, not as expected: ${wrong}, skipped: ${skipped}.`;
  show({ url: options.url, scenarios: lives }, [...lives.flatMap(timeline), summary], options);
  return wrong === 0 && skipped < lives.length;
}

function timeline({ name, user, skipped, as_expected, steps }: Life): string[] {
  if (skipped !== null) return [warn(`${name}: skipped, for it ${skipped}.`), ""];
  const table = columns([HEAD, ...steps.flatMap(rows)]).map((line) => `  ${line}`);
  return [visible(`${name} of ${user}`), ...table, as_expected ? good("As expected.") : bad("Not as expected."), ""];
}

/** One row for each event, with the access beside the last. */
function rows({ do: what, before, after, expected, events }: Played): string[][] {
  return events.map(({ type, status }, place) => {
    const last = place === events.length - 1;
    const access = last ? [`${word(before)} -> ${word(after)}`, word(expected)] : ["", ""];
    return [place === 0 ? what : "", type, String(status), ...access];
  });
}

function word(access: boolean | null): string {
  return access === null ? "?" : access ? "yes" : "no";
}
