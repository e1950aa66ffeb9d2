/**
 * Serves a bundled Worker in workerd, without the proxy and the inspector that wrangler puts before it in development:
 * these take longer than a Worker does.
 *
 * `node worker_serve.mjs BUNDLE --port 8000 --persist-to FOLDER --migrations FOLDER`, below a project's node_modules;
 * the environment holds the Worker's settings. The cron trigger fires every minute.
 */
import { readdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";

const { convertV4MiniflareOptions, Miniflare } = createRequire(join(process.cwd(), "package.json"))("miniflare");

const SETTINGS = ["POLAR_ACCESS_TOKEN", "POLAR_WEBHOOK_SECRET", "POLAR_SERVER", "POLAR_BASE_URL", "APP_URL", "AUTH_JWT_SECRET"];
const MINUTE = 60_000;

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: { port: { type: "string" }, "persist-to": { type: "string" }, migrations: { type: "string" } },
});

/** In workerd; without a port for the tables alone. */
function start(port) {
  const worker = convertV4MiniflareOptions({
    modules: true,
    script: readFileSync(positionals[0], "utf8"),
    compatibilityDate: "2026-10-23",
    host: "127.0.0.1",
    port,
    bindings: Object.fromEntries(SETTINGS.map((name) => [name, process.env[name] ?? ""])),
    d1Databases: { DB: "00000000-0000-0000-0000-000000000000" },
  });
  return new Miniflare({ ...worker, resourcePersistencePath: resolve(values["persist-to"]) });
}

async function migrate(miniflare) {
  const db = await miniflare.getD1Database("DB");
  await db.prepare("CREATE TABLE d1_migrations (id INTEGER PRIMARY KEY, name TEXT UNIQUE)").run();
  for (const name of readdirSync(values.migrations).sort()) {
    const text = readFileSync(join(values.migrations, name), "utf8").replaceAll(/--.*/g, "");
    for (const statement of text.split(";").filter((each) => each.trim() !== "")) await db.prepare(statement).run();
    await db.prepare("INSERT INTO d1_migrations (name) VALUES (?1)").bind(name).run();
  }
}

const empty = start(0);
await migrate(empty);
await empty.dispose();
const serving = start(Number(values.port));
await serving.ready;
setInterval(() => fetch(`http://127.0.0.1:${values.port}/cdn-cgi/handler/scheduled`).catch(() => undefined), MINUTE);
for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => serving.dispose().then(() => process.exit(0)));
