import { env } from "cloudflare:workers";
import { beforeEach, describe, expect, test, vi } from "vitest";
import { accessOf } from "../src/billing/access";
import { accountOf } from "../src/billing/account";
import { runBackground } from "../src/billing/background";
import { compareAccess } from "../src/billing/compare-access";
import { findDisagreements } from "../src/billing/disagreement";
import { runOutbox } from "../src/billing/outbox";
import type { ReactionContext, Reactions } from "../src/billing/reactions";
import type { PolarObject } from "../src/billing/read";
import { driftOf, PolarGone, type PolarReader, reconcileCustomer } from "../src/billing/reconcile";
import { retain } from "../src/billing/retention";
import { DAY_US, formatInstant, MINUTE_US, SECOND_US } from "../src/billing/time";
import * as polar from "./support/deliveries";
import { deliver, event, NOW, rows, TEAM, TEST_CATALOG, uuid } from "./support/deliveries";

const OWNER = polar.customer(100);
const SUBSCRIPTION = polar.subscription(200, OWNER);
const ORDER = polar.order(300, OWNER);
const GRANT = polar.grant(400, OWNER);

interface ReactionRow {
  readonly key: string;
  readonly state: string;
  readonly attempts: number;
  readonly next_attempt_us: number | null;
  readonly payload: string;
}

/** Handlers that note what they were told. */
function listeners(): { reactions: Reactions; told: [string, PolarObject, number][] } {
  const told: [string, PolarObject, number][] = [];
  const listen = (payload: object, { key, attempt }: { key: string; attempt: number }) => {
    told.push([key, payload as PolarObject, attempt]);
  };
  const reactions: Reactions = {
    access_granted: listen,
    access_ended: listen,
    subscription_started: listen,
    subscription_cancellation_scheduled: listen,
    subscription_ended: listen,
    payment_failed: listen,
    order_paid: listen,
    order_refunded: listen,
  };
  return { reactions, told };
}

/** Limits for handlers that hang on purpose. */
const QUICK = { handlerSeconds: 0.01, runSeconds: 5, perRun: 400 };

async function keys(): Promise<string[]> {
  return (await rows<ReactionRow>("billing_reactions")).map(({ key }) => key);
}

