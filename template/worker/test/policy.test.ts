import { describe, expect, test } from "vitest";
import { catalog as ownCatalog } from "../src/billing/catalog";
import { decide, type HeldGrant, type HeldOrder, type HeldSubscription, type Holdings } from "../src/billing/policy";
import {
  ORDER_POLICY,
  PAST_DUE_GRACE_DAYS,
  RENEWAL_LEEWAY_HOURS,
  RENEWAL_LIMIT_DAYS,
  SUBSCRIPTION_POLICY,
} from "../src/billing/policy-table";
import { DAY_US, formatInstant, HOUR_US } from "../src/billing/time";
import { FREE, LIFETIME, NOW, PRO, STICKER, TEAM, TEST_CATALOG, uuid } from "./support/deliveries";

const NOTHING: Holdings = { blocked: false, subscriptions: [], orders: [], grants: [] };
const FOREIGN = uuid(99);

function subscription(changes: Partial<HeldSubscription> = {}): HeldSubscription {
  const base = { id: uuid(200), customer_id: uuid(100), product_id: PRO, status: "active", created_us: NOW - DAY_US };
  const period = { current_period_start_us: NOW - DAY_US, current_period_end_us: NOW };
  return { ...base, ...period, cancel_at_period_end: 0, ends_us: null, past_due_us: null, ...changes };
}

function order(changes: Partial<HeldOrder> = {}): HeldOrder {
  const base = { id: uuid(300), product_id: LIFETIME, status: "paid", created_us: NOW - DAY_US };
  return { ...base, billing_reason: "purchase", subscription_id: null, ...changes };
}

function grant(changes: Partial<HeldGrant> = {}): HeldGrant {
  const base = { benefit_id: uuid(50), is_granted: 1, is_revoked: 0, revoked_us: null };
  return { ...base, status: null, past_due_us: null, current_period_start_us: null, ...changes };
}

function verdict(holdings: Partial<Holdings>, now = NOW) {
  return decide({ ...NOTHING, ...holdings }, now, TEST_CATALOG);
}

function decision(holdings: Partial<Holdings>, now = NOW) {
  return verdict(holdings, now).decision;
}

function at(held: HeldSubscription, now: number) {
  const { access, reason, until } = decision({ subscriptions: [held] }, now);
  return { access, reason, until };
}

describe("a subscription that renews", () => {
  const LATE = NOW + RENEWAL_LEEWAY_HOURS * HOUR_US;
  const OVER = NOW + RENEWAL_LIMIT_DAYS * DAY_US;

  test.each(["active", "trialing"])("%s: access until the renewal limit, and not at it", (status) => {
    const until = formatInstant(OVER);
    expect(at(subscription({ status }), NOW - 1)).toEqual({ access: true, reason: status, until });
    expect(at(subscription({ status }), LATE)).toEqual({ access: true, reason: status, until });
    expect(at(subscription({ status }), LATE + 1)).toEqual({ access: true, reason: "renewal_overdue", until });
    expect(at(subscription({ status }), OVER - 1)).toEqual({ access: true, reason: "renewal_overdue", until });
    expect(at(subscription({ status }), OVER)).toEqual({ access: false, reason: "renewal_expired", until: null });
  });

  test("a late renewal has its customer asked about, from the first late microsecond on", () => {
    expect(verdict({ subscriptions: [subscription()] }, LATE).overdueCustomers).toEqual([]);
    expect(verdict({ subscriptions: [subscription()] }, LATE + 1).overdueCustomers).toEqual([uuid(100)]);
  });

  test("the next instants to look again are the late renewal, then the limit, then none", () => {
    expect(verdict({ subscriptions: [subscription()] }, NOW).checkUs).toBe(LATE + 1);
    expect(verdict({ subscriptions: [subscription()] }, LATE + 1).checkUs).toBe(OVER);
    expect(verdict({ subscriptions: [subscription()] }, OVER).checkUs).toBeNull();
  });

  test("without an end of the period there is no end of access", () => {
    const endless = { access: true, reason: "active", until: null };
    expect(at(subscription({ current_period_end_us: null }), OVER)).toEqual(endless);
  });
});

describe("a subscription that was cancelled for the end of its period", () => {
  const canceling = subscription({ cancel_at_period_end: 1, ends_us: NOW + DAY_US });

  test("access until it ends, with no leeway", () => {
    const until = formatInstant(NOW + DAY_US);
    expect(at(canceling, NOW + DAY_US - 1)).toEqual({ access: true, reason: "canceling", until });
    expect(at(canceling, NOW + DAY_US)).toEqual({ access: false, reason: "canceled", until: null });
  });

  test("without ends_at the period's end counts", () => {
    expect(at({ ...canceling, ends_us: null }, NOW - 1).access).toBe(true);
    expect(at({ ...canceling, ends_us: null }, NOW).access).toBe(false);
  });
});

describe("a declined renewal", () => {
  const GRACE = PAST_DUE_GRACE_DAYS * DAY_US;
  const declined = subscription({ status: "past_due", past_due_us: NOW, current_period_start_us: NOW - DAY_US });

  test("access until grace is over, and from the first instant none where it has no days", () => {
    const kept = { access: true, reason: "past_due_grace", until: formatInstant(NOW + GRACE) };
    expect(at(declined, NOW + GRACE - 1)).toEqual(kept);
    expect(at(declined, NOW).access).toBe(GRACE > 0);
  });

  test("no access once grace is over", () => {
    expect(at(declined, NOW + GRACE)).toEqual({ access: false, reason: "past_due", until: null });
  });

  test("without past_due_at the period's start counts, and without both there is no grace", () => {
    const since = { ...declined, past_due_us: null };
    expect(at(since, NOW - DAY_US + GRACE).access).toBe(false);
    expect(at({ ...since, current_period_start_us: null }, NOW - 10 * DAY_US)).toMatchObject({ access: false });
  });

  test("benefits that it took away are kept as long", () => {
    const taken = { is_granted: 0, is_revoked: 1, revoked_us: NOW, status: "past_due", past_due_us: NOW };
    const benefits = (changes: Partial<HeldGrant>, now: number) =>
      decision({ grants: [grant({ ...taken, ...changes })] }, now).benefits;
    expect(benefits({}, NOW + GRACE - 1)).toEqual([{ key: "support", id: uuid(50) }]);
    expect(benefits({}, NOW + GRACE)).toEqual([]);
    expect(benefits({ revoked_us: NOW - 1 }, NOW)).toEqual([]);
    expect(benefits({ status: "active" }, NOW)).toEqual([]);
  });
});

