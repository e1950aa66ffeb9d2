/** What is examined: the project's own parts, opened when a check first needs them, and what Polar says about them. */
import type { Hono } from "hono";
import { createApp, servicesOf } from "../../src/app.ts";
import type { User } from "../../src/auth/user.ts";
import { CATALOG } from "../../src/billing/catalog.ts";
import type { AppEnv } from "../../src/context.ts";
import { type Bindings, isLoopback, readSettings, type Settings, SettingsError } from "../../src/settings.ts";
import { isCurrent } from "./migrations.ts";
import { PolarSide } from "./polar-side.ts";
import { Skipped } from "./skipped.ts";

/** One thing that is wrong: where, and what exactly. Ids and names of settings, never personal data or secrets. */
export interface Found {
  readonly place: string;
  readonly what: string;
}

/** The project under examination. What cannot be had is `Skipped`. */
export class Examination {
  readonly env: Bindings;
  /** What is wrong with the settings; empty when they are fit. */
  readonly problem: string;
  #polar: PolarSide | undefined;

  constructor(env: Bindings) {
    this.env = env;
    this.problem = problemOf(env);
  }

  /** The settings, which are fit. */
  get settings(): Settings {
    this.requireFit();
    return readSettings(this.env);
  }

  /** Whether the app is only reachable on this machine. */
  get isLocal(): boolean {
    return isLoopback(new URL(this.settings.appUrl));
  }

  /** The address that Polar calls. */
  get webhookUrl(): string {
    return `${this.settings.appUrl}/webhooks/polar`;
  }

  /** The app; with a user, one in which everybody is signed in as that user. */
  app(user?: User): Hono<AppEnv> {
    this.requireFit();
    if (user === undefined) return createApp();
    return createApp({
      catalog: CATALOG,
      services: (env) => ({ ...servicesOf(env), authenticate: async () => user }),
    });
  }

  /** A database that answers, with all tables. */
  async database(): Promise<D1Database> {
    this.requireFit();
    const { DB } = this.env;
    if (!(await isCurrent(DB).catch(() => false))) {
      throw new Skipped("The database does not answer or misses migrations.");
    }
    return DB;
  }

  /** Polar's API. */
  get polar(): PolarSide {
    const { polar } = this.settings;
    if (polar === null) throw new Skipped("POLAR_SERVER is demo: there is no Polar to ask.");
    this.#polar ??= new PolarSide(polar);
    return this.#polar;
  }

  /** Says that nothing can be asked of a project whose settings are not fit. */
  requireFit(): void {
    if (this.problem !== "") throw new Skipped("The settings are not fit.");
  }
}

function problemOf(env: Bindings): string {
  try {
    servicesOf(env);
    return "";
  } catch (error) {
    if (error instanceof SettingsError) return error.message;
    throw error;
  }
}
