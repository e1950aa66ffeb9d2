import { describe, expect, it } from "vitest";
import { type Bindings, readSettings } from "../src/settings";
import { SettingsError } from "../src/values";
import { bindings } from "./support/app";
import { secretFor } from "./support/sign";

function read(more: Partial<Record<keyof Bindings, string>>) {
  return readSettings(bindings(more as object));
}

describe("settings", () => {
  it("are read from the environment", () => {
    expect(readSettings(bindings())).toEqual({
      server: "sandbox",
      polar: {
        accessToken: "polar_oat_of_these_tests",
        environment: "sandbox",
        baseUrl: "https://polar.test",
      },
      webhookSecrets: ["whsec_of_these_tests_and_nothing_else"],
      appUrl: "https://app.example.com",
      allowedOrigins: [],
      retentionDays: 90,
      reconcileCalls: 40,
    });
  });

  it("need no account for demo products", () => {
    expect(read({ POLAR_SERVER: "demo", POLAR_ACCESS_TOKEN: "" }).polar).toBeNull();
  });

  it("take up to three webhook secrets, trimmed", () => {
    const [a, b, c] = [secretFor(1), secretFor(2), "0123456789abcdef0123456789abcdef"];
    expect(read({ POLAR_WEBHOOK_SECRET: ` ${a}, ${b} ,,${c},` }).webhookSecrets).toEqual([a, b, c]);
  });

  it("take origins with or without the slash", () => {
    expect(read({ APP_URL: "https://App.example.com/" }).appUrl).toBe("https://app.example.com");
    const { allowedOrigins } = read({ ALLOWED_ORIGINS: "https://a.example.com/, http://localhost:3000" });
    expect(allowedOrigins).toEqual(["https://a.example.com", "http://localhost:3000"]);
  });

  it.each([
    ["POLAR_SERVER", ""],
    ["POLAR_SERVER", "live"],
    ["POLAR_ACCESS_TOKEN", ""],
    ["POLAR_ACCESS_TOKEN", "  "],
    ["POLAR_WEBHOOK_SECRET", ""],
    ["POLAR_WEBHOOK_SECRET", " , ,"],
    ["POLAR_WEBHOOK_SECRET", [1, 2, 3, 4].map(secretFor).join(",")],
    ["POLAR_BASE_URL", "polar"],
    ["POLAR_BASE_URL", "ftp://polar.test"],
    ["APP_URL", ""],
    ["APP_URL", "app.example.com"],
    ["APP_URL", "https://app.example.com/app"],
    ["APP_URL", "https://user@app.example.com"],
    ["APP_URL", "javascript:alert(1)"],
    ["ALLOWED_ORIGINS", "*"],
    ["ALLOWED_ORIGINS", "https://a.example.com,https://*.example.com/x"],
    ["INBOX_RETENTION_DAYS", "0"],
    ["INBOX_RETENTION_DAYS", "soon"],
    ["INBOX_RETENTION_DAYS", "1.5"],
    ["RECONCILE_CALLS_PER_MINUTE", "3"],
    ["RECONCILE_CALLS_PER_MINUTE", "lots"],
  ])("name %s when it is %j", (name, value) => {
    const reading = () => read({ [name]: value });
    expect(reading).toThrow(SettingsError);
    expect(reading).toThrow(new RegExp(`^${name}: `));
  });

  it.each([
    "whsec_",
    "whsec_...",
    "whsec_…",
    "test",
    "whsec_test",
    "whsec_change-me-to-the-secret-of-your-endpoint",
    "generated-at-first-start",
    "whsec_generated-at-first-start",
    "whsec_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
    "whsec_0123456789abcdefghijklm",
    "whsec_0123456789 abcdefghijklmnopqrstuv",
    "your-webhook-secret-goes-here-please",
    `${secretFor(1)},whsec_`,
  ])("refuse the guessable webhook secret %j", (secret) => {
    for (const server of ["demo", "sandbox", "production"]) {
      const reading = () => read({ POLAR_SERVER: server, POLAR_WEBHOOK_SECRET: secret });
      expect(reading).toThrow(/^POLAR_WEBHOOK_SECRET: must be the endpoint's secret from Polar/);
    }
  });

  it.each([
    "whsec_k3Qm9ZtVb2Yx7LrWc5Hn1JdPs8Fg4Aa6UeRoTiKlMzX",
    "polar_whs_k3Qm9ZtVb2Yx7LrWc5Hn1JdPs8Fg4Aa6UeRoTiKlMzX",
    "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=",
    "b3a1f0a452a44a539d5b5a2a1a0c7e11",
  ])("take a webhook secret such as Polar makes it: %s", (secret) => {
    expect(read({ POLAR_WEBHOOK_SECRET: secret }).webhookSecrets).toEqual([secret]);
  });

  it("do not take plain http in production", () => {
    const environment = { POLAR_SERVER: "production", APP_URL: "http://app.example.com" };
    expect(() => read(environment)).toThrow(/^APP_URL: /);
  });

  it("say nothing of a value", () => {
    expect(() => read({ POLAR_WEBHOOK_SECRET: "one,two,three,four" })).not.toThrow(/one|two/);
  });
});