describe("every other state", () => {
  const never = Object.keys(SUBSCRIPTION_POLICY).filter((status) => SUBSCRIPTION_POLICY[status] === "never");

  test.each(never)("%s gives no access", (status) => {
    const reason = status === "incomplete_expired" ? "expired" : status;
    const held = subscription({ status, current_period_end_us: NOW + DAY_US });
    expect(at(held, NOW)).toEqual({ access: false, reason, until: null });
  });

  test.each(["hibernating", "constructor", ""])("%j, which nobody knows, gives none", (status) => {
    expect(at(subscription({ status }), NOW - 1)).toMatchObject({ access: false, reason: "unknown_status" });
  });
});

describe("one-time purchases", () => {
  const REASONS = { refunded: "refunded", void: "canceled", draft: "pending", pending: "pending" };
  const reasons: Record<string, string> = REASONS;

  test.each(Object.entries(ORDER_POLICY))("%s: %s", (status, open) => {
    const reason = open ? "purchased" : reasons[status];
    expect(decision({ orders: [order({ status })] })).toMatchObject({ access: open, reason, until: null });
  });

  test("an order status that nobody knows gives none", () => {
    const found = decision({ orders: [order({ status: "frozen" })] });
    expect(found).toMatchObject({ access: false, reason: "unknown_status" });
  });

  test("a subscription's orders give nothing by themselves", () => {
    expect(decision({ orders: [order({ subscription_id: uuid(200) })] }).access).toBe(false);
    expect(decision({ orders: [order({ billing_reason: "subscription_create" })] }).access).toBe(false);
  });
});

describe("products", () => {
  test("a free product is held and gives no premium access", () => {
    const found = decision({ subscriptions: [subscription({ product_id: FREE })] }, NOW - 1);
    expect(found).toMatchObject({ access: false, reason: "not_premium", until: null, products: [{ key: "free" }] });
  });

  test("so is a one-time product that is not premium", () => {
    expect(decision({ orders: [order({ product_id: STICKER })] })).toMatchObject({
      access: false,
      reason: "not_premium",
    });
  });

  test.each([FOREIGN, null])("product %j, which is not in the catalogue, gives nothing", (product_id) => {
    expect(decision({ subscriptions: [subscription({ product_id })] }, NOW - 1)).toMatchObject({
      access: false,
      products: [],
    });
  });

  test("an archived product goes on giving access", () => {
    const products = TEST_CATALOG.products.map((product) => ({ ...product, archived: true }));
    const held = { ...NOTHING, subscriptions: [subscription()] };
    expect(decide(held, NOW - 1, { ...TEST_CATALOG, products }).decision.access).toBe(true);
  });

  test("the purchase that lasts longest decides; on a tie a subscription does", () => {
    const endless = subscription({ product_id: LIFETIME, current_period_end_us: null });
    const found = decision(
      { subscriptions: [subscription({ product_id: TEAM }), endless], orders: [order()] },
      NOW - 1,
    );
    expect(found).toMatchObject({ access: true, reason: "active", until: null });
    expect(found.products.map(({ key, source }) => [key, source])).toEqual([
      ["team", "subscription"],
      ["lifetime", "subscription"],
    ]);
  });

  test("without access the newest premium purchase says why", () => {
    const older = subscription({ id: uuid(201), status: "paused", created_us: NOW - 2 * DAY_US });
    expect(decision({ subscriptions: [older, subscription({ status: "unpaid" })] }).reason).toBe("unpaid");
  });

  test("who holds nothing gets nothing", () => {
    expect(decision({})).toEqual({ access: false, reason: "none", until: null, products: [], benefits: [] });
  });

  test("a blocked user gets nothing, whatever they hold", () => {
    const holdings = { blocked: true, subscriptions: [subscription()], orders: [order()], grants: [grant()] };
    const nothing = { access: false, reason: "blocked", until: null, products: [], benefits: [] };
    expect(decision(holdings, NOW - 1)).toEqual(nothing);
  });
});

describe("benefits", () => {
  test("granted ones once each, by id; one that failed or was revoked is not there", () => {
    const grants = [
      grant({ benefit_id: uuid(51) }),
      grant(),
      grant(),
      grant({ benefit_id: uuid(52), is_granted: 0 }),
      grant({ benefit_id: uuid(53), is_revoked: 1 }),
    ];
    expect(decision({ grants }).benefits).toEqual([
      { key: "support", id: uuid(50) },
      { key: null, id: uuid(51) },
    ]);
  });
});

test.each(ownCatalog.products.map(({ key, id, premium }) => [key, id, premium] as const))(
  "own product %s: held, and premium as chosen",
  (key, id, premium) => {
    const holdings = { ...NOTHING, subscriptions: [subscription({ product_id: id })] };
    const { access, products } = decide(holdings, NOW - 1).decision;
    expect(products.map((product) => product.key)).toEqual([key]);
    expect(access).toBe(premium);
  },
);
