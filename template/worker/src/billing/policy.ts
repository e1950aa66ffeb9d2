/**
 * Who may use what: one pure function of what a user holds and an instant.
 *
 * Access comes through products of the catalogue, never from an amount paid: a full discount pays 0. `until` is the
 * first instant at which this policy refuses; null means that no end is known.
 */
import { CATALOG } from "./catalog";
import type { Catalog } from "./catalog-types";
import {
  DISPUTES_WITHOUT_ACCESS,
  ORDER_POLICY,
  PAST_DUE_GRACE_DAYS,
  RENEWAL_LEEWAY_HOURS,
  RENEWAL_LIMIT_DAYS,
  SUBSCRIPTION_POLICY,
} from "./policy-table";
import { DAY_US, formatOptionalInstant, HOUR_US } from "./time";

export type Source = "subscription" | "order";

/** What the policy reads of a subscription. */
export interface HeldSubscription {
  readonly id: string;
  readonly customer_id: string;
  readonly product_id: string | null;
  readonly status: string;
  readonly created_us: number;
  readonly current_period_start_us: number | null;
  readonly current_period_end_us: number | null;
  readonly cancel_at_period_end: number;
  readonly ends_us: number | null;
  readonly past_due_us: number | null;
}

/** What the policy reads of an order. */
export interface HeldOrder {
  readonly id: string;
  readonly product_id: string | null;
  readonly status: string;
  readonly created_us: number;
  readonly billing_reason: string | null;
  readonly subscription_id: string | null;
  /** Of its newest dispute. */
  readonly dispute_status?: string | null;
}

/** What the policy reads of a benefit grant, and of the subscription that it came with. */
export interface HeldGrant {
  readonly benefit_id: string;
  readonly is_granted: number;
  readonly is_revoked: number;
  readonly revoked_us: number | null;
  readonly status: string | null;
  readonly past_due_us: number | null;
  readonly current_period_start_us: number | null;
}

/** Everything that counts for one user. */
export interface Holdings {
  readonly blocked: boolean;
  readonly subscriptions: readonly HeldSubscription[];
  readonly orders: readonly HeldOrder[];
  readonly grants: readonly HeldGrant[];
}

/** What one purchase gives, whatever else the user has. */
export interface Standing {
  readonly source: Source;
  readonly id: string;
  readonly productId: string | null;
  readonly createdUs: number;
  readonly open: boolean;
  readonly reason: string;
  readonly until: number | null;
}

/** What a user may use, as `GET /billing/access` answers it. */
export interface Decision {
  readonly access: boolean;
  readonly reason: string;
  readonly until: string | null;
  readonly products: readonly { key: string; id: string; source: Source; until: string | null }[];
  /** The key is null where the catalogue does not know the benefit. */
  readonly benefits: readonly { key: string | null; id: string }[];
}

/** The decision, and what the background work has to know about it. */
export interface Verdict {
  readonly decision: Decision;
  /** Customers whose renewal is late: Polar should be asked. */
  readonly overdueCustomers: readonly string[];
  /** When time alone may change the decision. */
  readonly checkUs: number | null;
}

const LEEWAY_US = RENEWAL_LEEWAY_HOURS * HOUR_US;
const LIMIT_US = RENEWAL_LIMIT_DAYS * DAY_US;
const GRACE_US = PAST_DUE_GRACE_DAYS * DAY_US;
const NOTHING_HELD: Holdings = { blocked: false, subscriptions: [], orders: [], grants: [] };
const SUBSCRIPTION_REASONS: Readonly<Record<string, string>> = { incomplete_expired: "expired" };
const ORDER_REASONS: Readonly<Record<string, string>> = {
  refunded: "refunded",
  pending: "pending",
  draft: "pending",
  void: "canceled",
};

/** Decides for one user at one instant. */
export function decide(holdings: Holdings, now: number, catalog: Catalog = CATALOG): Verdict {
  const counted = holdings.blocked ? NOTHING_HELD : holdings;
  const standings = standingsOf(counted, now);
  const best = bestByProduct(standings);
  const deciding = longest(catalog.products.flatMap(({ id, premium }) => (premium ? (best.get(id) ?? []) : [])));
  const decision: Decision = {
    access: deciding !== null,
    reason: holdings.blocked ? "blocked" : (deciding?.reason ?? refusal(standings, catalog)),
    until: formatOptionalInstant(deciding?.until ?? null),
    products: catalog.products.flatMap(({ key, id }) => {
      const standing = best.get(id);
      if (standing === undefined) return [];
      return { key, id, source: standing.source, until: formatOptionalInstant(standing.until) };
    }),
    benefits: benefitsOf(counted.grants, now, catalog),
  };
  return {
    decision,
    overdueCustomers: counted.subscriptions.filter((held) => isOverdue(held, now)).map((held) => held.customer_id),
    checkUs: nextCheck(counted.subscriptions, standings, now),
  };
}

/** What a subscription gives at an instant. */
export function subscriptionStanding(held: HeldSubscription, now: number): Standing {
  switch (ruleOf(held.status)) {
    case "while_renewing":
      return whileRenewing(held, now);
    case "within_grace":
      return withinGrace(held, now);
    case "never":
      return closed(held, SUBSCRIPTION_REASONS[held.status] ?? held.status);
    default:
      return closed(held, "unknown_status");
  }
}

/**
 * What a one-time purchase gives. A refund in part leaves it, a reversed refund restores it. A dispute takes it away
 * until it is won: Polar revokes its benefits at once and gives none back.
 */
