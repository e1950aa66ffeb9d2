/** The report: products, status, issues by priority, plan, what was skipped. As JSON, and as Markdown. */
import { CHECKS, type Priority } from "./checks.ts";
import type { Found } from "./examination.ts";
import type { Result } from "./examine.ts";
import type { ProductFound, Status } from "./status.ts";

interface Issue {
  readonly id: string;
  readonly priority: Priority;
  readonly title: string;
  readonly found: readonly Found[];
  readonly fix: string;
}

interface SkippedCheck {
  readonly id: string;
  readonly reason: string;
}

export interface Report {
  readonly products: readonly ProductFound[];
  readonly status: Status;
  readonly issues: readonly Issue[];
  readonly skipped: readonly SkippedCheck[];
  readonly passed: readonly string[];
}

const PRIORITIES: readonly (readonly [priority: Priority, meaning: string, when: string])[] = [
  ["P1", "critical", "Now, before anything else"],
  ["P2", "important", "This week"],
  ["P3", "polish", "When there is time"],
];
const MAX_LISTED = 20;
const MARKUP = /[\\`*[\]|<>~&]/g;

/** Puts the report together. */
export function makeReport(products: readonly ProductFound[], status: Status, results: readonly Result[]): Report {
  const issues = results.filter(({ found }) => found.length > 0).map(issueOf);
  return {
    products,
    status,
    issues: PRIORITIES.flatMap(([priority]) => issues.filter((issue) => issue.priority === priority)),
    skipped: results.flatMap(({ id, skipped }) => (skipped === null ? [] : [{ id, reason: skipped }])),
    passed: results.filter(({ found, skipped }) => found.length === 0 && skipped === null).map(({ id }) => id),
  };
}

/** The report for a person. */
export function toMarkdown(report: Report): string[] {
  return [
    "# Billing integration report",
    ...productLines(report.products),
    ...statusLines(report),
    ...issueLines(report.issues),
    ...planLines(report.issues),
    ...skippedLines(report.skipped),
  ];
}

/** A text that Markdown shows as it is: names come from outside. */
export function escaped(text: string): string {
  return text
    .split(/\s+/)
    .filter((word) => word !== "")
    .join(" ")
    .replaceAll(MARKUP, "\\$&");
}

function issueOf({ id, found }: Result): Issue {
  const { priority, title, fix } = CHECKS[id];
  return { id, priority, title, found, fix };
}

function productLines(products: readonly ProductFound[]): string[] {
  const rows = products.map(({ key, name, prices, interval, premium, id }) => {
    const cells = [key, name, `${prices.join(", ") || "none"}, ${interval}`, premium ? "yes" : "no", id];
    return `| ${cells.map(escaped).join(" | ")} |`;
  });
  return ["", "## Products", "", "| key | name | price | access | id |", "|---|---|---|---|---|", ...rows];
}

function statusLines({ status, issues, passed, skipped }: Report): string[] {
  const { api, settings, tables } = status;
  const lines = [
    "",
    "## Status",
    "",
    `- API version: ${api.version}, removed on ${api.earliest_removal} at the earliest`,
  ];
  if (settings !== null) {
    const secrets = settings.webhook_secrets;
    lines.push(`- Server: ${settings.server}`, `- App: ${escaped(settings.app_url)}`);
    lines.push(`- Webhook secrets: ${secrets.length} (${secrets.join(", ")})`);
  }
  if (tables !== null) {
    lines.push(`- Events: ${listed(tables.events)}; the newest: ${tables.newest_event ?? "none"}`);
    lines.push(`- Customers: ${tables.customers}`, `- Subscriptions: ${listed(tables.subscriptions)}`);
    lines.push(`- Orders: ${listed(tables.orders)}`);
  }
  lines.push(`- Checks: ${passed.length} passed, ${issues.length} found something, ${skipped.length} skipped`);
  return lines;
}

function issueLines(issues: readonly Issue[]): string[] {
  return PRIORITIES.flatMap(([priority, meaning]) => {
    const alike = issues.filter((issue) => issue.priority === priority);
    const lines = alike.flatMap((issue, index) => [...(index > 0 ? [""] : []), ...oneIssue(issue)]);
    return ["", `## ${priority}: ${meaning}`, "", ...(lines.length > 0 ? lines : ["Nothing."])];
  });
}

function oneIssue({ id, title, found, fix }: Issue): string[] {
  const lines = found.slice(0, MAX_LISTED).map(({ place, what }) => `- ${escaped(place)}: ${escaped(what)}`);
  if (found.length > MAX_LISTED) lines.push(`- and ${found.length - MAX_LISTED} more`);
  return [`### ${title} (\`${id}\`)`, "", ...lines, "", `Fix: ${fix}`];
}

function planLines(issues: readonly Issue[]): string[] {
  const steps = PRIORITIES.flatMap(([priority, , when]) => {
    const ids = idsOf(issues.filter((issue) => issue.priority === priority));
    return ids === "" ? [] : [`${when}: ${ids}.`];
  });
  const all = [...steps, steps.length > 0 ? "Run `doctor` again." : "Nothing is to be done."];
  return ["", "## Plan", "", ...all.map((step, index) => `${index + 1}. ${step}`)];
}

function skippedLines(skipped: readonly SkippedCheck[]): string[] {
  if (skipped.length === 0) return [];
  const lines = [...Map.groupBy(skipped, ({ reason }) => reason)].map(
    ([reason, checks]) => `- ${escaped(reason)} ${idsOf(checks)}`,
  );
  return ["", "## Skipped", "", ...lines];
}

function idsOf(entries: readonly { readonly id: string }[]): string {
  return entries.map(({ id }) => `\`${id}\``).join(", ");
}

function listed(counts: Readonly<Record<string, number>>): string {
  return (
    Object.entries(counts)
      .map(([name, count]) => `${count} ${escaped(name)}`)
      .join(", ") || "none"
  );
}
