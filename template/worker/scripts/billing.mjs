/**
 * `npm run billing -- COMMAND`: operates billing, by the tool at the commit of the template that made this project.
 * uv fetches it once; after that it starts without a network. `migrate` needs neither.
 */
import "./node-version.mjs";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync, statSync } from "node:fs";
import { constants, homedir } from "node:os";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { parseArgs, styleText } from "node:util";

const PROJECT = join(import.meta.dirname, "..");
const OVERRIDE = "POLAR_BILLING_TOOL";
const STARTED = 0x06; // the tool writes it to its stderr when it starts; from then on it uses ours
const FORWARDED = /** @type {const} */ (["SIGTERM", "SIGHUP"]); // Ctrl-C reaches the tool by itself
// What an answers file says becomes an argument of programs, and may be anybody's.
const UNPRINTABLE = /[\p{Cc}\u2028-\u202e\u2066-\u2069]/u;
const URL_FORM = /^(?:git\+)?((?:https?|ssh|git|file):\/\/(?!-)(?!.*@-)[^\s\\#?]+)$/;
const LOGIN_AND_PATH = /^(\w[\w.-]*@\w[\w.-]*):(?!\/?\/)([^\s\\#?]+)$/;
const REVISION = /^(?:.+-\d+-g(?=[0-9a-f]{4,64}$))?((?!.*\.\.)\w[\w.+/-]*)$/;
const YAML = /^(?:'((?:[^']|'')*)'|"([^"\\]*)"|([^'"].*)?)$/;

/** @param {string} message @param {number} [code] @returns {never} */
function fail(message, code = 2) {
  console.error(styleText(["red", "bold"], "Error: ", { stream: process.stderr }) + message);
  process.exit(code);
}

/** @param {string} name */
const unusable = (name) => fail(`The answers file has no usable ${name}. ${OVERRIDE} can name the billing tool.`);

/** What `uvx --from` takes for the tool of this project. */
function source() {
  const chosen = process.env[OVERRIDE];
  if (chosen) return /^-/.test(chosen) || UNPRINTABLE.test(chosen) ? fail(`${OVERRIDE}: is no source.`) : chosen;
  const text = answers();
  const address = addressOf(value(text, "_src_path"));
  // A whole hash is found in uv's cache; for a tag git would ask its server each time.
  const commit = value(text, "_commit_hash") || value(text, "_commit");
  if (commit === "") return address.includes("://") ? `git+${address}` : address;
  const [, revision] = REVISION.exec(commit) ?? unusable("_commit");
  return `git+${address.includes("://") ? address : `file://${encodeURIComponent(address).replaceAll("%2F", "/")}`}@${revision}`;
}

/** A source with the extra that `mcp` alone needs; a requirement stays as it is. @param {string} from */
function withExtra(from) {
  if (/^copier-polar\b/.test(from)) return from;
  return `copier-polar[mcp] @ ${from.includes("://") ? from : pathToFileURL(resolve(PROJECT, from))}`;
}

/** The text of the file of answers. */
function answers() {
  const files = readdirSync(PROJECT).filter((name) => /^\.copier-answers.*\.ya?ml$/.test(name));
  const readable = files.filter((file) => statSync(join(PROJECT, file)).isFile()).sort();
  const texts = readable.map((file) => ({ file, text: readFileSync(join(PROJECT, file), "utf8") }));
  const [first, ...more] = texts.filter(({ text }) => /^\ufeff?polar_catalog:/m.test(text));
  if (!first) fail(`${PROJECT} has no answers file, which names the billing tool. ${OVERRIDE} can name it.`);
  const both = [first, ...more].map(({ file }) => file).join(" and ");
  if (more.length > 0) fail(`There are two projects in one folder: ${both}. Keep the one that is meant.`);
  if (/^(<{7}|>{7})/m.test(first.text)) fail(`${first.file} has conflict markers: resolve them first.`);
  return first.text;
}

/** A value of YAML, bare or in quotes; a long one goes on in the next line. @param {string} text @param {string} name */
function value(text, name) {
  const lines = new RegExp(`^\\ufeff?${name}:(.*(?:\\n[ \\t]+\\S.*)*)`, "m").exec(text)?.[1] ?? "";
  const [, single, double, bare = ""] = YAML.exec(lines.trim().replace(/\s*\n\s+/g, " ")) ?? unusable(name);
  return single?.replaceAll("''", "'") ?? double ?? bare;
}

/** An address for git, or an absolute path. @param {string} given */
function addressOf(given) {
  const long = given.replace(/^gh:\/*/, "https://github.com/").replace(/^gl:\/*/, "https://gitlab.com/");
  const place = long === given ? given : `${long.replace(/\.git$/, "")}.git`;
  if (place === "" || /^-/.test(place) || place !== place.trim() || UNPRINTABLE.test(place)) unusable("_src_path");
  const [, url] = URL_FORM.exec(place) ?? [];
  const [, login, path] = LOGIN_AND_PATH.exec(place) ?? [];
  if (url || login) return url ?? `ssh://${login}/${path}`;
  if (/::|:\/\/|^~(?!\/)/.test(place)) unusable("_src_path");
  return resolve(PROJECT, place.replace(/^~/, homedir()));
}

/** Runs the tool to its end; null where uv ended first. What uv prints may hold credentials. @param {string[]} command */
async function run(command) {
  const own = { COPIER_POLAR_STDERR: "3", COPIER_POLAR_CALLED_AS: "npm run billing --" };
  const tool = spawn("uvx", command, { cwd: PROJECT, env: { ...process.env, ...own }, stdio: [0, 1, "pipe", 2] });
  const patience = setTimeout(() => console.error("Fetching the billing tool, once for this version …"), 3000);
  let [started, pressed] = [false, false];
  tool.on("error", () => fail("The billing tool needs uv: https://docs.astral.sh/uv/getting-started/installation/"));
  tool.stderr?.on("data", (/** @type {Buffer} */ piece) => {
    started ||= piece.includes(STARTED);
    if (started) clearTimeout(patience);
  });
  process.on("SIGINT", () => (pressed = true));
  for (const signal of FORWARDED) process.on(signal, () => tool.kill(signal));
  const [code, signal] = await once(tool, "close");
  clearTimeout(patience);
  if (signal !== null) return 128 + constants.signals[/** @type {NodeJS.Signals} */ (signal)];
  return started ? code : pressed ? 130 : null;
}

/** Applies the migrations, without the tool. @param {string[]} args */
async function migrate(args) {
  const [flag, text] = /** @type {const} */ ([{ type: "boolean" }, { type: "string" }]);
  const { values } = parseArgs({ args, options: { remote: flag, json: flag, "persist-to": text } });
  const { remote, json, "persist-to": folder } = values;
  if (remote && folder !== undefined) fail("--remote cannot be used with --persist-to.");
  const { applyMigrations, complaint } = await import("./wrangler.ts");
  const local = folder === undefined ? ["--local"] : ["--local", "--persist-to", folder];
  const done = applyMigrations(remote ? ["--remote"] : local);
  if (done.status !== 0) fail(`The database could not be migrated. ${complaint(done)}`, 1);
  console.log(json ? JSON.stringify({ current: true }, null, 2) : styleText("green", "The database is up to date."));
}

const args = process.argv.slice(2);
if (args[0] === "migrate" && !args.includes("--help")) {
  await migrate(args.slice(1)).catch((error) => fail(error.message));
} else {
  const from = source();
  const command = ["--from", args[0] === "mcp" ? withExtra(from) : from, "copier-polar", ...args];
  // Without the network first: what was fetched once starts at once, also where its source is gone.
  const code = (await run(["--offline", ...command])) ?? (await run(command));
  const shown = from.replace(/\/\/[^/\s]*@/g, "//").replace(/[?#].*/, "");
  const gone = `No billing tool could be fetched from ${shown}: look at the network; ${OVERRIDE} names another.`;
  process.exitCode = code ?? fail(gone);
}