describe("reactions", () => {
  const { reactions } = listeners();

  test.each([
    ["subscription.active", SUBSCRIPTION, [`subscription_started:${uuid(200)}`]],
    [
      "subscription.past_due",
      { ...SUBSCRIPTION, status: "past_due", past_due_at: formatInstant(NOW) },
      [`payment_failed:${uuid(200)}:${NOW}`],
    ],
    [
      "subscription.canceled",
      { ...SUBSCRIPTION, cancel_at_period_end: true, canceled_at: formatInstant(NOW) },
      [`subscription_cancellation_scheduled:${uuid(200)}:${NOW}`, `subscription_started:${uuid(200)}`],
    ],
    [
      "subscription.revoked",
      { ...SUBSCRIPTION, status: "canceled", ended_at: formatInstant(NOW) },
      [`subscription_ended:${uuid(200)}:${NOW}`],
    ],
    ["order.paid", ORDER, [`order_paid:${uuid(300)}`]],
    [
      "order.refunded",
      { ...ORDER, status: "refunded", refunded_amount: 49900 },
      [`order_paid:${uuid(300)}`, `order_refunded:${uuid(300)}:49900`],
    ],
    ["order.created", { ...ORDER, status: "pending" }, []],
  ])("%s writes what its state says", async (type, data, expected) => {
    await deliver(event(type, 1, data), { reactions });
    expect(await keys()).toEqual(expected);
  });

  test("once per transition, however many events tell of it", async () => {
    for (const [seconds, type] of ["subscription.created", "subscription.active", "subscription.updated"].entries()) {
      await deliver(event(type, seconds, SUBSCRIPTION), { reactions });
    }
    expect(await keys()).toHaveLength(1);
  });

  test("not for a stale event", async () => {
    await deliver(event("order.updated", 5, { ...ORDER, status: "void" }), { reactions });
    await deliver(event("order.paid", 1, ORDER), { reactions });
    expect(await keys()).toEqual([]);
  });

  test("not for a repeat, even when the outbox was emptied by hand", async () => {
    await deliver(event("order.paid", 1, ORDER), { id: "a", reactions });
    await env.DB.prepare("DELETE FROM billing_reactions").run();
    await deliver(event("order.paid", 1, ORDER), { id: "a", reactions, now: NOW + SECOND_US });
    expect(await keys()).toEqual([]);
  });

  test("not without a handler, as in a replay", async () => {
    await deliver(event("order.paid", 1, ORDER));
    expect(await keys()).toEqual([]);
  });

  test("tell the user and the object in the account's shape", async () => {
    const { reactions, told } = listeners();
    await deliver(event("order.paid", 1, ORDER), { reactions });
    await runOutbox(env.DB, reactions, NOW);
    expect(told).toMatchObject([
      [`order_paid:${uuid(300)}`, { user_id: "user_100", customer_id: OWNER.id, id: uuid(300), amount: 49900 }, 1],
    ]);
    await runOutbox(env.DB, reactions, NOW + DAY_US);
    expect(told).toHaveLength(1);
  });

  test("can look up the address of the customer or the user, but not of a deleted one", async () => {
    const found: (string | null)[] = [];
    const look = async (_payload: object, { email }: ReactionContext) => {
      found.push(await email());
    };
    const looking: Reactions = { order_paid: look, access_granted: look };
    await deliver(event("customer.created", 0, { ...OWNER, email: "ada@example.com" }));
    await deliver(event("order.paid", 1, ORDER), { reactions: looking });
    await runOutbox(env.DB, looking, NOW);
    await deliver(event("customer.deleted", 2, { ...OWNER, deleted_at: formatInstant(NOW) }));
    await deliver(event("order.paid", 3, { ...ORDER, id: uuid(301) }), { reactions: looking });
    await runOutbox(env.DB, looking, NOW);
    expect(found).toEqual(["ada@example.com", null]);
  });

  test("one that fails is named in the log, without its message", async () => {
    const log = vi.spyOn(console, "error").mockReturnValue();
    const refusing: Reactions = { order_paid: () => Promise.reject(new TypeError("ada@example.com was refused")) };
    await deliver(event("order.paid", 1, ORDER), { reactions: refusing });
    await runOutbox(env.DB, refusing, NOW);
    expect(JSON.stringify(log.mock.calls)).toContain("TypeError");
    expect(JSON.stringify(log.mock.calls)).not.toContain("ada@example.com");
  });

  test("one that fails is tried again later, and is dead after ten attempts; others are not held up", async () => {
    const failing = vi.fn(() => Promise.reject(new Error("no mail today")));
    const { told, reactions } = listeners();
    const mixed = { ...reactions, order_paid: failing };
    await deliver(event("order.paid", 1, ORDER), { reactions: mixed });
    await deliver(event("subscription.active", 1, SUBSCRIPTION), { reactions: mixed });
    let now = NOW;
    const delays: number[] = [];
    for (let attempt = 1; attempt <= 10; attempt++) {
      await runOutbox(env.DB, mixed, now);
      const [row] = await rows<ReactionRow>("billing_reactions");
      if (row?.next_attempt_us == null) break;
      delays.push((row.next_attempt_us - now) / SECOND_US);
      await runOutbox(env.DB, mixed, row.next_attempt_us - 1);
      now = row.next_attempt_us;
    }
    expect(delays).toEqual([30, 60, 120, 240, 480, 960, 1920, 3600, 3600]);
    expect(failing).toHaveBeenCalledTimes(10);
    expect(await rows("billing_reactions")).toMatchObject([
      { state: "dead", error: "no mail today" },
      { state: "done" },
    ]);
    expect(told).toHaveLength(1);
  });

  test("two runs at once run a reaction once; a lease that ran out is taken over", async () => {
    const { reactions, told } = listeners();
    await deliver(event("order.paid", 1, ORDER), { reactions });
    await Promise.all([runOutbox(env.DB, reactions, NOW), runOutbox(env.DB, reactions, NOW)]);
    expect(told).toHaveLength(1);
    await env.DB.prepare("UPDATE billing_reactions SET state = 'pending', next_attempt_us = ?1, lease_us = ?1")
      .bind(NOW + MINUTE_US)
      .run();
    await runOutbox(env.DB, reactions, NOW + MINUTE_US - 1);
    expect(told).toHaveLength(1);
    await runOutbox(env.DB, reactions, NOW + MINUTE_US);
    expect(told).toHaveLength(2);
  });

  test("one that hangs costs only itself: its time is limited, and its neighbours' results are kept", async () => {
    vi.spyOn(console, "error").mockReturnValue();
    const counted = vi.fn();
    const hanging: Reactions = { order_paid: () => new Promise(() => undefined), subscription_started: counted };
    await deliver(event("order.paid", 1, ORDER), { id: "a", reactions: hanging });
    await deliver(event("subscription.active", 1, SUBSCRIPTION), { id: "b", reactions: hanging });
    for (let minute = 0; minute < 600; minute += 1) {
      await runOutbox(env.DB, hanging, NOW + minute * MINUTE_US, QUICK);
    }
    expect(counted).toHaveBeenCalledTimes(1);
    expect(await rows("billing_reactions")).toMatchObject([
      { reaction: "order_paid", state: "dead", attempts: 10, error: "The handler took longer than 0.01 seconds." },
      { reaction: "subscription_started", state: "done", attempts: 1 },
    ]);
  });

  test("many that hang leave room for the others in the same run", async () => {
    vi.spyOn(console, "error").mockReturnValue();
    const counted = vi.fn();
    const hanging: Reactions = { order_paid: () => new Promise(() => undefined), subscription_started: counted };
    for (let number = 0; number < 40; number += 1) {
      const order = { ...ORDER, id: uuid(1000 + number) };
      await deliver(event("order.paid", 1, order), { id: `o${number}`, reactions: hanging });
    }
    await deliver(event("subscription.active", 1, SUBSCRIPTION), { id: "last", reactions: hanging, now: NOW + 1 });
    await runOutbox(env.DB, hanging, NOW + 1, { ...QUICK, handlerSeconds: 0.5, runSeconds: 0.1 });
    expect(counted).toHaveBeenCalledTimes(1);
  });

  test("one whose process ended ten times is dead when it would be tried again", async () => {
    const { reactions, told } = listeners();
    await deliver(event("order.paid", 1, ORDER), { reactions });
    await env.DB.prepare("UPDATE billing_reactions SET attempts = 10").run();
    await runOutbox(env.DB, reactions, NOW);
    expect(told).toEqual([]);
    expect(await rows("billing_reactions")).toMatchObject([{ state: "dead", attempts: 10 }]);
  });

  test("one whose handler was removed is done, and raises no alarm", async () => {
    const log = vi.spyOn(console, "error").mockReturnValue();
    await deliver(event("order.paid", 1, ORDER), { reactions });
    await runOutbox(env.DB, {}, NOW);
    expect(await rows("billing_reactions")).toMatchObject([{ state: "done" }]);
    expect(log).not.toHaveBeenCalled();
  });

  test("retention empties what was told and keeps the key, so that nothing is told twice", async () => {
    const { reactions, told } = listeners();
    await deliver(event("order.paid", 1, ORDER), { reactions });
    await runOutbox(env.DB, reactions, NOW);
    await retain(env.DB, 90, NOW + 91 * DAY_US);
    expect(await rows("billing_reactions")).toMatchObject([{ payload: "{}", user_id: null, state: "done" }]);
    await deliver(event("order.updated", 2, ORDER), { reactions, now: NOW + 91 * DAY_US });
    await runOutbox(env.DB, reactions, NOW + 91 * DAY_US);
    expect(told).toHaveLength(1);
  });
});

