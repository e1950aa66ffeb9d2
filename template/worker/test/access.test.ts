import { env } from "cloudflare:workers";
import { describe, expect, test } from "vitest";
import { accessOf, followedCustomer } from "../src/billing/access";
import { accountOf, liveSubscriptions } from "../src/billing/account";
import type { PolarObject } from "../src/billing/read";
import { holdingsOf } from "../src/billing/store/holdings-store";
import { formatInstant } from "../src/billing/time";
import * as polar from "./support/deliveries";
import { countingDb, type EventJson, event, NOW, rows, TEST_CATALOG, uuid } from "./support/deliveries";

const ALICE = polar.customer(100, { external_id: "alice" });
const BOB = polar.customer(101, { external_id: "bob" });

async function apply(...events: EventJson[]): Promise<void> {
  for (const sent of events) await polar.deliver(sent);
}

function access(user: string) {
  return accessOf(env.DB, user, NOW, TEST_CATALOG);
}

/** The test runs in both orders: what arrives first must not matter. */
function inBothOrders(name: string, events: EventJson[], check: () => Promise<void>): void {
  test.each(["in order", "reversed"])(`${name} (%s)`, async (order) => {
    await apply(...(order === "reversed" ? [...events].reverse() : events));
    await check();
  });
}

describe("whose purchase it is", () => {
  const bought = event("subscription.created", 2, polar.subscription(200, ALICE));

  inBothOrders("the user of the customer", [event("customer.created", 1, ALICE), bought], async () => {
    expect((await access("alice")).access).toBe(true);
    expect((await access("bob")).access).toBe(false);
    expect((await access("alic")).access).toBe(false);
  });

  const unlinked = { ...ALICE, external_id: null };
  inBothOrders(
    "a customer that is linked later",
    [
      event("customer.created", 1, unlinked),
      event("subscription.created", 2, polar.subscription(200, unlinked)),
      event("customer.updated", 3, ALICE),
    ],
    async () => expect((await access("alice")).access).toBe(true),
  );

  const meant = polar.subscription(200, ALICE, { metadata: { app_user_id: "bob" } });
  inBothOrders(
    "who our server made the checkout for, where Polar put it on another customer",
    [event("customer.created", 1, ALICE), event("subscription.created", 2, meant), event("customer.created", 3, BOB)],
    async () => {
      expect((await access("bob")).access).toBe(true);
      expect((await access("alice")).access).toBe(false);
      expect((await accountOf(env.DB, "alice", NOW)).subscriptions).toEqual([]);
    },
  );

  test.each(["", 7, null, "x".repeat(256)])("app_user_id %j names nobody", async (app_user_id) => {
    await apply(event("subscription.created", 1, polar.subscription(200, ALICE, { metadata: { app_user_id } })));
    expect((await access("alice")).access).toBe(true);
  });
});

describe("deletion", () => {
  const bought = event("subscription.created", 2, polar.subscription(200, ALICE));
  const deleted_at = formatInstant(NOW);
  const plain = { ...ALICE, external_id: null, deleted_at };
  const anonymized = { ...ALICE, email: "x@anonymized.polar.sh", deleted_at };

  for (const [name, dead] of Object.entries({ plain, anonymized }) as [string, PolarObject][]) {
    const subscription = polar.subscription(200, dead);
    const events = [
      event("customer.created", 1, ALICE),
      bought,
      event("customer.deleted", 3, dead),
      event("customer.state_changed", 4, polar.state(dead, [subscription])),
    ];
    inBothOrders(`${name}: nothing of a deleted customer counts`, events, async () => {
      expect(await access("alice")).toMatchObject({ access: false, reason: "none", products: [] });
      expect(await followedCustomer(env.DB, "alice")).toBeNull();
    });

    const successor = polar.customer(150, { external_id: "alice" });
    inBothOrders(
      `${name}: the user follows the next customer with their id`,
      [...events, event("customer.created", 5, successor), event("order.paid", 6, polar.order(300, successor))],
      async () => {
        expect((await followedCustomer(env.DB, "alice"))?.id).toBe(successor.id);
        expect((await access("alice")).products.map(({ key }) => key)).toEqual(["lifetime"]);
      },
    );
  }

  test("a purchase meant for another ends with the customer it was put on", async () => {
    const meant = polar.subscription(200, ALICE, { metadata: { app_user_id: "bob" } });
    await apply(event("subscription.created", 1, meant), event("customer.deleted", 2, plain));
    expect((await access("bob")).access).toBe(false);
  });
});

