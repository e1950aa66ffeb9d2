/** The identity provider's keys: fetched when they are needed, one fetch at a time, and used on while it is down. */
import {
  type CryptoKey,
  createLocalJWKSet,
  type FlattenedJWSInput,
  type JWK,
  type JWSHeaderParameters,
  errors as joseErrors,
} from "jose";
import { errorName, logError } from "../billing/log";

export const ALGORITHMS = [
  ...["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"],
  ...["ES256", "ES384", "ES512", "EdDSA", "Ed25519"],
];
const SECOND = 1000;
const FRESH_MS = 600 * SECOND;
/** Keys that were right are better than no sign-in, as long as the provider is down; but not for ever. */
const USABLE_MS = 12 * 3600 * SECOND;
const REFETCH_MS = 60 * SECOND;
const RETRY_MS = 5 * SECOND;
const FETCH_MS = 5 * SECOND;
const WAIT_MS = 50;
const HEADERS = { "User-Agent": "polar-billing/1.0", Accept: "application/json" };

/** There are no keys to check a token with; the user is not to blame. */
export class KeysUnavailable extends Error {}

interface KeySet {
  readonly find: ReturnType<typeof createLocalJWKSet>;
  readonly fetchedAt: number;
}

/** The keys behind an address. */
export class ProviderKeys {
  readonly #url: URL;
  readonly #fetchMs: number;
  #known: KeySet | undefined;
  #retryAt = 0;
  /** When the fetch that is under way began. */
  #startedAt: number | undefined;

  constructor(url: URL, fetchMs: number = FETCH_MS) {
    this.#url = url;
    this.#fetchMs = fetchMs;
  }

  /** The key that the header of a token names. An unknown one is looked for at most once a minute. */
  async find(header: JWSHeaderParameters, token: FlattenedJWSInput): Promise<CryptoKey> {
    const known = await this.#current();
    try {
      return await known.find(header, token);
    } catch (error) {
      const isUnknown = error instanceof joseErrors.JWKSNoMatchingKey;
      if (!isUnknown || Date.now() < known.fetchedAt + REFETCH_MS) throw error;
      return (await this.#fetched(known)).find(header, token);
    }
  }

  /** The keys; those that are not fresh are fetched once more, and serve on where that fails. */
  async #current(): Promise<KeySet> {
    const known = this.#known;
    if (known === undefined || Date.now() >= known.fetchedAt + USABLE_MS) return this.#fetched(undefined);
    if (Date.now() < known.fetchedAt + FRESH_MS || this.#isFetching()) return known;
    return this.#fetched(known);
  }

  /** Fetches the keys, or waits for the request that does. `known` is the answer where there are no newer ones. */
  async #fetched(known: KeySet | undefined): Promise<KeySet> {
    if (this.#isFetching()) await this.#wait();
    else if (Date.now() >= this.#retryAt) await this.#fetch();
    const latest = this.#known;
    const isUsable = latest !== undefined && Date.now() < latest.fetchedAt + USABLE_MS;
    const keys = isUsable ? latest : known;
    if (keys === undefined) throw new KeysUnavailable();
    return keys;
  }

  async #fetch(): Promise<void> {
    this.#startedAt = Date.now();
    try {
      this.#known = { find: createLocalJWKSet({ keys: await this.#download() }), fetchedAt: Date.now() };
      this.#retryAt = 0;
    } catch (error) {
      const said = error instanceof Refused ? { status: error.status } : { error: errorName(error) };
      logError("jwks_unavailable", { host: this.#url.host, ...said });
      this.#retryAt = Date.now() + (this.#known === undefined ? RETRY_MS : REFETCH_MS);
    } finally {
      this.#startedAt = undefined;
    }
  }

  async #download(): Promise<JWK[]> {
    // The signal covers the body too: what drips or never ends keeps nobody longer.
    const signal = AbortSignal.timeout(this.#fetchMs);
    const response = await fetch(this.#url.href, { headers: HEADERS, redirect: "manual", signal });
    if (response.status !== 200) throw new Refused(response.status);
    const { keys } = (await response.json()) as { keys?: unknown };
    const found = (Array.isArray(keys) ? keys : []).filter(isPublicKey).map(withoutName);
    if (found.length === 0) throw new TypeError("the key set is empty");
    return found;
  }

  /** Whether a fetch is under way. One whose request was cut off says nothing more, so it counts for its time only. */
  #isFetching(): boolean {
    return this.#startedAt !== undefined && Date.now() < this.#startedAt + this.#fetchMs + SECOND;
  }

  /** Workers may not await what another request began, so it is looked for. */
  async #wait(): Promise<void> {
    for (let waited = 0; waited < this.#fetchMs && this.#isFetching(); waited += WAIT_MS) {
      await new Promise((resolve) => setTimeout(resolve, WAIT_MS));
    }
  }
}

/** The provider answered with another status than 200. */
class Refused extends Error {
  readonly status: number;

  constructor(status: number) {
    super(`status ${status}`);
    this.status = status;
  }
}

function isPublicKey(key: unknown): key is JWK {
  return typeof key === "object" && key !== null && !Array.isArray(key) && !("d" in key);
}

/** EdDSA with Ed25519 has two names (RFC 9864): such a key is for both. */
function withoutName(key: JWK): JWK {
  if (key.kty !== "OKP" || key.crv !== "Ed25519") return key;
  const { alg, ...rest } = key;
  return alg === "EdDSA" || alg === "Ed25519" ? rest : key;
}