describe("access gained and lost", () => {
  const { reactions } = listeners();
  const canceling = { ...SUBSCRIPTION, cancel_at_period_end: true, ends_at: formatInstant(NOW + DAY_US) };

  test("once each, on an event and when time is up", async () => {
    await deliver(event("subscription.updated", 1, canceling));
    await compareAccess(env.DB, reactions, NOW, TEST_CATALOG);
    await compareAccess(env.DB, reactions, NOW + DAY_US - 1, TEST_CATALOG);
    expect(await keys()).toEqual(["access_granted:user_100:1"]);
    await compareAccess(env.DB, reactions, NOW + DAY_US, TEST_CATALOG);
    await compareAccess(env.DB, reactions, NOW + 2 * DAY_US, TEST_CATALOG);
    expect(await keys()).toEqual(["access_ended:user_100:2", "access_granted:user_100:1"]);
  });

  test("a renewal that is late marks the customer for reconciliation", async () => {
    await deliver(
      event("subscription.updated", 1, { ...SUBSCRIPTION, current_period_end: formatInstant(NOW - 3 * DAY_US) }),
    );
    await compareAccess(env.DB, reactions, NOW, TEST_CATALOG);
    expect(await rows("billing_customers")).toMatchObject([{ reconcile_us: NOW }]);
  });

  test("who shares a purchase is looked at when it changes", async () => {
    const guest = polar.member(601, OWNER, { external_id: "guest", role: "member" });
    const due = async () =>
      (await rows<{ user_id: string; check_us: number | null }>("billing_access")).find(
        ({ user_id: user }) => user === "guest",
      )?.check_us;
    await deliver(event("subscription.active", 1, SUBSCRIPTION));
    await deliver(event("member.created", 2, guest));
    await deliver(event("benefit_grant.created", 3, { ...GRANT, member_id: guest.id, member: guest }));
    await compareAccess(env.DB, reactions, NOW, TEST_CATALOG);
    expect(await due()).toBeNull();
    const pastDue = { ...SUBSCRIPTION, status: "past_due", past_due_at: formatInstant(NOW) };
    await deliver(event("subscription.past_due", 4, pastDue));
    expect(await due()).toBe(NOW);
  });

  test("a product that is not premium grants nothing to tell", async () => {
    await deliver(event("subscription.updated", 1, { ...SUBSCRIPTION, product_id: polar.FREE }));
    await compareAccess(env.DB, reactions, NOW, TEST_CATALOG);
    expect(await keys()).toEqual([]);
  });
});

