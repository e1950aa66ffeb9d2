import { createExecutionContext, createScheduledController } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { expect, it, vi } from "vitest";
import worker from "../src/index";
import { APP_URL, addCustomer, bindings } from "./support/app";
import { PolarStandIn } from "./support/polar-api";

/** As deployed, with whichever sign-in. */
function deployed(server: string): Env {
  const variables = { POLAR_SERVER: server, AUTH_JWT_SECRET: "0123456789abcdef0123456789abcdef" };
  return bindings(variables) as Env;
}

async function run(environment: Env): Promise<void> {
  await worker.scheduled(createScheduledController(), environment);
}

it("answers requests", async () => {
  const request = new Request(`${APP_URL}/healthz`);
  const response = await worker.fetch(request, deployed("demo"), createExecutionContext());
  expect(response.status).toBe(200);
});

it("is tested without the secrets of whoever runs the tests", () => {
  expect([env.POLAR_ACCESS_TOKEN, env.POLAR_WEBHOOK_SECRET]).toEqual([
    "for-tests",
    "the-secret-of-these-tests-0123456789",
  ]);
});

it("does the background work every minute", async () => {
  const polar = new PolarStandIn().install();
  const id = String(polar.addCustomer("alice", "a@example.com").id);
  await addCustomer(id, "alice");
  await env.DB.prepare("UPDATE billing_customers SET reconcile_us = 1").run();
  await run(deployed("sandbox"));
  expect(polar.requests("GET", `/v1/customers/${id}/state`)).toHaveLength(1);
  const mark = await env.DB.prepare("SELECT reconcile_us FROM billing_customers").first("reconcile_us");
  expect(mark).toBeNull();
});

it("asks nobody while the products are demo products", async () => {
  const polar = new PolarStandIn().install();
  await addCustomer("c1", "alice");
  await env.DB.prepare("UPDATE billing_customers SET reconcile_us = 1").run();
  await run(deployed("demo"));
  expect(polar.sent).toEqual([]);
});

it("answers 503 with invalid settings, and logs which and how to start it in development", async () => {
  const logged = vi.spyOn(console, "error").mockReturnValue();
  const environment = { ...deployed("sandbox"), APP_URL: "" } as unknown as Env;
  const response = await worker.fetch(new Request(`${APP_URL}/billing/access`), environment, createExecutionContext());
  expect(response.status).toBe(503);
  expect(String(logged.mock.calls[0])).toMatch(/"settings_error".*APP_URL.*npm run dev/);
});

it("fails a run with invalid settings, so that it is noticed", async () => {
  vi.spyOn(console, "error").mockReturnValue();
  await expect(run({ ...deployed("sandbox"), APP_URL: "" } as unknown as Env)).rejects.toThrow("APP_URL");
});
