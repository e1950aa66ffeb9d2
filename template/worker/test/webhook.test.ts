import { env } from "cloudflare:workers";
import { describe, expect, test } from "vitest";
import { handleWebhook, type WebhookDeps } from "../src/billing/webhook";
import { countingDb, customer, event, NOW, rows } from "./support/deliveries";
import { type SignOptions, secretFor, signedHeaders } from "./support/sign";

const SECRET = secretFor(1);
const BODY = JSON.stringify(event("customer.created", 0, customer(100)));

async function post(
  body: string | Uint8Array<ArrayBuffer> | ReadableStream,
  headers: Record<string, string>,
  deps: Partial<WebhookDeps> = {},
): Promise<Response> {
  const request = new Request("https://app.example.com/webhooks/polar", { method: "POST", body, headers });
  return handleWebhook(request, { db: env.DB, secrets: [SECRET], now: NOW, ...deps });
}

async function postSigned(options: SignOptions = {}, deps: Partial<WebhookDeps> = {}, body = BODY): Promise<Response> {
  return post(body, await signedHeaders(SECRET, body, options), deps);
}

describe("signature", () => {
  test.each(["standard", "legacy"] as const)("a delivery signed in the %s scheme is taken", async (scheme) => {
    const response = await postSigned({ scheme });
    expect(response.status).toBe(202);
    expect(await response.json()).toEqual({ received: true });
    expect(await rows("billing_customers")).toHaveLength(1);
  });

  test.each([0, 1, 2])("while rotating, secret %i of three is taken", async (position) => {
    const secrets = [secretFor(7), secretFor(8), secretFor(9)];
    secrets[position] = SECRET;
    expect((await postSigned({}, { secrets })).status).toBe(202);
  });

  test("a secret that is none of ours is refused", async () => {
    expect((await postSigned({}, { secrets: [secretFor(2), secretFor(3)] })).status).toBe(401);
  });

  test.each(["webhook-id", "webhook-timestamp", "webhook-signature"])(
    "a delivery without %s is refused",
    async (name) => {
      const { [name]: _removed, ...headers } = await signedHeaders(SECRET, BODY);
      expect((await post(BODY, headers)).status).toBe(401);
    },
  );

  test.each([
    ["webhook-id", () => crypto.randomUUID()],
    ["webhook-timestamp", (value: string) => String(Number(value) - 1)],
    ["webhook-signature", (value: string) => (value.at(3) === "A" ? "v1,B" : "v1,A") + value.slice(4)],
    ["webhook-signature", (value: string) => value.replace("v1,", "v2,")],
  ])("a changed %s is refused", async (name, change) => {
    const headers = await signedHeaders(SECRET, BODY);
    expect((await post(BODY, { ...headers, [name]: change(headers[name] as string) })).status).toBe(401);
    expect(await rows("billing_webhook_events")).toEqual([]);
  });

  test("a changed body is refused, and nothing is asked of the store", async () => {
    const { db, trips } = countingDb();
    const response = await post(BODY.replace("user_100", "user_101"), await signedHeaders(SECRET, BODY), { db });
    expect(response.status).toBe(401);
    expect(trips()).toBe(0);
  });

  test.each([
    [-310, 401],
    [-290, 202],
    [290, 202],
    [310, 401],
  ])("a delivery signed %i s from now is answered %i", async (offset, status) => {
    expect((await postSigned({ seconds: Math.floor(Date.now() / 1000) + offset })).status).toBe(status);
  });

  test.each(["NaN", "-1", "Infinity", "1e400", "0x7fffffff", " ", "1e9"])(
    "the timestamp %j is refused",
    async (value) => {
      const headers = await signedHeaders(SECRET, BODY);
      expect((await post(BODY, { ...headers, "webhook-timestamp": value })).status).toBe(401);
    },
  );

  test.each(["webhook-id", "webhook-timestamp"])("%s sent twice is refused", async (name) => {
    const headers = await signedHeaders(SECRET, BODY);
    const value = headers[name] as string;
    expect((await post(BODY, { ...headers, [name]: `${value}, ${value}` })).status).toBe(401);
    expect(await rows("billing_webhook_events")).toEqual([]);
  });

  test.each(["v1", "v1,", ",", "v1,%%% v1,=", "v1,AAAA ".repeat(5000)])(
    "a signature like %.20j is refused",
    async (value) => {
      const headers = await signedHeaders(SECRET, BODY);
      expect((await post(BODY, { ...headers, "webhook-signature": value })).status).toBe(401);
    },
  );

  test.each(["i".repeat(60_000), "'); DROP TABLE billing_customers; --"])(
    "an id like %.40j is one like any",
    async (id) => {
      expect((await postSigned({ id })).status).toBe(202);
      expect(await rows("billing_webhook_events")).toMatchObject([{ webhook_id: id, state: "processed" }]);
    },
  );

  test("one good signature of several is enough", async () => {
    const headers = await signedHeaders(SECRET, BODY);
    const signature = `v1,AAAA ${headers["webhook-signature"]}`;
    expect((await post(BODY, { ...headers, "webhook-signature": signature })).status).toBe(202);
  });
});

