/**
 * customer.state_changed: what Polar counts as active and granted. It has a row of its own and never writes
 * subscriptions or grants, since states stamped later but computed earlier were seen.
 */
import { type PolarObject, requiredId, requiredObjects, requiredText, text } from "../read";
import { identityOf, modifiedUs, type Projection } from "./projection";

/** The part of a state that is compared with the projections. */
export interface CustomerState {
  readonly subscriptions: readonly { id: string; status: string; product_id: string | null }[];
  readonly benefits: readonly { id: string; benefit_id: string }[];
}

export const customerState: Projection = {
  table: "billing_customer_states",
  key: "customer_id",
  writtenOnce: null,
  read(data) {
    const identity = identityOf(data);
    return {
      row: { customer_id: identity.id, body: JSON.stringify(readCustomerState(data)) },
      modifiedUs: modifiedUs(data),
      customer: identity,
      member: null,
    };
  },
};

/** The lists of a customer state (Polar: `CustomerState`), in an order of their own. */
export function readCustomerState(data: PolarObject): CustomerState {
  const subscriptions = requiredObjects(data, "active_subscriptions").map((subscription) => ({
    id: requiredId(subscription, "id"),
    status: requiredText(subscription, "status"),
    product_id: text(subscription, "product_id"),
  }));
  const benefits = requiredObjects(data, "granted_benefits").map((grant) => ({
    id: requiredId(grant, "id"),
    benefit_id: requiredId(grant, "benefit_id"),
  }));
  return { subscriptions: subscriptions.sort(byId), benefits: benefits.sort(byId) };
}

function byId(a: { id: string }, b: { id: string }): number {
  return a.id < b.id ? -1 : 1;
}
