/** `endpoint`: the webhook endpoint at Polar. */
import { BlockList, isIP } from "node:net";
import { Option } from "commander";
import { EVENTS } from "../../src/billing/events.ts";
import { API_VERSION } from "../../src/billing/polar-sdk.ts";
import { type PolarObject, text } from "../../src/billing/read.ts";
import { readSettings, type Settings } from "../../src/settings.ts";
import { type Recorder, withTrail } from "../audit.ts";
import { asking, command, confirm, good, group, note, Refused, type StoreOptions, show, warn } from "../console.ts";
import { developmentSettings } from "../environment.ts";
import { type Item, isItem, PolarAdmin, unreadable } from "../polar-admin.ts";
import { deployedSettings } from "../project.ts";
import { NAME, saveToFile, saveToWorker, split } from "../webhook-secret.ts";

type Place = "file" | "wrangler";
type SecretState = "known" | "missing" | "saved" | null;

interface SyncOptions extends StoreOptions {
  readonly url?: string;
  readonly secret?: Place;
  readonly dryRun?: boolean;
  readonly yes?: boolean;
}

interface Synced {
  readonly url: string;
  readonly endpoint: string | null;
  readonly action: "created" | "repaired" | "unchanged";
  readonly changes: PolarObject;
  readonly deleted: readonly string[];
  readonly secret: SecretState;
  readonly dry_run: boolean;
}

interface Plan {
  readonly kept: Item | null;
  readonly others: readonly Item[];
  readonly changes: PolarObject;
}

const COMMAND = "endpoint sync";
const WEBHOOK_PATH = "/webhooks/polar";
const ENDPOINTS = "/v1/webhooks/endpoints";
const ENDPOINT = `${ENDPOINTS}/{id}`;
const [READ, WRITE] = ["webhooks:read", "webhooks:write"];
/** What the code reads: `raw` is the JSON envelope, the others are for chat rooms. */
const WANTED = { api_version: API_VERSION, enabled: true, format: "raw" };
const SAY_DONE = {
  created: "Created",
  repaired: "Repaired",
  unchanged: "Nothing to change",
  deleted: "Deleted",
};
const SAY_PLANNED = {
  created: "To be created",
  repaired: "To be repaired",
  unchanged: "Nothing to change",
  deleted: "To be deleted",
};
const NOT_PUBLIC = /^[^.]*$|\.(localhost|local|internal)$/;
const PRIVATE = privateNetworks();

const sync = asking(
  command(
    "sync",
    `Create or repair the webhook endpoint at Polar.

It is found by its address, which is APP_URL with /webhooks/polar if none is given: run twice, there is one. It is switched on, and sends every event that this project knows, in the format and the API version that the code reads. Others of the same address are deleted, since they send every event once more. The secret is never shown: --secret puts it where the app reads it, beside older ones.`,
    "endpoint sync --dry-run",
  ),
)
  .option("--url <address>", "The address that Polar calls.")
  .addOption(
    new Option(
      "--secret <place>",
      "Hand over the secret: to .dev.vars (file), or to the deployed Worker (wrangler).",
    ).choices(["file", "wrangler"]),
  )
  .option("--dry-run", "Say what would be done, and do nothing.")
  .addOption(
    new Option(
      "--remote",
      "With the variables of wrangler.jsonc; the access token comes from the environment. The audit row goes to the deployed database.",
    ).conflicts("persistTo"),
  )
  .option("--persist-to <folder>", "The audit row goes to the local database in this folder.")
  .action(async (options: SyncOptions) => {
    const { settings, known } = await readAll(options);
    const polar = new PolarAdmin(settings);
    const url = callableAddress(options.url ?? settings.appUrl + WEBHOOK_PATH);
    note(`Target: Polar's ${settings.server}`);
    const { kept, others } = choose(await polar.items(ENDPOINTS, READ), url, known ?? []);
    const changes = changesOf(kept, url);
    const store = { ...options, remote: isDeployed(options) };
    const synced = await withTrail(store, async (record): Promise<Synced> => {
      const endpoint = options.dryRun ? kept : await apply(polar, { kept, others, changes }, options, record);
      return {
        url,
        endpoint: endpoint?.id ?? null,
        action: actionOf(changes),
        changes,
        deleted: others.map(({ id }) => id),
        secret: handOver(endpoint, known, options.dryRun ? undefined : options.secret, record),
        dry_run: options.dryRun ?? false,
      };
    });
    show(synced, linesOf(synced), options);
  });