/** Polar as a reader; parts can be replaced. */
function reader(parts: Partial<Record<keyof PolarReader, unknown>> = {}): PolarReader {
  const answer = (name: keyof PolarReader, otherwise: unknown) => async () => {
    const part = name in parts ? parts[name] : otherwise;
    if (part instanceof Error) throw part;
    return (typeof part === "function" ? await part() : part) as never;
  };
  return {
    customerState: answer("customerState", polar.state(OWNER, [SUBSCRIPTION], [GRANT])),
    subscriptions: answer("subscriptions", [SUBSCRIPTION]),
    orders: answer("orders", [ORDER]),
    grants: answer("grants", [GRANT]),
  };
}

describe("a dispute of a one-time purchase", () => {
  const TAKEN = polar.grant(400, OWNER, { order_id: ORDER.id, is_granted: false, is_revoked: true });
  const dispute = (status: string, seconds = 0) => ({ status, created_at: formatInstant(NOW + seconds * SECOND_US) });
  const asked = vi.fn();

  function withDisputes(disputes: unknown, parts = {}): PolarReader {
    asked.mockClear();
    const found = async (id: string) => {
      asked(id);
      return disputes as PolarObject[] | null;
    };
    return { ...reader({ subscriptions: [], grants: [TAKEN], ...parts }), disputes: found };
  }

  test.each([
    [[dispute("needs_response")], false],
    [[dispute("under_review")], false],
    [[dispute("lost")], false],
    [[dispute("won")], true],
    [[dispute("lost"), dispute("won", 1)], true],
    [[dispute("needs_response", 1), dispute("won")], false],
    [[], true],
    [null, true],
  ])("takes it away until it is won: %j leaves %s", async (disputes, expected) => {
    await deliver(event("order.paid", 1, ORDER));
    await deliver(event("benefit_grant.revoked", 2, TAKEN));
    expect(await rows("billing_customers")).toMatchObject([{ reconcile_us: NOW }]);
    const deps = { polar: withDisputes(disputes), reactions: {}, retentionDays: 90, callsPerRun: 40 };
    await runBackground(env.DB, deps, NOW);
    expect(asked.mock.calls).toEqual([[ORDER.id]]);
    const access = () => accessOf(env.DB, "user_100", NOW, TEST_CATALOG);
    expect((await access()).products.length > 0).toBe(expected);
    expect((await access()).reason).toBe(expected ? "purchased" : "disputed");
    await deliver(event("order.updated", 5, ORDER));
    expect((await access()).products.length > 0).toBe(expected);
  });

  test.each([
    [{ grants: [{ ...TAKEN, is_granted: true, is_revoked: false }] }],
    [{ grants: [{ ...TAKEN, order_id: uuid(301) }] }],
    [{ orders: [{ ...ORDER, refunded_amount: 100 }] }],
    [{ orders: [{ ...ORDER, status: "refunded" }] }],
  ])("is asked about only where there may be one (%#)", async (parts) => {
    await reconcileCustomer(env.DB, withDisputes([dispute("lost")], parts), uuid(100), NOW);
    expect(asked).not.toHaveBeenCalled();
  });
});

