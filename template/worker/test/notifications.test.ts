/** E-mails to customers: handed to Resend, once for each transition that was taken. */
import { env } from "cloudflare:workers";
import { beforeEach, expect, test, vi } from "vitest";
import type { ReactionContext } from "../src/billing/reactions";
import { ACCESS_ENDED, send } from "../src/notifications";

const sent = vi.fn<(request: Request) => Response>();

beforeEach(() => {
  sent.mockReset().mockImplementation(() => Response.json({ id: "mail" }));
  Object.assign(env, {
    MAIL_FROM: "billing@example.com",
    RESEND_API_KEY: "re_test",
    APP_URL: "https://app.example.com",
  });
  vi.spyOn(globalThis, "fetch").mockImplementation(async (input, init) => sent(new Request(input, init)));
});

function context(key: string, email: string | null = "ada@example.com"): ReactionContext {
  return { key, attempt: 1, email: async () => email };
}

test("a mail goes to the customer, with the text and the address of the app", async () => {
  await send(ACCESS_ENDED, context("access_ended:user_1:2"));
  const [request] = sent.mock.lastCall ?? [];
  expect([request?.url, request?.headers.get("Authorization")]).toEqual([
    "https://api.resend.com/emails",
    "Bearer re_test",
  ]);
  expect(await request?.json()).toMatchObject({
    from: "billing@example.com",
    to: "ada@example.com",
    subject: ACCESS_ENDED.subject,
    text: expect.stringContaining("https://app.example.com"),
  });
});

test("every attempt has the same idempotency key, however long the user's id", async () => {
  const long = `access_ended:${"x".repeat(255)}:2`;
  for (const key of [long, long, "access_ended:user_1:2"]) await send(ACCESS_ENDED, context(key));
  const keys = sent.mock.calls.map(([request]) => request.headers.get("Idempotency-Key"));
  expect(keys[0]).toMatch(/^[0-9a-f]{64}$/);
  expect(keys[1]).toBe(keys[0]);
  expect(keys[2]).not.toBe(keys[0]);
});

test("nothing is sent without a sender or an address", async () => {
  await send(ACCESS_ENDED, context("access_ended:user_1:2", null));
  Object.assign(env, { MAIL_FROM: "" });
  await send(ACCESS_ENDED, context("access_ended:user_1:2"));
  expect(sent).not.toHaveBeenCalled();
});

test("a mail that is not taken is an error that names no address", async () => {
  const refusal = { name: "validation_error", message: "ada@example.com is not valid", statusCode: 422 };
  sent.mockImplementation(() => Response.json(refusal, { status: 422 }));
  const error = await send(ACCESS_ENDED, context("access_ended:user_1:2")).catch((thrown: unknown) => thrown);
  expect(String(error)).toBe("Error: Resend did not take the mail: validation_error");
});
