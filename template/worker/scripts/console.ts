/**
 * What the commands share: options, output, questions, progress, and how they end.
 *
 * A result goes to stdout, as text or with `--json` as one JSON document; all else goes to stderr. A command ends with
 * 0, with 1 when it found a problem or refused, with 2 when it was called wrongly, with 130 when Ctrl-C stopped it.
 */
import { createInterface } from "node:readline/promises";
import { styleText } from "node:util";
import { Command, CommanderError, Option } from "commander";
import { PolarApiError } from "../src/billing/polar.ts";
import { SettingsError } from "../src/settings.ts";

/** The command found a problem or will not go on; the message is one line for the person who called it. */
export class Refused extends Error {}

/** An argument is wrong in a way that only the command itself can tell. */
export class Misused extends Error {}

/** What every command can be told. */
export interface Options {
  readonly json?: boolean;
}

/** What a command that reaches the store can be told. */
export interface StoreOptions extends Options {
  readonly remote?: boolean;
  readonly persistTo?: string;
}

export const NO_ANSWER = "Polar does not answer: look at the network, and at POLAR_BASE_URL if it is set.";

const FOUND_A_PROBLEM = 1;
const CALLED_WRONGLY = 2;
const INTERRUPTED = 130;
const MS_BETWEEN_LINES = 10_000;
const CONTROL = /[\p{Cc}\u2028-\u202e\u2066-\u2069]/gu;

/** A command with `--json`; the first paragraph of `about` is its summary. */
export function command(name: string, about: string, example: string): Command {
  return plain(name, about)
    .option("--json", "Print the result as one JSON document.")
    .addHelpText("after", `\nExample: npm run billing -- ${example}`);
}

/** A command that reaches the store: the local one, or the deployed one when told so. */
export function storeCommand(name: string, about: string, example: string): Command {
  return command(name, about, example)
    .addOption(new Option("--remote", "Work on the deployed database.").conflicts("persistTo"))
    .option("--persist-to <folder>", "Work on the local database in this folder.");
}

/** A command that is a group of others, such as `endpoint sync`. */
export function group(name: string, about: string, commands: readonly Command[]): Command {
  const grouped = plain(name, about).helpCommand(false);
  for (const one of commands) grouped.addCommand(one);
  return grouped;
}

/** Adds `--yes` to a command that asks before what cannot be undone. */
export function asking(asks: Command): Command {
  return asks.option("--yes", "Do not ask; for scripts.");
}

/** Runs the command that the arguments name; what goes wrong is one line. */
export async function run(about: string, commands: Readonly<Record<string, Command>>): Promise<void> {
  try {
    await group("billing", about, Object.values(commands)).parseAsync();
  } catch (error) {
    process.exitCode = exitCode(error);
  }
}

/** Ends the command with 1 after its result was shown. */
export function foundProblem(): void {
  process.exitCode = FOUND_A_PROBLEM;
}

/** Prints the result of a command. */
export function show(result: object, lines: readonly string[], { json }: Options): void {
  console.log(json ? JSON.stringify(result, null, 2) : lines.join("\n"));
}

/** Tells the person something that is no result. */
export function note(line: string): void {
  console.error(styleText("dim", visible(line), { stream: process.stderr }));
}

/** Colours what is as it should be. */
export function good(text: string): string {
  return styleText("green", visible(text));
}

/** Colours what wants a look. */
export function warn(text: string): string {
  return styleText("yellow", visible(text));
}

/** Colours what is wrong. */
export function bad(text: string): string {
  return styleText("red", visible(text));
}

/** Aligns the cells of a table; the first row is its head. */
export function columns(rows: readonly (readonly string[])[]): string[] {
  const shown = rows.map((row) => row.map(visible));
  const widths = (shown[0] ?? []).map((_, column) => Math.max(...shown.map((row) => [...(row[column] ?? "")].length)));
  const pad = (cell: string, width: number) => cell + " ".repeat(width - [...cell].length);
  return shown.map((row) =>
    row
      .map((cell, column) => pad(cell, widths[column] ?? 0))
      .join("  ")
      .trimEnd(),
  );
}