describe("reconciling", () => {
  const stale = { ...SUBSCRIPTION, status: "past_due", past_due_at: formatInstant(NOW - 30 * DAY_US) };
  const later = NOW + DAY_US;

  beforeEach(async () => {
    await deliver(event("subscription.past_due", 1, stale));
  });

  test("corrects what differs, adds what is missing, and keeps the version", async () => {
    const report = await reconcileCustomer(env.DB, reader(), uuid(100), later);
    expect(report).toEqual({ customerId: uuid(100), gone: false, created: 2, updated: 2 });
    expect(await rows("billing_subscriptions")).toMatchObject([{ status: "active", version: NOW + SECOND_US }]);
    expect(await rows("billing_orders")).toMatchObject([{ id: uuid(300), version: 0, webhook_id: "" }]);
    expect((await accessOf(env.DB, "user_100", NOW, TEST_CATALOG)).access).toBe(true);
    expect(await keys()).toEqual([]);
  });

  test("shows the drift, and writes nothing", async () => {
    const before = await polar.projections();
    const drift = (await driftOf(env.DB, reader(), uuid(100))) ?? [];
    expect(drift.map(({ kind, column, here, polar: there }) => [kind, column, here, there])).toEqual(
      expect.arrayContaining([
        ["customer", "email", null, "user_100@example.com"],
        ["subscription", "status", "past_due", "active"],
        ["subscription", "past_due_us", NOW - 30 * DAY_US, null],
        ["order", null, null, null],
        ["benefit_grant", null, null, null],
      ]),
    );
    expect(await polar.projections()).toEqual(before);
    await reconcileCustomer(env.DB, reader(), uuid(100), later);
    expect(await driftOf(env.DB, reader(), uuid(100))).toEqual([]);
    expect(await driftOf(env.DB, reader({ customerState: new PolarGone() }), uuid(100))).toBeNull();
  });

  test("writes nothing the second time", async () => {
    await reconcileCustomer(env.DB, reader(), uuid(100), later);
    expect(await reconcileCustomer(env.DB, reader(), uuid(100), later)).toMatchObject({ created: 0, updated: 0 });
  });

  test("any later event still wins", async () => {
    await reconcileCustomer(env.DB, reader(), uuid(100), later);
    await deliver(event("subscription.paused", 2, { ...SUBSCRIPTION, status: "paused" }));
    await deliver(event("order.updated", -9999, { ...ORDER, status: "pending" }));
    expect(await rows("billing_subscriptions")).toMatchObject([{ status: "paused" }]);
    expect(await rows("billing_orders")).toMatchObject([{ status: "pending" }]);
  });

  test("an event that comes while Polar is asked wins", async () => {
    const orders = async () => {
      await deliver(event("subscription.paused", 2, { ...SUBSCRIPTION, status: "paused" }));
      await deliver(event("order.updated", 2, { ...ORDER, status: "refunded" }));
      return [ORDER];
    };
    await reconcileCustomer(env.DB, reader({ orders }), uuid(100), later);
    expect(await rows("billing_subscriptions")).toMatchObject([{ status: "paused" }]);
    expect(await rows("billing_orders")).toMatchObject([{ status: "refunded" }]);
  });

  test("a grant that Polar has nowhere any more is revoked", async () => {
    await deliver(event("benefit_grant.created", 2, GRANT));
    await reconcileCustomer(env.DB, reader({ grants: [] }), uuid(100), later);
    expect(await rows("billing_benefit_grants")).toMatchObject([{ is_granted: 1, is_revoked: 0, revoked_us: null }]);
    await reconcileCustomer(env.DB, reader({ customerState: polar.state(OWNER), grants: [] }), uuid(100), later);
    expect(await rows("billing_benefit_grants")).toMatchObject([{ is_granted: 0, is_revoked: 1, revoked_us: later }]);
  });

  test("a customer who is gone is deleted, with their personal data", async () => {
    const report = await reconcileCustomer(env.DB, reader({ customerState: new PolarGone() }), uuid(100), later);
    expect(report.gone).toBe(true);
    expect(await rows("billing_customers")).toMatchObject([{ deleted_us: later, email: null, name: null }]);
  });

  const [subscription, order, grant] = [SUBSCRIPTION, ORDER, GRANT];
  test.each<[string, Partial<Record<keyof PolarReader, unknown>>]>([
    ["a refused token", { customerState: new Error("401") }],
    ["a failure of the last list", { grants: new Error("503") }],
    ["a list that is not found", { orders: new PolarGone() }],
    ["a state that is an error", { customerState: { error: "Oops", detail: "…" } }],
    ["a state without lists", { customerState: OWNER }],
    ["a state with lists of something else", { customerState: { ...polar.state(OWNER), granted_benefits: [1] } }],
    ["a state of another customer", { customerState: polar.state(polar.customer(101)) }],
    ["a subscription without id", { subscriptions: [{ ...subscription, id: undefined }] }],
    ["a subscription without status", { subscriptions: [{ ...subscription, status: 7 }] }],
    ["an order of another customer", { orders: [{ ...order, customer_id: uuid(101) }] }],
    ["a grant with an instant that is none", { grants: [{ ...grant, revoked_at: "never" }] }],
  ])("%s changes nothing", async (_name, parts) => {
    const before = await polar.projections();
    await expect(reconcileCustomer(env.DB, reader(parts), uuid(100), later)).rejects.toThrow();
    expect(await polar.projections()).toEqual(before);
  });
});