describe("benefits", () => {
  const granted = (member_id: unknown) => event("benefit_grant.created", 2, polar.grant(400, ALICE, { member_id }));
  const owner = polar.member(600, ALICE);
  const guest = polar.member(601, ALICE, { external_id: "guest", role: "member" });

  test("a grant without a member is the customer's", async () => {
    await apply(granted(null));
    expect((await access("alice")).benefits).toEqual([{ key: "support", id: polar.uuid(50) }]);
  });

  inBothOrders(
    "a grant with a member is the member's, not the customer's",
    [event("member.created", 1, guest), granted(guest.id)],
    async () => {
      expect((await access("guest")).benefits).toHaveLength(1);
      expect((await access("alice")).benefits).toEqual([]);
    },
  );

  inBothOrders("the owner is a member too", [event("member.created", 1, owner), granted(owner.id)], async () =>
    expect((await access("alice")).benefits).toHaveLength(1),
  );

  inBothOrders(
    "the owner of a customer that was linked late has no external id",
    [event("member.created", 1, { ...owner, external_id: null }), granted(owner.id)],
    async () => expect((await access("alice")).benefits).toHaveLength(1),
  );

  test("a grant with an unknown member gives access to no user", async () => {
    await apply(granted(polar.uuid(999)));
    expect((await access("alice")).benefits).toEqual([]);
  });

  inBothOrders(
    "a member who left, or whose customer is deleted, has none",
    [event("member.created", 1, guest), granted(guest.id), event("member.deleted", 3, guest)],
    async () => expect((await access("guest")).benefits).toEqual([]),
  );

  test("the grants of an owner fall with the customer that is followed no longer", async () => {
    await apply(event("member.created", 1, owner), granted(owner.id));
    await apply(event("customer.created", 3, polar.customer(150, { external_id: "alice" })));
    expect((await access("alice")).benefits).toEqual([]);
  });
});

test("benefits follow the buyer of their purchase, whoever's customer it landed on", async () => {
  const bought = polar.subscription(200, ALICE, { metadata: { app_user_id: "bob" } });
  const once = polar.order(300, ALICE, { metadata: { app_user_id: "bob" } });
  const owner = polar.member(500, ALICE);
  await apply(
    event("member.created", 0, owner),
    event("subscription.created", 1, bought),
    event("order.paid", 2, once),
    event("benefit_grant.created", 3, polar.grant(400, ALICE, { subscription_id: bought.id })),
    event(
      "benefit_grant.created",
      4,
      polar.grant(401, ALICE, { order_id: once.id, benefit_id: uuid(51), member_id: owner.id, member: owner }),
    ),
    event("benefit_grant.created", 5, polar.grant(402, ALICE, { benefit_id: uuid(52) })),
  );
  const ids = async (user: string) => (await access(user)).benefits.map(({ id }) => id);
  expect(await ids("bob")).toEqual([uuid(50), uuid(51)]);
  expect(await ids("alice")).toEqual([uuid(52)]);
  const checked = (await rows<{ user_id: string }>("billing_access")).map(({ user_id: id }) => id);
  expect(checked).toContain("bob");
});

test("a grant has the buyer's access compared", async () => {
  const bought = polar.subscription(200, ALICE, { metadata: { app_user_id: "bob" } });
  await apply(event("subscription.created", 1, bought));
  await env.DB.prepare("DELETE FROM billing_access").run();
  await apply(event("benefit_grant.created", 2, polar.grant(400, ALICE, { subscription_id: bought.id })));
  expect(await rows("billing_access")).toMatchObject([{ user_id: "alice" }, { user_id: "bob" }]);
});

test("a blocked user has no access, through whichever customer", async () => {
  await apply(event("subscription.created", 1, polar.subscription(200, ALICE)));
  await env.DB.prepare("INSERT INTO billing_blocked_users (user_id, blocked_us) VALUES ('alice', 1)").run();
  expect(await access("alice")).toMatchObject({ access: false, reason: "blocked" });
});

describe("cost", () => {
  test("an access check is one round trip, and so is the account", async () => {
    const one = countingDb();
    await accessOf(one.db, "alice", NOW);
    expect(one.trips()).toBe(1);
    const other = countingDb();
    await accountOf(other.db, "alice", NOW);
    expect(other.trips()).toBe(1);
  });

  test("an access check reads through indexes only", async () => {
    let query = "";
    const spy = { prepare: (text: string) => ({ bind: () => (query = text) }) } as unknown as D1Database;
    holdingsOf(spy, "alice");
    const { results } = await env.DB.prepare(`EXPLAIN QUERY PLAN ${query}`).bind("alice").all<{ detail: string }>();
    const steps = results.map(({ detail }) => detail);
    expect(steps.filter((step) => step.startsWith("SEARCH")).length).toBeGreaterThan(5);
    expect(steps.filter((step) => /^SCAN (billing_|t\b|c\b|m\b|s\b)/.test(step))).toEqual([]);
  });
});

test("the account shows the user's own, newest first, in the contract's shape", async () => {
  const older = polar.subscription(200, ALICE, { status: "canceled", created_at: formatInstant(NOW - 10) });
  const newer = polar.subscription(201, ALICE, { created_at: formatInstant(NOW - 5), cancel_at_period_end: true });
  await apply(event("customer.created", 1, ALICE), event("order.paid", 4, polar.order(300, ALICE)));
  await apply(event("subscription.created", 2, older), event("subscription.created", 3, newer));
  const account = await accountOf(env.DB, "alice", NOW, TEST_CATALOG);
  expect(account.customer).toEqual({ id: ALICE.id, external_id: "alice", email: ALICE.email, name: ALICE.name });
  expect(account.subscriptions.map(({ id }) => id)).toEqual([newer.id, older.id]);
  expect(account.subscriptions[0]).toMatchObject({ key: "pro", status: "active", cancel_at_period_end: true });
  expect(account.orders).toMatchObject([{ key: "lifetime", amount: 49900, refunded_amount: 0 }]);
  expect((await liveSubscriptions(env.DB, "alice")).map(({ id }) => id)).toEqual([newer.id]);
});
