/** The Worker: HTTP requests, and every minute the work that nobody waits for. */
import { createApp, servicesOf } from "./app";
import { runBackground } from "./billing/background";
import { reactions } from "./reactions";

const app = createApp();

export default {
  fetch: app.fetch,
  async scheduled(_controller, env) {
    const { settings, polar } = servicesOf(env);
    const { retentionDays, reconcileCalls } = settings;
    const deps = { polar, reactions, retentionDays, callsPerRun: reconcileCalls };
    await runBackground(env.DB, deps, Date.now() * 1000);
  },
} satisfies ExportedHandler<Env>;