export const endpoint = group("endpoint", "Look after the webhook endpoint at Polar.", [sync]);

/**
 * The settings and the known secrets, which need not be fit: the endpoint that has the right one may not exist yet. Null
 * where the deployed ones are meant: they cannot be read back.
 */
async function readAll(options: SyncOptions): Promise<{ settings: Settings; known: string[] | null }> {
  const deployed = isDeployed(options);
  const variables = deployed ? await deployedSettings() : developmentSettings();
  const known = split(variables[NAME]);
  const complete = { ...variables, [NAME]: crypto.randomUUID() };
  const settings = readSettings(complete as unknown as Parameters<typeof readSettings>[0]);
  return { settings, known: deployed && known.length === 0 ? null : known };
}

/** Whether the deployed Worker is meant, not the one on this machine. */
function isDeployed({ remote = false, secret }: SyncOptions): boolean {
  return remote || secret === "wrangler";
}

/**
 * An address that Polar can call. Throws Refused for what it answers 422 to: http, localhost, private hosts.
 *
 * A user name in it is refused too: addresses are shown.
 */
function callableAddress(address: string): string {
  if (!URL.canParse(address)) throw new Refused("The address of the endpoint cannot be read.");
  const { protocol, hostname, username, password, hash } = new URL(address);
  if (username !== "" || password !== "" || hash !== "") {
    throw new Refused("The address of the endpoint must have no user name and no fragment.");
  }
  if (protocol !== "https:" || !isPublic(hostname)) {
    throw new Refused(
      `Polar cannot call ${address}: it takes public https addresses. Set APP_URL, or give another --url.`,
    );
  }
  return address.trim();
}

function isPublic(hostname: string): boolean {
  const host = hostname.replace(/^\[|\]$/g, "");
  const version = isIP(host);
  return version === 0 ? !NOT_PUBLIC.test(host) : !PRIVATE.check(host, version === 4 ? "ipv4" : "ipv6");
}

/** Networks that the internet does not reach (IANA's special-purpose address registries). */
function privateNetworks(): BlockList {
  const networks = new BlockList();
  const v4 = "0.0.0.0/8 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 169.254.0.0/16 172.16.0.0/12 192.168.0.0/16 240.0.0.0/4";
  for (const network of `${v4} ::/127 fc00::/7 fe80::/10`.split(" ")) {
    const [address = "", prefix] = network.split("/");
    networks.addSubnet(address, Number(prefix), isIP(address) === 4 ? "ipv4" : "ipv6");
  }
  return networks;
}

/**
 * The endpoints of an address: the one to keep, and the others. Kept is the one whose secret the app has, else one that
 * is switched on, else the oldest.
 */
function choose(endpoints: readonly Item[], address: string, known: readonly string[]) {
  const rank = (one: Item) => {
    const [unknown, off] = [!known.includes(text(one, "secret") ?? ""), one.enabled !== true];
    return `${Number(unknown)}${Number(off)}${text(one, "created_at")}${one.id}`;
  };
  const [kept = null, ...others] = endpoints
    .filter((one) => normal(text(one, "url")) === normal(address))
    .sort((a, b) => (rank(a) < rank(b) ? -1 : 1));
  return { kept, others };
}

/** What makes an address the same: not the case of the host, nor a slash at the end. */
function normal(address: string | null): string | null {
  if (address === null || !URL.canParse(address)) return null;
  const { origin, pathname, search } = new URL(address);
  return `${origin}${pathname.replace(/\/+$/, "")}${search}`;
}

