/** Polar's own view of a customer against the projections. Where they differ for a minute, Polar is asked. */
import type { CustomerState } from "./projections/customer-state";
import { compared, projectedState, type StateRow, uncomparedStates } from "./store/disagreement-store";
import { markForReconciliation } from "./store/reconcile-store";
import { MINUTE_US } from "./time";

interface ProjectedRow {
  readonly kind: "subscription" | "grant";
  readonly id: string;
  readonly value: string;
  readonly product_id: string | null;
}

const STATES_A_ROUND = 50;
const MAX_ROUNDS = 10;

/** Compares states older than a minute, and marks customers whose rows say otherwise. */
export async function findDisagreements(db: D1Database, now: number): Promise<void> {
  for (let round = 0; round < MAX_ROUNDS; round++) {
    const states = await uncomparedStates(db, now - MINUTE_US, STATES_A_ROUND);
    if (states.length > 0) await compare(db, states, now);
    if (states.length < STATES_A_ROUND) return;
  }
}

async function compare(db: D1Database, states: readonly StateRow[], now: number): Promise<void> {
  const projected = await db.batch<ProjectedRow>(states.map(({ customer_id: id }) => projectedState(db, id)));
  const statements = states.flatMap((state, index) => {
    const agrees = isSame(state, projected[index]?.results ?? []);
    return [compared(db, state), ...(agrees ? [] : [markForReconciliation(db, state.customer_id, now)])];
  });
  await db.batch(statements);
}

function isSame({ body }: StateRow, rows: readonly ProjectedRow[]): boolean {
  const state = JSON.parse(body) as CustomerState;
  const said = [
    ...state.subscriptions.map(({ id, status, product_id: product }) => `subscription ${id} ${status} ${product}`),
    ...state.benefits.map(({ id, benefit_id: benefit }) => `grant ${id} ${benefit} null`),
  ];
  const held = rows.map((row) => `${row.kind} ${row.id} ${row.value} ${row.product_id}`);
  return said.sort().join("\n") === held.sort().join("\n");
}
