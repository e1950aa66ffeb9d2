import { fileURLToPath } from "node:url";
import { cloudflareTest, readD1Migrations } from "@cloudflare/vitest-plugin";
import { defineConfig } from "vitest/config";

/** No test sees yours in `.dev.vars`, and nothing complains where there are none. */
const secrets = { POLAR_ACCESS_TOKEN: "for-tests", POLAR_WEBHOOK_SECRET: "for-tests" };
Object.assign(process.env, secrets);

const migrations = fileURLToPath(new URL("./migrations", import.meta.url));

export default defineConfig({
  plugins: [
    cloudflareTest(async () => ({
      wrangler: { configPath: "./wrangler.jsonc" },
      miniflare: { bindings: { ...secrets, TEST_MIGRATIONS: await readD1Migrations(migrations) } },
    })),
  ],
  // A busy machine takes many times what a quiet one does.
  test: { setupFiles: ["./test/support/setup.ts"], silent: "passed-only", testTimeout: 60_000 },
});
