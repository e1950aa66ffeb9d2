/** The running app as `simulate` asks it: on this machine alone, over HTTP. */
import { createHmac } from "node:crypto";
import { isLoopback } from "../../src/settings.ts";
import { Refused } from "../console.ts";
import type { Event } from "./lifecycle.ts";

const TIMEOUT_MS = 30_000;

/** The app at an address, which events are delivered to. Throws Refused for one that is not on this machine. */
export class RunningApp {
  readonly #url: string;
  readonly #secret: string;

  constructor(url: string, secret: string) {
    if (!URL.canParse(url)) throw new Refused(`${url} is no address.`);
    const parsed = new URL(url);
    if (!isLoopback(parsed) || parsed.pathname !== "/") {
      throw new Refused(`${url} is not on this machine: only an app at http://127.0.0.1:PORT is played to.`);
    }
    this.#url = url;
    this.#secret = secret;
  }

  /**
   * Delivers an event as Polar does; returns the status of the answer. Throws Refused when the app does not answer or
   * does not take the signature.
   */
  async deliver({ id, body }: Event): Promise<number> {
    const text = JSON.stringify(body);
    const stamp = String(Math.floor(Date.now() / 1000));
    // The SDK's verifier takes a secret as the key both as it is and decoded.
    const signature = createHmac("sha256", this.#secret).update(`${id}.${stamp}.${text}`).digest("base64");
    const headers = {
      "Content-Type": "application/json",
      "webhook-id": id,
      "webhook-timestamp": stamp,
      "webhook-signature": `v1,${signature}`,
    };
    const { status } = await this.#ask("/webhooks/polar", { method: "POST", headers, body: text });
    if (status === 401) {
      throw new Refused("The app refuses the signature: its POLAR_WEBHOOK_SECRET is another one than here.");
    }
    return status;
  }

  /**
   * Whether the user that the header signs in has access. Throws Refused when the app does not answer, or not with the
   * access.
   */
  async access(header: string): Promise<boolean> {
    const [name = "", ...value] = header.split(":");
    const { status, text } = await this.#ask("/billing/access", { headers: { [name]: value.join(":").trim() } });
    if (status === 401) {
      throw new Refused("The app does not let the user in, so the access cannot be asked: it signs in differently.");
    }
    if (status !== 200) throw new Refused(`The app answers ${status} where it is asked for the access.`);
    return JSON.parse(text).access === true;
  }

  async #ask(path: string, init: RequestInit): Promise<{ status: number; text: string }> {
    try {
      const answer = await fetch(new URL(path, this.#url), {
        ...init,
        redirect: "manual",
        signal: AbortSignal.timeout(TIMEOUT_MS),
      });
      return { status: answer.status, text: await answer.text() };
    } catch {
      throw new Refused(`The app does not answer at ${this.#url}: start it with \`npm run dev\`.`);
    }
  }
}
