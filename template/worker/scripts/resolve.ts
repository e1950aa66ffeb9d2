/** Lets Node load `src`, whose imports are written for a bundler: without the extension, by folder, or of workerd. */
import { existsSync } from "node:fs";
import { registerHooks } from "node:module";
import { fileURLToPath } from "node:url";

const WORKERS = new URL("./cloudflare-workers.ts", import.meta.url).href;
const SOURCE = new URL("../src/", import.meta.url).href;

registerHooks({
  resolve(specifier, context, nextResolve) {
    if (specifier === "cloudflare:workers") return nextResolve(WORKERS, context);
    if (!specifier.startsWith(".") || !context.parentURL?.startsWith(SOURCE)) return nextResolve(specifier, context);
    const { href } = new URL(`${specifier}.ts`, context.parentURL);
    return nextResolve(existsSync(fileURLToPath(href)) ? href : `${specifier}/index.ts`, context);
  },
});
