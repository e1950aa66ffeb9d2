/** What a user may use right now: one indexed query, and the policy. */
import { CATALOG } from "./catalog";
import type { Catalog } from "./catalog-types";
import { type Decision, decide } from "./policy";
import { type CustomerRow, followedCustomerOf, holdingsOf, readHoldings } from "./store/holdings-store";

export type { CustomerRow, Decision };

/** The access of a user, as `GET /billing/access` answers it. */
export async function accessOf(
  db: D1Database,
  userId: string,
  now: number,
  catalog: Catalog = CATALOG,
): Promise<Decision> {
  const holdings = readHoldings(await holdingsOf(db, userId).all());
  return decide(holdings, now, catalog).decision;
}

/** The Polar customer of a user, or null: the newest with their external id that is not deleted. */
export function followedCustomer(db: D1Database, userId: string): Promise<CustomerRow | null> {
  return followedCustomerOf(db, userId).first<CustomerRow>();
}