describe("disagreement", () => {
  const marked = async () => (await rows<{ reconcile_us: number | null }>("billing_customers"))[0]?.reconcile_us;

  test.each([
    ["a subscription we do not know", polar.state(OWNER, [SUBSCRIPTION])],
    ["a grant we do not know", polar.state(OWNER, [], [GRANT])],
  ])("%s marks the customer after a minute", async (_name, state) => {
    await deliver(event("customer.state_changed", 0, state));
    await findDisagreements(env.DB, NOW + MINUTE_US - 1);
    expect(await marked()).toBeNull();
    await findDisagreements(env.DB, NOW + MINUTE_US);
    expect(await marked()).toBe(NOW + MINUTE_US);
  });

  test("none while both say the same, and a state is compared once", async () => {
    await deliver(event("subscription.active", 0, SUBSCRIPTION));
    await deliver(event("benefit_grant.created", 0, GRANT));
    await deliver(event("customer.state_changed", 1, polar.state(OWNER, [SUBSCRIPTION], [GRANT])));
    await findDisagreements(env.DB, NOW + DAY_US);
    await env.DB.prepare("DELETE FROM billing_subscriptions").run();
    await findDisagreements(env.DB, NOW + DAY_US);
    expect(await marked()).toBeNull();
  });
});

describe("the background run", () => {
  const deps = { reactions: {}, retentionDays: 90, callsPerRun: 40 };

  test("reconciles who is marked, and clears the mark", async () => {
    await deliver(event("customer.created", 0, OWNER));
    await env.DB.prepare("UPDATE billing_customers SET reconcile_us = ?1").bind(NOW).run();
    await runBackground(env.DB, { ...deps, polar: reader() }, NOW);
    expect(await rows("billing_customers")).toMatchObject([{ reconcile_us: null, reconciled_us: NOW }]);
    expect(await rows("billing_subscriptions")).toHaveLength(1);
  });

  /** What is told of the user's access: nothing where the project's own products give none. */
  const granted = async () => ((await accessOf(env.DB, "user_100", NOW)).access ? ["access_granted:user_100:1"] : []);

  test("tells what it found at Polar, once per transition, and nothing when a late event tells it too", async () => {
    const { reactions, told } = listeners();
    await deliver(event("customer.created", 0, OWNER));
    await env.DB.prepare("UPDATE billing_customers SET reconcile_us = ?1").bind(NOW).run();
    const run = (minute: number) =>
      runBackground(env.DB, { ...deps, reactions, polar: reader() }, NOW + minute * MINUTE_US);
    for (let minute = 0; minute < 3; minute += 1) await run(minute);
    await deliver(event("subscription.active", 60, SUBSCRIPTION), { id: "late", reactions });
    await deliver(event("order.paid", 60, ORDER), { id: "later", reactions });
    await env.DB.prepare("UPDATE billing_customers SET reconcile_us = 1").run();
    for (let minute = 3; minute < 6; minute += 1) await run(minute);
    expect(told.map(([key]) => key).sort()).toEqual([
      ...(await granted()),
      `order_paid:${uuid(300)}`,
      `subscription_started:${uuid(200)}`,
    ]);
  });

  test("a run that ends between writing and telling loses no reaction", async () => {
    const { reactions, told } = listeners();
    await deliver(event("customer.created", 0, OWNER));
    const dying = polar.countingDb([4]).db;
    await expect(reconcileCustomer(dying, reader(), uuid(100), NOW, reactions)).rejects.toThrow();
    for (const minute of [1, 2]) {
      await runBackground(env.DB, { ...deps, reactions, polar: null }, NOW + minute * MINUTE_US);
    }
    expect(told.map(([key]) => key)).toContain(`order_paid:${uuid(300)}`);
    expect(told.map(([key]) => key)).toEqual(expect.arrayContaining(await granted()));
  });

  test("a command finds the same in silence, then and later", async () => {
    const { reactions, told } = listeners();
    await deliver(event("customer.created", 0, OWNER));
    await compareAccess(env.DB, reactions, NOW);
    await reconcileCustomer(env.DB, reader(), uuid(100), NOW);
    await runBackground(env.DB, { ...deps, reactions, polar: null }, NOW + MINUTE_US);
    expect((await accessOf(env.DB, "user_100", NOW, TEST_CATALOG)).access).toBe(true);
    expect(told).toEqual([]);
  });

  test("settles every user of a customer, however many there are", async () => {
    for (let number = 0; number < 120; number += 1) {
      const external_id = `guest_${String(number).padStart(3, "0")}`;
      await deliver(event("member.created", 1, polar.member(2000 + number, OWNER, { external_id })));
    }
    await env.DB.prepare("UPDATE billing_access SET check_us = NULL, access = 1").run();
    await reconcileCustomer(env.DB, reader(), uuid(100), NOW);
    const stale = "SELECT COUNT(*) AS number FROM billing_access WHERE access = 1 AND user_id LIKE 'guest%'";
    expect(await env.DB.prepare(stale).first("number")).toBe(0);
  });

  test("keeps to its budget of calls, and to the customers whose users wait first", async () => {
    for (let number = 0; number < 12; number++)
      await deliver(event("customer.created", 0, polar.customer(100 + number)));
    await deliver(event("order.paid", 1, { ...ORDER, customer_id: uuid(111), id: null }), { id: "failed" });
    await env.DB.prepare("UPDATE billing_customers SET reconcile_us = 1").run();
    const asked: string[] = [];
    const ask = async (id: string) => {
      asked.push(id);
      return [];
    };
    const state = async (id: string) => {
      await ask(id);
      return polar.state({ ...OWNER, id });
    };
    const quiet = { customerState: state, subscriptions: ask, orders: ask, grants: ask };
    vi.spyOn(console, "error").mockReturnValue();
    await runBackground(env.DB, { ...deps, polar: quiet, callsPerRun: 23 }, NOW);
    expect(asked).toHaveLength(20);
    expect(asked[0]).toBe(uuid(111));
  });

  test("reconciles at most ten customers, those that waited longest first", async () => {
    for (let number = 0; number < 12; number++)
      await deliver(event("customer.created", 0, polar.customer(100 + number)));
    const asked: string[] = [];
    const watching = { ...reader(), customerState: (id: string) => Promise.reject(asked.push(id) && new PolarGone()) };
    await runBackground(env.DB, { ...deps, polar: watching }, NOW + 2 * DAY_US);
    expect(asked).toHaveLength(10);
  });

  test("tells what is stuck, and nothing when all is well", async () => {
    const log = vi.spyOn(console, "error").mockReturnValue();
    await runBackground(env.DB, { ...deps, polar: null }, NOW);
    expect(log).not.toHaveBeenCalled();
    await deliver(event("order.paid", 1, { ...ORDER, id: null }), { id: "failed" });
    await deliver(event("order.paid", 1, { ...ORDER, id: null }), { id: "dead" });
    await env.DB.exec("UPDATE billing_webhook_events SET state = 'dead' WHERE webhook_id = 'dead'");
    log.mockClear();
    await runBackground(env.DB, { ...deps, polar: null }, NOW);
    expect(log.mock.calls).toEqual([['{"event":"inbox","failed":1,"dead":1,"dead_reactions":0}']]);
  });

  test("a part that fails is reported at the end, and the others run", async () => {
    await deliver(event("customer.created", 0, OWNER));
    const { reactions, told } = listeners();
    await deliver(event("order.paid", 1, ORDER), { reactions });
    const broken = reader({ customerState: new Error("Polar is down") });
    const now = NOW + 2 * DAY_US;
    await expect(runBackground(env.DB, { ...deps, reactions, polar: broken }, now)).rejects.toThrow("failed in part");
    expect(told.map(([key]) => key)).toContain(`order_paid:${uuid(300)}`);
    expect(await rows("billing_customers")).toMatchObject([{ reconcile_us: now + 2 * MINUTE_US, reconciled_us: 0 }]);
  });

  test("retries failed events", async () => {
    await deliver(event("order.paid", 1, ORDER), { db: polar.countingDb([1]).db });
    await runBackground(env.DB, { ...deps, polar: null }, NOW + MINUTE_US);
    expect(await rows("billing_orders")).toHaveLength(1);
  });
});

