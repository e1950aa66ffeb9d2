/**
 * `npm run billing -- COMMAND`: operates billing, by the tool of the very version of the template that this project is
 * of. uv fetches it once; after that it starts without a network. `migrate` needs neither.
 */
import "./node-version.mjs";
import { spawn } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { constants, homedir } from "node:os";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { parseArgs, styleText } from "node:util";

const PROJECT = join(import.meta.dirname, "..");
const OVERRIDE = "POLAR_BILLING_TOOL";
/** The tool writes it when it starts: what uv printed until then is of no interest, and may hold credentials. */
const STARTED = 0x06;
const PATIENCE_MS = 3000;
const FORWARDED = /** @type {const} */ (["SIGTERM", "SIGHUP"]);
const INSTALL_UV = "https://docs.astral.sh/uv/getting-started/installation/";

/** @param {string} message @param {number} [code] @returns {never} */
function fail(message, code = 2) {
  console.error(styleText(["red", "bold"], "Error: ", { stream: process.stderr }) + message);
  process.exit(code);
}

/** What `uvx --from` takes for the tool of this project. */
function source() {
  const override = process.env[OVERRIDE];
  if (override) return override.startsWith("-") ? fail(`${OVERRIDE}: is no source.`) : override;
  const { file, text } = answers();
  const path = answer(file, text, "_src_path");
  const commit = answer(file, text, "_commit_hash") || answer(file, text, "_commit");
  if (path === "") fail(`${file} does not say where the project comes from; ${OVERRIDE} can.`);
  const revision = /-\d+-g([0-9a-f]{4,40})$/.exec(commit)?.[1] ?? commit;
  const address = addressOf(path.replace(/^git\+/, ""));
  if (address.includes("://")) return `git+${address}${revision && `@${revision}`}`;
  return revision === "" ? address : `git+${pathToFileURL(address)}@${revision}`;
}

/** The file of answers. */
function answers() {
  const files = readdirSync(PROJECT).filter((name) => /^\.copier-answers.*\.ya?ml$/.test(name));
  const texts = files.map((file) => ({ file, text: readFileSync(join(PROJECT, file), "utf8") }));
  const [first, second] = texts.filter(({ text }) => /^polar_catalog:/m.test(text));
  if (first === undefined) fail(`There is no .copier-answers.yml of this project; ${OVERRIDE} names the tool.`);
  if (second) fail(`There are two projects in one folder: ${first.file} and ${second.file}. Keep the right one.`);
  if (/^(<{7}|>{7})/m.test(first.text)) fail(`${first.file} has conflict markers: resolve them first.`);
  return first;
}

/** An answer that can be part of an argument. @param {string} file @param {string} text @param {string} name */
function answer(file, text, name) {
  const line = new RegExp(`^${name}:[ \\t]*(.*?)[ \\t\\r]*$`, "m").exec(text)?.[1] ?? "";
  const value = /^(["'])(.*)\1$/.exec(line)?.[2] ?? line;
  if (/^-|[\s\p{Cc}]/u.test(value)) fail(`${file}: ${name} is unsafe.`);
  return value;
}

/** An address for git, or an absolute path. @param {string} path */
function addressOf(path) {
  const long = path.replace(/^gh:\/?/, "https://github.com/").replace(/^gl:\/?/, "https://gitlab.com/");
  if (long !== path) return long.replace(/(\.git)?$/, ".git");
  if (path.includes("://")) return path;
  if (/^[\w.-]+@[\w.-]+:/.test(path)) return `ssh://${path.replace(/:\/?/, "/")}`;
  return resolve(PROJECT, path.replace(/^~(?=\/|$)/, homedir()));
}

/** A source as it may be shown: without credentials. @param {string} from */
function shown(from) {
  if (!from.includes("://")) return from;
  if (!URL.canParse(from)) return "its source";
  const { protocol, host, pathname } = new URL(from);
  return `${protocol}//${host}${pathname}`;
}

/**
 * Runs the tool to its end and returns its exit code; null where uv ended without having started it.
 * @param {string[]} command @returns {Promise<number | null>}
 */
function run(command) {
  const env = { ...process.env, COPIER_POLAR_STDERR: "3", COPIER_POLAR_CALLED_AS: "npm run billing --" };
  const tool = spawn("uvx", command, { cwd: PROJECT, env, stdio: ["inherit", "inherit", "pipe", 2] });
  let [started, interrupted] = [false, false];
  tool.on("error", () => fail(`The billing tool needs uv: ${INSTALL_UV} says how to get it.`));
  tool.stderr?.on("data", (/** @type {Buffer} */ piece) => {
    const rest = started ? piece : piece.subarray(piece.indexOf(STARTED) + 1);
    started ||= rest.length < piece.length;
    if (!started) return;
    clearTimeout(waiting);
    process.stderr.write(rest);
  });
  // A terminal sends Ctrl-C to the tool too, which ends in its own time.
  process.on("SIGINT", () => {
    interrupted = true;
  });
  for (const signal of FORWARDED) process.on(signal, () => tool.kill(signal));
  return new Promise((done) => {
    tool.on("close", (code, signal) => {
      if (signal !== null) done(128 + constants.signals[signal]);
      else done(started ? code : interrupted ? 130 : null);
    });
  });
}

/** Applies the migrations, without the tool. @param {string[]} args */
async function migrate(args) {
  const { remote, json, "persist-to": folder } = optionsIn(args);
  if (remote && folder !== undefined) fail("--remote cannot be used with --persist-to.");
  const { applyMigrations, complaint } = await import("./wrangler.ts");
  const local = folder === undefined ? ["--local"] : ["--local", "--persist-to", folder];
  const done = applyMigrations(remote ? ["--remote"] : local);
  if (done.status !== 0) fail(`The database could not be migrated. ${complaint(done)}`, 1);
  console.log(json ? JSON.stringify({ current: true }, null, 2) : styleText("green", "The database is up to date."));
}

/** @param {string[]} args */
function optionsIn(args) {
  const flag = /** @type {const} */ ({ type: "boolean" });
  try {
    return parseArgs({ args, options: { remote: flag, json: flag, "persist-to": { type: "string" } } }).values;
  } catch (error) {
    return fail(error instanceof Error ? error.message : "Called wrongly.");
  }
}

const args = process.argv.slice(2);
/** @type {NodeJS.Timeout | undefined} */
let waiting;
if (args[0] === "migrate" && !args.includes("--help")) {
  await migrate(args.slice(1));
} else {
  const from = source();
  const command = ["--from", from, "copier-polar", ...args];
  waiting = setTimeout(() => console.error("Fetching the billing tool, once for this version …"), PATIENCE_MS);
  // Without the network first: what was fetched once starts at once, also where the source is gone.
  const code = (await run(["--offline", ...command])) ?? (await run(command));
  clearTimeout(waiting);
  const advice = `Look at the network, or name another source in ${OVERRIDE}.`;
  if (code === null) fail(`The billing tool cannot be fetched from ${shown(from)}. ${advice}`);
  process.exitCode = code;
}
