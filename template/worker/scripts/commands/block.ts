/** `block`: takes all access from a user, after a chargeback say (Polar sends no event for those); `--off` gives it back. */
import { parseArgs } from "node:util";
import { wrangler } from "../wrangler.ts";

export const block = {
  usage: "block USER [--off] [--remote | --persist-to FOLDER]",

  run(args: string[]): void {
    const { values, positionals } = parseArgs({
      args,
      allowPositionals: true,
      options: {
        off: { type: "boolean", default: false },
        remote: { type: "boolean", default: false },
        "persist-to": { type: "string" },
      },
    });
    const [user] = positionals;
    if (user === undefined || positionals.length > 1) throw new Error(`Usage: ${block.usage}`);
    const target = values.remote ? ["--remote"] : ["--local", ...persistence(values["persist-to"])];
    console.log(`Target: ${values.remote ? "the deployed database" : "the local database"}`);
    const count = execute(target, statements(user, values.off));
    if (count === 0) throw new Error("No customer of this user is known, so nothing was changed.");
    console.log(`${values.off ? "Unblocked" : "Blocked"}: ${count} customer(s) of this user.`);
  },
};

/** The second statement has the user's access compared again, so that the reactions run. */
function statements(user: string, off: boolean): string {
  const id = quote(user);
  const now = Date.now() * 1000;
  return [
    `UPDATE billing_customers SET blocked_us = ${off ? "NULL" : now} WHERE external_id = ${id} RETURNING id`,
    `INSERT INTO billing_access (user_id, check_us) SELECT ${id}, ${now} WHERE EXISTS
       (SELECT 1 FROM billing_customers WHERE external_id = ${id})
     ON CONFLICT (user_id) DO UPDATE SET check_us = excluded.check_us`,
  ].join(";\n");
}

function execute(target: string[], sql: string): number {
  const { status, stdout, stderr } = wrangler(["d1", "execute", "DB", ...target, "--yes", "--json", "--command", sql]);
  if (status !== 0) throw new Error(`The database refused.\n${stdout}${stderr}`);
  const [changed] = JSON.parse(stdout) as { results: unknown[] }[];
  return changed?.results.length ?? 0;
}

function persistence(folder: string | undefined): string[] {
  return folder === undefined ? [] : ["--persist-to", folder];
}

function quote(text: string): string {
  if (text.includes("\0")) throw new Error("The user id has a NUL in it.");
  return `'${text.replaceAll("'", "''")}'`;
}