test("what was erased stays away until the customer is deleted", async () => {
  const owner = polar.member(500, OWNER);
  await deliver(event("customer.created", 0, OWNER));
  await deliver(event("member.created", 1, owner));
  await env.DB.batch([
    env.DB.prepare("UPDATE billing_customers SET email = NULL, name = NULL, erased_us = ?").bind(NOW),
    env.DB.prepare("UPDATE billing_members SET email = NULL, name = NULL"),
  ]);
  const nothing = reader({ customerState: polar.state(OWNER), subscriptions: [], orders: [], grants: [] });
  expect(await reconcileCustomer(env.DB, nothing, uuid(100), NOW)).toMatchObject({ created: 0, updated: 0 });
  expect(await driftOf(env.DB, nothing, uuid(100))).toEqual([]);
  await deliver(event("customer.updated", 5, { ...OWNER, name: "Eve" }));
  await deliver(event("member.updated", 5, { ...owner, name: "Eve" }));
  await deliver(event("subscription.active", 6, SUBSCRIPTION));
  const team = polar.customer(101);
  await deliver(event("member.created", 7, polar.member(501, team, { external_id: "user_100", role: "member" })));
  await deliver(event("member.created", 8, polar.member(502, team)));
  const found = [...(await rows("billing_customers")), ...(await rows("billing_members"))];
  expect(found.filter(({ email }) => email !== null).map(({ id }) => id)).toEqual([uuid(502)]);
  const events = await rows("billing_webhook_events");
  expect(events.filter(({ customer_id: id }) => id === uuid(100)).map(({ body }) => body)).toEqual(Array(5).fill(null));
});