describe("body", () => {
  test.each(["webhook-id", "webhook-timestamp", "webhook-signature"])(
    "without %s the body is not read",
    async (name) => {
      const { [name]: _removed, ...headers } = await signedHeaders(SECRET, BODY);
      let pulled = 0;
      const body = new ReadableStream({
        pull(controller) {
          pulled += 1;
          controller.enqueue(new Uint8Array(1000));
        },
      });
      expect((await post(body, headers)).status).toBe(401);
      expect(pulled).toBeLessThan(3);
    },
  );

  test("with an old timestamp the body is not read", async () => {
    const headers = await signedHeaders(SECRET, BODY, { seconds: Math.floor(Date.now() / 1000) - 400 });
    expect((await post(new ReadableStream({ pull: () => new Promise<void>(() => {}) }), headers)).status).toBe(401);
  });

  test("more than 1 MiB is refused without reading on, whatever the content length says", async () => {
    const chunk = new Uint8Array(256 * 1024);
    let sent = 0;
    const endless = new ReadableStream({
      pull(controller) {
        sent += 1;
        controller.enqueue(chunk);
      },
    });
    const headers = { ...(await signedHeaders(SECRET, BODY)), "content-length": "10" };
    const response = await post(endless, headers);
    expect(response.status).toBe(413);
    expect(sent).toBeLessThan(10);
  });

  test("a megabyte less a little is taken", async () => {
    const body = JSON.stringify({ ...event("product.created", 0, {}), padding: "x".repeat(1_000_000) });
    expect((await postSigned({}, {}, body)).status).toBe(202);
  });

  test.each(["{", "[]", "null", "1", '"text"', "{}", '{"type":7}', ""])(
    "%j, rightly signed, is kept as failed",
    async (body) => {
      const response = await postSigned({}, {}, body);
      expect(response.status).toBe(202);
      expect(await rows("billing_webhook_events")).toMatchObject([{ state: "failed", attempts: 1 }]);
    },
  );

  const deep = "[".repeat(100_000) + "]".repeat(100_000);
  test.each([
    ["failed", deep],
    ["processed", BODY.replace('"data":{', `"data":{"new":${deep},`)],
  ])("what is nested 100,000 deep is %s, and stops nothing", async (state, body) => {
    expect((await postSigned({}, {}, body)).status).toBe(202);
    expect(await rows("billing_webhook_events")).toMatchObject([{ state }]);
  });

  test("bytes that are no text are refused", async () => {
    const body = new Uint8Array([...new TextEncoder().encode(BODY), 0xff]);
    expect((await post(body, await signedHeaders(SECRET, BODY))).status).toBe(401);
  });

  test("an event type that nobody knows yet is ignored", async () => {
    const body = JSON.stringify(event("comet.landed", 0, { id: "x" }));
    expect((await postSigned({}, {}, body)).status).toBe(202);
    expect(await rows("billing_webhook_events")).toMatchObject([{ state: "ignored", type: "comet.landed" }]);
  });
});

describe("store", () => {
  test("success costs one round trip", async () => {
    const { db, trips } = countingDb();
    await postSigned({}, { db });
    expect(trips()).toBe(1);
  });

  test("an event that cannot be read costs one round trip", async () => {
    const { db, trips } = countingDb();
    await postSigned({}, { db }, "{}");
    expect(trips()).toBe(1);
  });

  test("when the store refuses, the event is kept as failed by a second round trip", async () => {
    const { db, trips } = countingDb([1]);
    expect((await postSigned({}, { db })).status).toBe(202);
    expect(trips()).toBe(2);
    expect(await rows("billing_webhook_events")).toMatchObject([
      { state: "failed", error: expect.stringContaining("D1_ERROR") },
    ]);
    expect(await rows("billing_customers")).toEqual([]);
  });

  test("when that fails too, Polar is asked to come again", async () => {
    const { db, trips } = countingDb([1, 2]);
    const response = await postSigned({}, { db });
    expect(response.status).toBe(503);
    expect(response.headers.get("Retry-After")).toBe("5");
    expect(trips()).toBe(2);
  });

  test("a delivery that came again after the store was down is applied", async () => {
    const id = crypto.randomUUID();
    await postSigned({ id }, { db: countingDb([1]).db });
    expect((await postSigned({ id })).status).toBe(202);
    expect(await rows("billing_webhook_events")).toMatchObject([{ state: "processed", attempts: 2 }]);
    expect(await rows("billing_customers")).toHaveLength(1);
  });
});
