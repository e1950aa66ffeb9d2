/** What a value of the environment may look like, whoever put it there. The other runtime has the same rules. */

/** Invalid environment variables; the message names variables, never their values. */
export class SettingsError extends Error {
  constructor(message: string) {
    super(message);
    this.name = "SettingsError";
  }
}

export type Kind = "word" | "text" | "list";

const MAX_LENGTH: Readonly<Record<Kind, number>> = { word: 4096, text: 4096, list: 16384 };
/** Blanks, line ends and marks that editors, shells and secret stores leave around a value. */
const AROUND = "[\\t\\n\\v\\f\\r \\u0085\\u00a0\\u200b\\u2028\\u2029\\ufeff]+";
const SURROUNDING = new RegExp(`^${AROUND}|${AROUND}$`, "g");
const QUOTED = /^(["'`])[\s\S]*\1$/;
const PRINTABLE = /^[!-~]+$/;
/** Syntax of other tools: a shell, a template or a secret store should have put the value in its place. */
const REFERENCE = new RegExp(
  [
    String.raw`\$\{|\$\(|\{\{|^\$\w+$|^%\w+%$|^<.*>$|^[\[{(].*[\]})]$|^ENC\[|^@Microsoft\.KeyVault|^arn:aws`,
    String.raw`^projects/[^/]+/secrets/|^!(Ref|Sub|GetAtt)\b|^(secretref|vault):`,
    String.raw`^(op|vault|secret|secrets|sops|ssm|doppler|infisical|bws|file|env|ref\+\w+)://`,
  ].join("|"),
);
/** Words of examples, which are published. */
const PLACEHOLDER =
  /change[-_ ]?me|generated-at-first-start|example|placeholder|replace[-_ ]?me|your[-_ ]|at[-_ ]least[-_ ]|09d25e094faa|\.\.\./i;
const HOST = "(?:[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?\\.)*(?!0x)[a-z](?:[a-z0-9_-]*[a-z0-9])?";
const OCTET = "(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])";
const ADDRESS = new RegExp(
  `^https?://(?:${HOST}|(?:${OCTET}\\.){3}${OCTET}|\\[(?<v6>[0-9a-f:]+)\\])(?::(?<port>[1-9][0-9]{0,4}))?(?<path>/[^\\\\#]*)?$`,
  "i",
);

/** A variable's value, trimmed; undefined if missing or empty. Throws SettingsError for anything that is no value. */
export function readValue(name: string, value: string | undefined, kind: Kind = "word"): string | undefined {
  const text = value?.replace(SURROUNDING, "");
  if (text === undefined || text === "") return undefined;
  const wrong = objection(text, kind);
  if (wrong !== undefined) throw new SettingsError(`${name}: ${wrong}`);
  return text;
}

/** The entries of a comma-separated list: trimmed, without empty ones. */
export function readList(name: string, value: string | undefined): string[] {
  return entries(readValue(name, value, "list") ?? "");
}

function entries(value: string): string[] {
  return value
    .split(",")
    .map((entry) => entry.replace(SURROUNDING, ""))
    .filter((entry) => entry !== "");
}

/** Whether a value is, or contains, what examples say. */
export function isExample(value: string): boolean {
  return PLACEHOLDER.test(value);
}

/** Whether a value is an http or https address, without a user and a fragment. */
export function isAddress(url: string): boolean {
  const found = ADDRESS.exec(url)?.groups;
  if (found === undefined || Number(found.port ?? 1) > 65535 || !URL.canParse(url)) return false;
  return found.v6 === undefined || new URL(url).hostname === `[${found.v6.toLowerCase()}]`;
}

/** The origin that an address is, such as https://example.com or http://localhost:3000. */
export function readOrigin(name: string, value: string): string {
  const path = ADDRESS.exec(value)?.groups?.path ?? "/";
  if (!isAddress(value) || path !== "/") {
    throw new SettingsError(`${name}: must be an origin such as https://app.example.com.`);
  }
  return new URL(value).origin;
}

function objection(value: string, kind: Kind): string | undefined {
  if ([...value].length > MAX_LENGTH[kind]) return "is too long.";
  if (kind === "list") {
    return entries(value)
      .map((entry) => objection(entry, "text"))
      .find((wrong) => wrong !== undefined);
  }
  if (QUOTED.test(value)) return "has quotes around the value: remove them.";
  if (REFERENCE.test(value)) return "is a reference that nothing has replaced by its value.";
  if (kind === "word" && !PRINTABLE.test(value)) {
    return "must not have blanks, line breaks or characters outside ASCII.";
  }
  if (kind === "text" && /\p{C}/u.test(value)) return "must not have line breaks or control characters.";
  return undefined;
}
