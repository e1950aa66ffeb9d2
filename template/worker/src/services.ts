/** What requests of one environment share: settings, sign-in and the Polar client, made when first needed. */
import type { Authenticate } from "./auth/user";
import { PolarApi } from "./billing/polar";
import { type Bindings, readSettings, type Settings } from "./settings";

/** What is made once for an environment. */
export interface Services {
  readonly settings: Settings;
  readonly authenticate: Authenticate;
  /** Null while the products are demo products. */
  readonly polar: PolarApi | null;
}

export type CreateAuthenticate = (env: Bindings, settings: Settings) => Authenticate;

/** Returns a function that makes the services of an environment once; bad settings throw every time. */
export function createServices(createAuthenticate: CreateAuthenticate): (env: Bindings) => Services {
  const made = new WeakMap<Bindings, Services>();
  return (env) => {
    const known = made.get(env);
    if (known !== undefined) return known;
    const settings = readSettings(env);
    const services = {
      settings,
      authenticate: createAuthenticate(env, settings),
      polar: settings.polar === null ? null : new PolarApi(settings.polar),
    };
    made.set(env, services);
    return services;
  };
}
