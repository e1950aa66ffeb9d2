import { env } from "cloudflare:workers";
import { expect, test } from "vitest";
import { accountOf } from "../src/billing/account";
import type { PolarObject } from "../src/billing/read";
import { formatInstant, SECOND_US } from "../src/billing/time";
import * as polar from "./support/deliveries";
import { type EventJson, event, NOW, TEST_CATALOG } from "./support/deliveries";
import { emptyStore } from "./support/store";

type Random = (below: number) => number;

interface Sent {
  readonly id: string;
  readonly event: EventJson;
}

const USERS = ["user_a", "user_b", "user_c"];

/** Lives of a few customers, some of them under the same external id, one after another. */
function history(random: Random): Sent[] {
  const events: EventJson[] = [];
  let seconds = 0;
  let ids = 100;
  const next = () => (seconds += 1 + random(30) / 10);
  const send = (type: string, data: PolarObject) => events.push(event(type, next(), data));
  for (const user of USERS) {
    for (let life = 0; life <= random(2); life++)
      liveAndDie({ user, random, next: () => ids++, send, seconds: () => seconds });
  }
  return events.map((sent, index) => ({ id: polar.uuid(900_000 + index), event: sent }));
}

interface Life {
  readonly user: string;
  readonly random: Random;
  readonly next: () => number;
  readonly send: (type: string, data: PolarObject) => void;
  readonly seconds: () => number;
}

function liveAndDie({ user, random, next, send, seconds }: Life): void {
  const now = () => formatInstant(NOW + Math.round(seconds() * SECOND_US));
  const isLinkedLate = random(3) === 0;
  let owner = polar.customer(next(), { external_id: isLinkedLate ? null : user, created_at: now() });
  const owned = polar.member(next(), { ...owner, external_id: user });
  const guest = polar.member(next(), owner, { external_id: `${user}_guest`, role: "member" });
  const metadata = random(4) === 0 ? { app_user_id: USERS[random(USERS.length)] as string } : {};
  const checkout = polar.checkout(next(), { metadata });
  const subscription = polar.subscription(next(), owner, { metadata, created_at: now() });
  const order = polar.order(next(), owner, { metadata, created_at: now() });
  const member_id = random(2) ? guest.id : null;
  const grant = polar.grant(next(), owner, { subscription_id: subscription.id, member_id });
  const off = { is_granted: false, is_revoked: true };
  const revoked = (of: PolarObject) => ({ ...grant, customer: of, ...off, revoked_at: now() });

  send("checkout.created", checkout);
  send("member.created", owned);
  if (random(2)) send("member.created", guest);
  send("customer.created", owner);
  send("subscription.created", subscription);
  if (isLinkedLate) {
    owner = { ...owner, external_id: user };
    send("customer.updated", owner);
  }
  send("order.created", { ...order, customer: owner });
  send("checkout.updated", { ...checkout, status: "succeeded", customer_id: owner.id });
  send("benefit_grant.created", { ...grant, customer: owner });
  send("customer.state_changed", polar.state(owner, [subscription], [grant]));
  // A pending change leaves modified_at as it was.
  if (random(2))
    send("subscription.updated", { ...subscription, customer: owner, pending_update: { product_id: polar.TEAM } });
  if (random(2))
    send("order.refunded", { ...order, customer: owner, status: "partially_refunded", refunded_amount: 100 });
  if (random(2)) {
    send("subscription.past_due", { ...subscription, customer: owner, status: "past_due", past_due_at: now() });
    send("benefit_grant.revoked", revoked(owner));
  }
  if (random(2)) return;
  const deleted_at = now();
  const plain = random(2) === 0;
  const dead = { ...owner, deleted_at, ...(plain ? { external_id: null } : { email: "x@anonymized.polar.sh" }) };
  send("member.deleted", owned);
  send("customer.deleted", dead);
  send("customer.state_changed", polar.state(dead, [subscription], [grant]));
  send("subscription.revoked", { ...subscription, customer: dead, status: "canceled", ended_at: deleted_at });
  send("benefit_grant.revoked", revoked(dead));
  send("customer.state_changed", polar.state(dead));
}

async function outcome(sent: readonly Sent[]) {
  await emptyStore();
  for (const { id, event } of sent) expect((await polar.deliver(event, { id })).outcome).not.toBe("failed");
  const now = NOW + 3600 * SECOND_US;
  const users = [...USERS, ...USERS.map((user) => `${user}_guest`)];
  return {
    rows: await polar.projections(),
    accounts: await Promise.all(users.map((user) => accountOf(env.DB, user, now, TEST_CATALOG))),
  };
}

test.each([1, 2, 3, 4, 5, 6])(
  "any order with repeats ends in the same rows and the same access (seed %i)",
  async (seed) => {
    const random = polar.randomFrom(seed);
    const sent = history(random);
    const expected = await outcome(sent);
    expect(await outcome([...sent].reverse())).toEqual(expected);
    for (let round = 0; round < 2; round++) expect(await outcome(polar.shuffled(sent, random))).toEqual(expected);
  },
);
