import { env } from "cloudflare:workers";
import { describe, expect, test } from "vitest";
import { accessOf } from "../src/billing/access";
import { EVENTS } from "../src/billing/events";
import { replay, retryFailed } from "../src/billing/inbox";
import type { PolarObject } from "../src/billing/read";
import { retain } from "../src/billing/retention";
import { DAY_US, formatInstant, HOUR_US, SECOND_US } from "../src/billing/time";
import * as polar from "./support/deliveries";
import { deliver, event, NOW, rows } from "./support/deliveries";

const OWNER = polar.customer(100);
const DATA: Record<string, PolarObject> = {
  benefit_grant: polar.grant(400, OWNER),
  checkout: polar.checkout(500),
  customer: OWNER,
  customer_state: polar.state(OWNER),
  member: polar.member(600, OWNER),
  order: polar.order(300, OWNER),
  subscription: polar.subscription(200, OWNER),
};
function inbox() {
  return rows<{ state: string; attempts: number; next_attempt_us: number | null; body: unknown }>(
    "billing_webhook_events",
  );
}

describe("every event type", () => {
  test("there are 42 of them", () => {
    expect(Object.keys(EVENTS)).toHaveLength(42);
  });

  test.each(Object.entries(EVENTS))("%s goes to %s", async (type, projection) => {
    const receipt = await deliver(event(type, 1, projection === null ? {} : (DATA[projection] as PolarObject)));
    expect(receipt.outcome).toBe(projection === null ? "ignored" : "processed");
    expect(await inbox()).toMatchObject([{ type, state: receipt.outcome, version: NOW + SECOND_US }]);
    if (projection === null) return;
    expect(await rows(`billing_${projection}s`)).toMatchObject([{ version: NOW + SECOND_US }]);
  });

  test.each(Object.entries(EVENTS).filter(([, projection]) => projection !== null))(
    "%s without its ids is kept as failed",
    async (type) => {
      expect((await deliver(event(type, 1, {}))).outcome).toBe("failed");
      expect(await polar.projections()).toEqual(Object.fromEntries(polar.PROJECTION_TABLES.map((name) => [name, []])));
    },
  );
});

describe("tolerant reading", () => {
  test("new fields, statuses and price types are taken as they are", async () => {
    await deliver(event("subscription.updated", 1, { ...DATA.subscription, status: "hibernating", novelty: [1] }));
    expect(await rows("billing_subscriptions")).toMatchObject([{ status: "hibernating" }]);
  });

  test("nothing but ids and the status is required", async () => {
    const { outcome } = await deliver(
      event("subscription.updated", 1, { id: "s", customer_id: "c", status: "active" }),
    );
    expect(outcome).toBe("processed");
  });

  test("numbers that are none, and NULs in text, do no harm", async () => {
    await deliver(event("order.paid", 1, { ...DATA.order, total_amount: 1e300, currency: "u\0sd" }));
    await deliver(event("order.paid", 1, { ...DATA.order, id: "o", total_amount: true }));
    expect(await rows("billing_orders")).toMatchObject([{ amount: null, currency: "usd" }, { amount: null }]);
  });

  test.each([{ current_period_end: "soon" }, { current_period_end: 7 }, { id: 7 }, { status: null }])(
    "%j would mislead, and is kept as failed",
    async (changes) => {
      const { outcome } = await deliver(event("subscription.updated", 1, { ...DATA.subscription, ...changes }));
      expect(outcome).toBe("failed");
      expect(await rows("billing_subscriptions")).toEqual([]);
    },
  );

  test("negative amounts are amounts", async () => {
    await deliver(event("order.created", 1, { ...DATA.order, total_amount: -500 }));
    expect(await rows("billing_orders")).toMatchObject([{ amount: -500 }]);
  });
});

describe("repeats", () => {
  test("a repeat of a processed event has no effect", async () => {
    const sent = event("subscription.updated", 1, DATA.subscription as PolarObject);
    await deliver(sent, { id: "a" });
    const before = [await inbox(), await polar.projections()];
    expect((await deliver(sent, { id: "a", now: NOW + DAY_US })).outcome).toBe("repeat");
    expect([await inbox(), await polar.projections()]).toEqual(before);
  });

  test("an older snapshot that comes later has no effect", async () => {
    await deliver(event("subscription.updated", 5, { ...DATA.subscription, status: "past_due" }));
    await deliver(event("subscription.updated", 4, DATA.subscription as PolarObject));
    expect(await rows("billing_subscriptions")).toMatchObject([{ status: "past_due" }]);
  });

  test("a pending change is taken although modified_at stands still", async () => {
    await deliver(event("subscription.updated", 1, DATA.subscription as PolarObject));
    await deliver(event("subscription.updated", 2, { ...DATA.subscription, pending_update: { product_id: "p" } }));
    expect(await rows("billing_subscriptions")).toMatchObject([{ pending_product_id: "p" }]);
  });
});