/** Shows control characters as U+FFFD: names come from outside, and a terminal obeys what is in them. */
export function visible(text: string): string {
  return text.replace(CONTROL, "\ufffd");
}

/** Asks before what cannot be undone. Throws Refused on a no, and without a terminal unless `--yes` is given. */
export async function confirm(question: string, { yes }: { yes?: boolean }): Promise<void> {
  if (yes) return;
  if (!process.stdin.isTTY || !process.stderr.isTTY) {
    throw new Refused(`${question} There is no terminal to ask on; --yes says yes.`);
  }
  if (!/^y(es)?$/i.test(await answerTo(question))) throw new Refused("Nothing was changed.");
}

/** What is typed; nothing where Ctrl-C or Ctrl-D is the answer. */
async function answerTo(question: string): Promise<string> {
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  try {
    return (await terminal.question(`${question} [y/N]: `)).trim();
  } catch {
    console.error();
    return "";
  } finally {
    terminal.close();
  }
}

/** Goes through the items and shows on stderr how far it is: in place on a terminal, a line now and then elsewhere. */
export function* progress<Item>(items: Iterable<Item>, label: string, total: number): Generator<Item> {
  const { stderr } = process;
  let told = Date.now();
  let done = 0;
  try {
    for (const item of items) {
      if (stderr.isTTY) {
        stderr.write(`\r${label} ${done}/${total}`);
      } else if (Date.now() - told >= MS_BETWEEN_LINES) {
        note(`${label} ${done}/${total}`);
        told = Date.now();
      }
      yield item;
      done += 1;
    }
  } finally {
    if (stderr.isTTY) stderr.write("\r\x1b[K");
  }
}

/** Lets Ctrl-C wait for what is in hand: the function that work is given says whether it came. A second one ends all. */
export async function interruptible<Result>(work: (interrupted: () => boolean) => Promise<Result>): Promise<Result> {
  let came = false;
  // Those of the local store end the process at once.
  const others = process.listeners("SIGINT");
  const restore = () => {
    process.off("SIGINT", stop);
    for (const other of others) process.on("SIGINT", other);
  };
  const stop = () => {
    came = true;
    restore();
    note("Stopping after what is in hand; Ctrl-C once more ends it now.");
  };
  for (const other of others) process.off("SIGINT", other);
  process.on("SIGINT", stop);
  try {
    return await work(() => came);
  } finally {
    if (!came) restore();
  }
}

/** Ends a command that Ctrl-C stopped: says how far it came, and how it goes on. */
export function endInterrupted(done: number, total: number, advice: string): void {
  note(`Stopped after ${done} of ${total}. ${advice}`);
  process.exitCode = INTERRUPTED;
}

function plain(name: string, about: string): Command {
  return new Command(name)
    .summary(about.split("\n\n")[0] ?? "")
    .description(about)
    .helpOption("--help", "Show this message and exit.")
    .configureHelp({ styleTitle: (title) => styleText("bold", title), subcommandTerm: (listed) => listed.name() })
    .exitOverride();
}

function exitCode(error: unknown): number {
  // Commander has printed its own complaints already.
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : CALLED_WRONGLY;
  const label = styleText(["red", "bold"], "Error: ", { stream: process.stderr });
  console.error(label + visible(describe(error)));
  return error instanceof Misused ? CALLED_WRONGLY : FOUND_A_PROBLEM;
}

function describe(error: unknown): string {
  if (error instanceof Refused || error instanceof Misused) return error.message;
  if (error instanceof SettingsError) return `Settings: ${error.message}`;
  if (error instanceof PolarApiError) return error.status === 0 ? NO_ANSWER : `${error.message}.`;
  if (error instanceof Error && error.message.includes("D1_")) return "The database refused.";
  throw error;
}
