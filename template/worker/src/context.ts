/** What a request carries through the application. */
import type { User } from "./auth/user";
import type { Services } from "./services";
import type { Bindings } from "./settings";

export interface AppEnv {
  Bindings: Bindings;
  Variables: {
    services: Services;
    /** The instant of the request in microseconds: the only clock that rules and queries see. */
    now: number;
    /** Set behind `requireUser` and on premium routes. */
    user: User;
  };
}
