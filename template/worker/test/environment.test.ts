/** Values of the environment as people paste them: trimmed, or refused with the name of the variable. */
import { describe, expect, it } from "vitest";
import { servicesOf } from "../src/app";
import { bindings } from "./support/app";
import table from "./support/disguises.json";

const VARIABLES: Readonly<Record<string, string>> = table.variables;
const KEYS = ["AUTH_JWKS_URL", "AUTH_ISSUER", "AUTH_AUDIENCE"];
const REQUIRED = ["POLAR_ACCESS_TOKEN", "POLAR_WEBHOOK_SECRET", "POLAR_SERVER", "APP_URL", "AUTH_JWT_SECRET", ...KEYS];
const names = Object.keys(VARIABLES);

/** Reads a good environment with this value in it: keys of a provider, or a secret where that is the variable. */
function start(name: string, value: string) {
  const unused = name === "AUTH_JWT_SECRET" ? [...KEYS, "AUTH_AUTHORIZED_PARTIES"] : ["AUTH_JWT_SECRET"];
  if (name === "AUTH_AUDIENCE") unused.push("AUTH_AUTHORIZED_PARTIES");
  const usual = Object.entries(VARIABLES).filter(([other]) => !unused.includes(other));
  return servicesOf(bindings({ ...Object.fromEntries(usual), [name]: value })).settings;
}

function disguised(value: string, disguise: string): string {
  if (disguise === "LONG") return value + "x".repeat(20_000);
  if (disguise.includes("VALUE")) return disguise.replace("VALUE", () => value);
  const middle = Math.floor(value.length / 2);
  return disguise.replace("VAL", () => value.slice(0, middle)).replace("UE", () => value.slice(middle));
}

/** Every variable with every disguise of a kind. */
function rows(kind: Readonly<Record<string, string>>): [string, string, string][] {
  return names.flatMap((name) =>
    Object.entries(kind).map(([title, disguise]): [string, string, string] => [name, title, disguise]),
  );
}

describe("a variable", () => {
  it.each(rows(table.trimmed))("%s is taken without what surrounds it: %s", (name, _title, disguise) => {
    expect(start(name, disguised(VARIABLES[name] ?? "", disguise))).toEqual(start(name, VARIABLES[name] ?? ""));
  });

  it.each(rows(table.refused))("%s that is no value is refused: %s", (name, _title, disguise) => {
    const value = disguised(VARIABLES[name] ?? "", disguise);
    expect(() => start(name, value)).toThrow(new RegExp(`^${name}: `));
    expect(() => start(name, value)).not.toThrow(value);
  });

  it.each(rows(table.empty))("%s that is empty is a missing one: %s", (name, _title, value) => {
    const isRequired = REQUIRED.includes(name) || name === "RESEND_API_KEY";
    if (isRequired) expect(() => start(name, value)).toThrow(new RegExp(`\\b${name}\\b`));
    else expect(() => start(name, value)).not.toThrow();
  });

  const wrong = Object.entries(table.wrong).flatMap(([name, values]) => values.map((value) => [name, value] as const));
  it.each(wrong)("%s is not %j", (name, value) => {
    expect(() => start(name, value)).toThrow(new RegExp(`^${name}: `));
  });

  it.each(Object.entries(table.origins))("with the origin %s reads %s", (given, origin) => {
    expect(start("APP_URL", given).appUrl).toBe(origin);
    expect(start("ALLOWED_ORIGINS", given).allowedOrigins).toEqual([origin]);
  });
});