export function orderStanding(held: HeldOrder): Standing {
  const paid = ORDER_POLICY[held.status] === true;
  const open = paid && !DISPUTES_WITHOUT_ACCESS.includes(held.dispute_status ?? "");
  const closed = paid ? "disputed" : (ORDER_REASONS[held.status] ?? "unknown_status");
  const reason = open ? "purchased" : closed;
  return {
    source: "order",
    id: held.id,
    productId: held.product_id,
    createdUs: held.created_us,
    open,
    reason,
    until: null,
  };
}

function ruleOf(status: string) {
  return Object.hasOwn(SUBSCRIPTION_POLICY, status) ? SUBSCRIPTION_POLICY[status] : undefined;
}

function whileRenewing(held: HeldSubscription, now: number): Standing {
  const end = held.current_period_end_us;
  if (held.cancel_at_period_end) return untilEnd(held, held.ends_us ?? end, now, "canceling", "canceled");
  const limit = end === null ? null : end + LIMIT_US;
  return untilEnd(held, limit, now, isOverdue(held, now) ? "renewal_overdue" : held.status, "renewal_expired");
}

function withinGrace(held: HeldSubscription, now: number): Standing {
  const end = graceEnd(held);
  return end === null ? closed(held, "past_due") : untilEnd(held, end, now, "past_due_grace", "past_due");
}

function graceEnd(held: Pick<HeldSubscription, "past_due_us" | "current_period_start_us">): number | null {
  const start = held.past_due_us ?? held.current_period_start_us;
  return start === null ? null : start + GRACE_US;
}

/** The first instant at which a renewal counts as late. */
function overdueFrom(held: HeldSubscription): number | null {
  const renews = ruleOf(held.status) === "while_renewing" && !held.cancel_at_period_end;
  return renews && held.current_period_end_us !== null ? held.current_period_end_us + LEEWAY_US + 1 : null;
}

function isOverdue(held: HeldSubscription, now: number): boolean {
  const from = overdueFrom(held);
  return from !== null && now >= from;
}

function untilEnd(held: HeldSubscription, end: number | null, now: number, open: string, over: string): Standing {
  if (end !== null && now >= end) return closed(held, over);
  return { ...closed(held, open), open: true, until: end };
}

function closed(held: HeldSubscription, reason: string): Standing {
  return {
    source: "subscription",
    id: held.id,
    productId: held.product_id,
    createdUs: held.created_us,
    open: false,
    reason,
    until: null,
  };
}

function standingsOf({ subscriptions, orders }: Holdings, now: number): Standing[] {
  // The orders of a subscription say what it cost; what it gives, the subscription says itself.
  const purchases = orders.filter((held) => held.subscription_id === null && held.billing_reason === "purchase");
  return [...subscriptions.map((held) => subscriptionStanding(held, now)), ...purchases.map(orderStanding)];
}

function bestByProduct(standings: readonly Standing[]): Map<string, Standing> {
  const best = new Map<string, Standing>();
  for (const standing of standings) {
    if (!standing.open || standing.productId === null) continue;
    const known = best.get(standing.productId);
    if (known === undefined || outlasts(standing, known)) best.set(standing.productId, standing);
  }
  return best;
}

function longest(standings: readonly Standing[]): Standing | null {
  return standings.reduce<Standing | null>((best, next) => (best === null || outlasts(next, best) ? next : best), null);
}

/** The one that lasts longest decides; then a subscription before an order, and the newer one. */
function outlasts(a: Standing, b: Standing): boolean {
  const [endA, endB] = [a.until ?? Number.POSITIVE_INFINITY, b.until ?? Number.POSITIVE_INFINITY];
  if (endA !== endB) return endA > endB;
  if (a.source !== b.source) return a.source === "subscription";
  return isNewer(a, b);
}

function isNewer(a: Standing, b: Standing): boolean {
  return a.createdUs !== b.createdUs ? a.createdUs > b.createdUs : a.id > b.id;
}

/** Why there is no access: the state of the newest premium purchase. */
function refusal(standings: readonly Standing[], catalog: Catalog): string {
  const premium = new Set(catalog.products.filter((product) => product.premium).map(({ id }) => id));
  const [newest] = standings
    .filter(({ productId }) => productId !== null && premium.has(productId))
    .sort((a, b) => (isNewer(a, b) ? -1 : 1));
  if (newest !== undefined) return newest.reason;
  return standings.some(({ open }) => open) ? "not_premium" : "none";
}

function benefitsOf(grants: readonly HeldGrant[], now: number, catalog: Catalog): Decision["benefits"] {
  const ids = new Set(grants.filter((grant) => hasBenefit(grant, now)).map((grant) => grant.benefit_id));
  return [...ids].sort().map((id) => ({
    key: catalog.benefits.find((benefit) => benefit.id === id)?.key ?? null,
    id,
  }));
}

function hasBenefit(grant: HeldGrant, now: number): boolean {
  if (grant.is_granted && !grant.is_revoked) return true;
  return grant.is_revoked === 1 && isKeptInGrace(grant, now);
}

/** A declined payment takes benefits away at once, where Polar has no grace of its own; our grace keeps them. */
function isKeptInGrace(grant: HeldGrant, now: number): boolean {
  if (grant.status === null || ruleOf(grant.status) !== "within_grace") return false;
  if (grant.past_due_us === null || grant.revoked_us === null) return false;
  const end = graceEnd(grant);
  return grant.revoked_us >= grant.past_due_us && end !== null && now < end;
}

function nextCheck(
  subscriptions: readonly HeldSubscription[],
  standings: readonly Standing[],
  now: number,
): number | null {
  const instants = [...standings.map(({ until }) => until), ...subscriptions.map(overdueFrom)];
  const coming = instants.filter((instant): instant is number => instant !== null && instant > now);
  return coming.length === 0 ? null : Math.min(...coming);
}
