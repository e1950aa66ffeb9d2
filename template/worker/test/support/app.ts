/** Calls the application as a client does, signed in as whoever a test says. */
import { createExecutionContext } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { createApp } from "../../src/app";
import { CATALOG } from "../../src/billing/catalog";
import type { Catalog } from "../../src/billing/catalog-types";
import { createServices } from "../../src/services";
import type { Bindings } from "../../src/settings";
import { POLAR_URL, TOKEN } from "./polar-api";

export const APP_URL = "https://app.example.com";

/** A whole environment with an account at Polar. */
export function bindings(more: Partial<Bindings> = {}): Bindings {
  const unlimited = { limit: async () => ({ success: true }) };
  return {
    DB: env.DB,
    RATE_LIMITER_CHECKOUT: unlimited,
    RATE_LIMITER_PORTAL: unlimited,
    RATE_LIMITER_SUBSCRIPTION: unlimited,
    RATE_LIMITER_POLLING: unlimited,
    RATE_LIMITER_APP: unlimited,
    POLAR_ACCESS_TOKEN: TOKEN,
    POLAR_WEBHOOK_SECRET: "whsec_of_these_tests_and_nothing_else",
    POLAR_SERVER: "sandbox",
    POLAR_BASE_URL: POLAR_URL,
    APP_URL,
    ...more,
  };
}

export interface Call {
  /** The signed-in user's id. */
  user?: string;
  email?: string;
  /** Sent as JSON; a string is sent as it is. */
  body?: unknown;
  headers?: Record<string, string>;
  env?: Bindings;
  catalog?: Catalog;
}

/** Takes the user from two headers of the test's own. */
const signIn = createServices(() => async ({ headers }) => {
  const id = headers.get("X-User");
  const email = headers.get("X-Email");
  if (id === null) return null;
  return { id: decodeURIComponent(id), ...(email === null ? {} : { email }) };
});

/** Sends a request, and reads a JSON answer. */
export async function call(method: string, path: string, options: Call = {}) {
  const { user, email, body, env: environment = bindings(), catalog = CATALOG } = options;
  const headers = new Headers(body === undefined ? {} : { "Content-Type": "application/json" });
  if (user !== undefined) headers.set("X-User", encodeURIComponent(user));
  if (email !== undefined) headers.set("X-Email", email);
  for (const [name, value] of Object.entries({ Origin: APP_URL, ...options.headers })) headers.set(name, value);
  const request = new Request(APP_URL + path, { method, headers, body: raw(body) });
  const app = createApp({ catalog, services: signIn });
  const response = await app.fetch(request, environment, createExecutionContext());
  const text = await response.text();
  const isJson = response.headers.get("Content-Type")?.includes("json");
  return { status: response.status, headers: response.headers, json: isJson ? JSON.parse(text) : text };
}

/** Puts rows into the tables as webhooks would. */
export async function addCustomer(id: string, externalId: string | null): Promise<void> {
  await insert("billing_customers", { id, external_id: externalId, created_us: 1 });
}

/** A subscription of that customer. */
export async function addSubscription(id: string, customerId: string, productId: string, more = {}): Promise<void> {
  const current_period_end_us = (Date.now() + 86_400_000) * 1000;
  const owned = { id, customer_id: customerId, product_id: productId, created_us: 1 };
  await insert("billing_subscriptions", { ...owned, status: "active", amount: 1900, current_period_end_us, ...more });
}

/** A purchase of that customer, for good. */
export async function addOrder(id: string, customerId: string, productId: string): Promise<void> {
  const owned = { id, customer_id: customerId, product_id: productId, created_us: 1 };
  await insert("billing_orders", { ...owned, status: "paid", billing_reason: "purchase", amount: 1900 });
}

async function insert(table: string, row: Record<string, string | number | null>): Promise<void> {
  const names = Object.keys(row);
  const marks = names.map(() => "?");
  await env.DB.prepare(`INSERT INTO ${table} (${names.join(", ")}) VALUES (${marks.join(", ")})`)
    .bind(...Object.values(row))
    .run();
}

/** Text and bytes as they are, anything else as JSON. */
function raw(body: unknown): string | Uint8Array | null {
  if (body === undefined) return null;
  return typeof body === "string" || body instanceof Uint8Array ? body : JSON.stringify(body);
}