/** The fields to send to Polar; with `url` they make a new endpoint, which Polar switches on by itself. */
function changesOf(kept: Item | null, url: string): PolarObject {
  const types = Object.keys(EVENTS);
  if (kept === null) return { url, format: "raw", api_version: API_VERSION, events: types };
  const events: unknown[] = Array.isArray(kept.events) ? kept.events : [];
  const missing = types.filter((type) => !events.includes(type));
  const changes = Object.fromEntries(Object.entries(WANTED).filter(([name, value]) => kept[name] !== value));
  return missing.length === 0 ? changes : { ...changes, events: [...events, ...missing] };
}

function actionOf(changes: PolarObject): Synced["action"] {
  if (Object.keys(changes).length === 0) return "unchanged";
  return "url" in changes ? "created" : "repaired";
}

/** Creates or changes the endpoint and deletes the others, which it asks about first. Returns it as Polar has it now. */
async function apply(
  polar: PolarAdmin,
  { kept, others, changes }: Plan,
  options: SyncOptions,
  record: Recorder,
): Promise<Item> {
  const ids = others.map(({ id }) => id);
  if (ids.length > 0) await confirm(`Delete ${ids.length} more of the same address (${ids.join(", ")})?`, options);
  const endpoint = kept === null ? await create(polar, changes, record) : await change(polar, kept, changes, record);
  for (const id of ids) {
    await polar.ask("DELETE", ENDPOINT, WRITE, { ids: { id } });
    record(`${COMMAND} delete`, id);
  }
  return endpoint;
}

async function create(polar: PolarAdmin, body: PolarObject, record: Recorder): Promise<Item> {
  const created = await polar.ask("POST", ENDPOINTS, WRITE, { body });
  if (!isItem(created)) throw new Refused(unreadable(201));
  record(COMMAND, created.id);
  return created;
}

async function change(polar: PolarAdmin, kept: Item, body: PolarObject, record: Recorder): Promise<Item> {
  if (Object.keys(body).length === 0) return kept;
  const changed = await polar.ask("PATCH", ENDPOINT, WRITE, { ids: { id: kept.id }, body });
  record(COMMAND, kept.id);
  return { ...kept, ...changed };
}

/** Puts the secret where it is wanted. Returns whether the app has it; null where that cannot be told. */
function handOver(
  endpoint: Item | null,
  known: readonly string[] | null,
  place: Place | undefined,
  record: Recorder,
): SecretState {
  const secret = text(endpoint ?? {}, "secret");
  if (!secret) {
    if (place) throw new Refused("Polar did not give the secret of the endpoint: copy it from Settings > Webhooks.");
    return null;
  }
  if (endpoint && place) {
    save(secret, place);
    record(`${COMMAND} secret`, endpoint.id);
    return "saved";
  }
  if (known?.includes(secret)) return "known";
  note(`\`--secret file\` puts it into .dev.vars, \`--secret wrangler\` into the deployed Worker, as ${NAME}.`);
  return known === null ? null : "missing";
}

function save(secret: string, place: Place): void {
  if (place === "file") {
    saveToFile(secret);
    note("It is in .dev.vars. The Worker reads its secrets when it starts.");
  } else {
    saveToWorker(secret);
    note(`The deployed Worker has it. Older ones stay beside it only where ${NAME} of the environment names them.`);
  }
}

function linesOf({ url, endpoint, action, changes, deleted, secret, dry_run: planned }: Synced): string[] {
  const [mark, words] = planned ? [warn, SAY_PLANNED] : [good, SAY_DONE];
  const place = endpoint === null ? url : `${endpoint} at ${url}`;
  const lines = [(action === "unchanged" ? good : mark)(`${words[action]}: endpoint ${place}`)];
  for (const [name, value] of Object.entries(changes)) {
    if (name !== "url") lines.push(mark(`  ${name}: ${Array.isArray(value) ? `${value.length} types` : value}`));
  }
  lines.push(...deleted.map((id) => mark(`${words.deleted}: endpoint ${id}, of the same address`)));
  if (secret !== null) lines.push(sayOf(secret));
  return lines;
}

function sayOf(secret: "known" | "missing" | "saved"): string {
  if (secret === "missing") return warn("The app does not have its secret.");
  return good(secret === "known" ? "The app has its secret." : "Its secret is handed over.");
}