describe("failed events", () => {
  test("are tried again after 30 s, then ever more rarely, and are dead after ten attempts", async () => {
    await deliver("{", { id: "bad" });
    const delays: number[] = [];
    let now = NOW;
    for (let attempt = 1; attempt < 10; attempt++) {
      const [entry] = await inbox();
      delays.push(((entry?.next_attempt_us ?? 0) - now) / SECOND_US);
      expect(await retryFailed(env.DB, (entry?.next_attempt_us ?? 0) - 1, {})).toBe(0);
      now = entry?.next_attempt_us ?? 0;
      expect(await retryFailed(env.DB, now, {})).toBe(1);
    }
    expect(delays).toEqual([30, 60, 120, 240, 480, 960, 1920, 3600, 3600]);
    expect(await inbox()).toMatchObject([{ state: "dead", attempts: 10, next_attempt_us: null }]);
    expect(await retryFailed(env.DB, now + DAY_US, {})).toBe(0);
  });

  test("are processed as soon as they can be, from the body that was kept", async () => {
    const sent = event("order.paid", 1, DATA.order as PolarObject);
    await deliver(sent, { id: "a", db: polar.countingDb([1]).db });
    expect(await rows("billing_orders")).toEqual([]);
    expect(await retryFailed(env.DB, NOW + HOUR_US, {})).toBe(0);
    expect(await inbox()).toMatchObject([{ state: "processed", attempts: 2, next_attempt_us: null, error: null }]);
    expect(await rows("billing_orders")).toHaveLength(1);
  });

  test("do not hold up others", async () => {
    await deliver("{");
    await deliver(event("order.paid", 1, DATA.order as PolarObject));
    expect((await accessOf(env.DB, "user_100", NOW, polar.TEST_CATALOG)).access).toBe(true);
  });

  test("keep no value of the body in their error", async () => {
    await deliver(`{"type": "customer.created", "data": {"email": "secret@example.com"`, { id: "a" });
    await deliver(event("customer.created", 1, { id: "", email: "secret@example.com" }), { id: "b" });
    for (const { error } of await rows<{ error: string }>("billing_webhook_events"))
      expect(error).not.toContain("secret");
  });
});

describe("personal data", () => {
  const deleted = { ...OWNER, external_id: null, deleted_at: formatInstant(NOW) };

  test("bodies are emptied after the days of retention, and the ids stay", async () => {
    const sent = event("customer.created", 1, OWNER);
    await deliver(sent, { id: "a" });
    await deliver("{", { id: "b" });
    await retain(env.DB, 90, NOW + 90 * DAY_US);
    expect((await inbox()).map(({ body }) => body === null)).toEqual([false, false]);
    await retain(env.DB, 90, NOW + 90 * DAY_US + 1);
    expect((await inbox()).map(({ body }) => body === null)).toEqual([true, false]);
    expect((await deliver(sent, { id: "a" })).outcome).toBe("repeat");
  });

  test.each([true, false])(
    "a deletion empties a customer's bodies and personal columns (deleted first: %s)",
    async (first) => {
      const events = [
        event("customer.created", 1, OWNER),
        event("member.created", 2, polar.member(600, OWNER)),
        event("refund.created", 3, { id: "r", customer_id: OWNER.id }),
      ];
      const deletion = event("customer.deleted", 4, deleted);
      for (const sent of first ? [deletion, ...events] : [...events, deletion]) await deliver(sent);
      await deliver(event("customer.updated", 9, OWNER));
      await deliver(event("subscription.updated", 10, polar.subscription(200, OWNER)));
      await deliver(event("refund.updated", 11, { id: "r", customer_id: OWNER.id }));
      expect(await rows("billing_customers")).toMatchObject([{ email: null, name: null, external_id: "user_100" }]);
      expect(await rows("billing_members")).toMatchObject([{ email: null, name: null }]);
      expect((await inbox()).every(({ body }) => body === null)).toBe(true);
    },
  );

  test("others keep theirs", async () => {
    await deliver(event("customer.created", 1, polar.customer(101)));
    await deliver(event("customer.deleted", 2, deleted));
    expect(await rows("billing_customers")).toMatchObject([{ email: null }, { email: "user_101@example.com" }]);
  });
});

describe("replay", () => {
  const paid = event("order.paid", 1, DATA.order as PolarObject);
  const onPaid = { order_paid: () => undefined };
  const keys = async () => (await rows<{ key: string }>("billing_reactions")).map(({ key }) => key);

  test("applies a stored event again, and tells nobody of access, also not later", async () => {
    await deliver(paid, { id: "wh_1" });
    await env.DB.batch(["billing_orders", "billing_access"].map((table) => env.DB.prepare(`DELETE FROM ${table}`)));
    expect(await replay(env.DB, "wh_1", NOW)).toBe("processed");
    expect(await rows("billing_orders")).toHaveLength(1);
    expect(await keys()).toEqual([]);
    const [access] = await rows<{ check_us: number | null }>("billing_access");
    expect(access?.check_us ?? NOW + 1).toBeGreaterThan(NOW);
    expect(await replay(env.DB, "unknown", NOW)).toBeNull();
  });

  test("leaves users whom an event waits for", async () => {
    await deliver(paid, { id: "wh_1" });
    await replay(env.DB, "wh_1", NOW);
    expect(await rows("billing_access")).toMatchObject([{ check_us: NOW, access: 0 }]);
  });

  test("writes reactions that were not written, when asked to", async () => {
    await deliver(paid, { id: "wh_1" });
    for (const now of [NOW + 1, NOW + 2]) {
      await replay(env.DB, "wh_1", now, onPaid);
      expect(await keys()).toEqual([`order_paid:${(DATA.order as PolarObject).id}`]);
    }
  });

  test("leaves an event that was applied and cannot be now as it was", async () => {
    await deliver(paid, { id: "wh_1" });
    await env.DB.prepare("UPDATE billing_webhook_events SET body = ?1")
      .bind(new Uint8Array([123]))
      .run();
    const before = await inbox();
    expect(await replay(env.DB, "wh_1", NOW)).toBe("failed");
    expect(await inbox()).toEqual(before);
  });
});