describe("a plan for life", () => {
  const END = "9999-12-31T23:59:59.999999Z";

  test("ends in the year 9999, and that can be written", async () => {
    await deliver(event("subscription.active", 0, { ...SUBSCRIPTION, current_period_end: END }));
    const { access, subscriptions } = await accountOf(env.DB, "user_100", NOW, TEST_CATALOG);
    expect([access.until, subscriptions[0]?.current_period_end]).toEqual([END, END]);
    await compareAccess(env.DB, {}, NOW, TEST_CATALOG);
    expect(await rows("billing_access")).toMatchObject([{ access: 1 }]);
  });
});

test("a user who cannot be compared holds up no other", async () => {
  vi.spyOn(console, "error").mockReturnValue();
  await deliver(event("subscription.active", 0, SUBSCRIPTION));
  await deliver(event("subscription.active", 1, polar.subscription(201, polar.customer(101), { product_id: TEAM })));
  const broken = new Proxy(TEST_CATALOG, {
    get(target, name) {
      if (name !== "products" || !failing) return Reflect.get(target, name);
      failing = false;
      throw new RangeError("out of reach");
    },
  });
  let failing = true;
  await compareAccess(env.DB, {}, NOW, broken);
  failing = true;
  await compareAccess(env.DB, {}, NOW + MINUTE_US, broken);
  expect(await rows("billing_access")).toMatchObject([
    { check_failures: 2, check_us: NOW + 3 * MINUTE_US },
    { access: 1, check_failures: 0 },
  ]);
  failing = false;
  await compareAccess(env.DB, {}, NOW + 3 * MINUTE_US, broken);
  expect(await rows("billing_access")).toMatchObject([{ access: 1, check_failures: 0 }, { access: 1 }]);
});
