/** Events and access rules of the code, held against the generated ones by running them. */
import { CATALOG } from "../../src/billing/catalog.ts";
import { projectionOf } from "../../src/billing/events.ts";
import { type HeldSubscription, orderStanding, subscriptionStanding } from "../../src/billing/policy.ts";
import { PROJECTIONS } from "../../src/billing/projections/index.ts";
import { DAY_US } from "../../src/billing/time.ts";
import type { Found } from "./examination.ts";
import {
  EVENTS,
  ORDER_POLICY,
  PAST_DUE_GRACE_DAYS,
  PREMIUM,
  RENEWAL_LIMIT_DAYS,
  SAMPLE,
  SUBSCRIPTION_POLICY,
} from "./generated.ts";

const NOW = 20_000 * DAY_US;

/** Reads an event of every type as the inbox does. */
export async function eventUnhandled(): Promise<Found[]> {
  return Object.entries(EVENTS).flatMap(([type, projection]) => {
    const what = wrongWith(type, projection);
    return what === null ? [] : [{ place: type, what }];
  });
}

function wrongWith(type: string, projection: string | null): string | null {
  if (projection === null) return null;
  const name = projectionOf(type);
  if (name !== projection) return `goes to ${name ?? "no projection"}, not to ${projection}`;
  try {
    PROJECTIONS[name].read(SAMPLE, { type, version: 1 });
    return null;
  } catch {
    return "cannot be read";
  }
}

/** Lets the rules decide about purchases of every status. */
export async function accessTable(): Promise<Found[]> {
  const subscriptions = Object.entries(SUBSCRIPTION_POLICY).flatMap(([status, rule]) =>
    expectations(rule).flatMap(([days, expected]) =>
      differing(
        `subscription ${status}, ${days} day(s) late`,
        subscriptionStanding(held(status, days), NOW).open,
        expected,
      ),
    ),
  );
  const orders = Object.entries(ORDER_POLICY).flatMap(([status, expected]) =>
    differing(`order ${status}`, orderStanding(heldOrder(status)).open, expected),
  );
  const products = CATALOG.products.flatMap(({ key, premium }) =>
    differing(`product ${key}`, premium, PREMIUM[key] === true),
  );
  return [...subscriptions, ...orders, ...products];
}

/** Days after the end of the period, and whether there is access then. */
function expectations(rule: string): [days: number, access: boolean][] {
  const limits: Readonly<Record<string, number>> = {
    while_renewing: RENEWAL_LIMIT_DAYS,
    within_grace: PAST_DUE_GRACE_DAYS,
  };
  const limit = limits[rule] ?? 0;
  const days = [...new Set([0, limit - 1, limit])].filter((day) => day >= 0);
  return days.sort((a, b) => a - b).map((day) => [day, day < limit]);
}

function held(status: string, days: number): HeldSubscription {
  const end = NOW - days * DAY_US;
  return {
    id: "doctor",
    customer_id: "doctor",
    product_id: null,
    status,
    created_us: end - DAY_US,
    current_period_start_us: end - DAY_US,
    current_period_end_us: end,
    cancel_at_period_end: 0,
    ends_us: null,
    past_due_us: end,
  };
}

function heldOrder(status: string) {
  return {
    id: "doctor",
    product_id: null,
    status,
    created_us: NOW,
    billing_reason: "purchase",
    subscription_id: null,
  };
}

function differing(place: string, access: boolean, expected: boolean): Found[] {
  if (access === expected) return [];
  const what = expected ? "gives no access; as generated it does" : "gives access; as generated it does not";
  return [{ place, what }];
}
