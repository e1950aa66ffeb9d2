/** Runs in workerd around a generated Worker's own code: plays deliveries at it, tells what its D1 has then. */
import { accountOf } from "@project/billing/account";
import { receive } from "@project/billing/inbox";
import { PolarGone, reconcileCustomer } from "@project/billing/reconcile";

interface Question {
  readonly migrate?: readonly string[];
  readonly play?: readonly (readonly [string, string])[];
  readonly reconcile?: Readonly<Record<string, any>>;
  readonly users: readonly string[];
  readonly now: number;
}

async function tables(db: D1Database): Promise<string[]> {
  const { results } = await db
    .prepare("SELECT name FROM sqlite_schema WHERE type = 'table' AND name LIKE 'billing%'")
    .all<{ name: string }>();
  return results.map(({ name }) => name);
}

async function play(db: D1Database, { play = [], now }: Question): Promise<string[]> {
  await db.batch((await tables(db)).map((table) => db.prepare(`DELETE FROM ${table}`)));
  const outcomes: string[] = [];
  for (const [webhookId, text] of play) {
    const delivery = { webhookId, body: new TextEncoder().encode(text) };
    outcomes.push((await receive(db, delivery, now, {})).outcome);
  }
  return outcomes;
}

async function reconcile(db: D1Database, { reconcile = {}, now }: Question): Promise<string[]> {
  const truth = (id: string, list: string) => Promise.resolve(reconcile[id][list]);
  const polar = {
    customerState: (id: string) => (reconcile[id] === null ? Promise.reject(new PolarGone()) : truth(id, "state")),
    subscriptions: (id: string) => truth(id, "subscriptions"),
    orders: (id: string) => truth(id, "orders"),
    grants: (id: string) => truth(id, "grants"),
  };
  const outcomes: string[] = [];
  for (const id of Object.keys(reconcile)) {
    outcomes.push((await reconcileCustomer(db, polar, id, now)).gone ? "gone" : "known");
  }
  return outcomes;
}

async function rowsOf(db: D1Database): Promise<Record<string, unknown[]>> {
  const names = await tables(db);
  const found = await db.batch(names.map((table) => db.prepare(`SELECT * FROM ${table}`)));
  return Object.fromEntries(names.map((name, index) => [name, found[index]?.results ?? []]));
}

export default {
  async fetch(request: Request, { DB: db }: { DB: D1Database }): Promise<Response> {
    if (request.method === "GET") return new Response("ready");
    const question: Question = await request.json();
    if (question.migrate) {
      await db.batch(question.migrate.map((statement) => db.prepare(statement)));
      return Response.json({});
    }
    const outcomes = await (question.play ? play(db, question) : reconcile(db, question));
    const accounts: Record<string, unknown> = {};
    for (const user of question.users) accounts[user] = await accountOf(db, user, question.now);
    return Response.json({ outcomes, rows: await rowsOf(db), accounts });
  },
};
