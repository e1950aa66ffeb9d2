/** `doctor`: the billing integration report. */
import { type Bindings, SettingsError } from "../../src/settings.ts";
import { bad, foundProblem, good, progress, type StoreOptions, show, storeCommand, visible, warn } from "../console.ts";
import { Examination } from "../doctor/examination.ts";
import { CHECK_IDS, examine, type Result } from "../doctor/examine.ts";
import { makeReport, type Report, toMarkdown } from "../doctor/report.ts";
import { productsFound, statusOf } from "../doctor/status.ts";
import { developmentSettings } from "../environment.ts";
import { withProject } from "../project.ts";

export const doctor = storeCommand(
  "doctor",
  `Report on the billing integration, in Markdown.

Asks this project's own app, its database and Polar. The app is only sent requests that it must refuse, Polar only such that change nothing, so it may look at production. What cannot be checked, without network say, is listed as skipped. Ends with 1 where there is an issue of priority P1.`,
  "doctor",
).action(async (options: StoreOptions) => {
  const report = await reportOn(options);
  show(report, toMarkdown(report).map(coloured), options);
  if (report.issues.some(({ priority }) => priority === "P1")) foundProblem();
});

async function reportOn(options: StoreOptions): Promise<Report> {
  try {
    return await withProject(options, ({ env }) => examineAll(new Examination(env)), { whateverState: true });
  } catch (error) {
    if (!(error instanceof SettingsError)) throw error;
    return examineAll(new Examination(developmentSettings() as unknown as Bindings));
  }
}

async function examineAll(x: Examination): Promise<Report> {
  const status = await statusOf(x); // before a probe that is wrongly accepted leaves a row
  const results: Result[] = [];
  for (const id of progress(CHECK_IDS, "Checking", CHECK_IDS.length)) results.push(await examine(x, id));
  return makeReport(productsFound(), status, results);
}

function coloured(line: string): string {
  if (line.startsWith("## P1")) return bad(line);
  if (line.startsWith("## P2")) return warn(line);
  return line === "Nothing." ? good(line) : visible(line);
}
