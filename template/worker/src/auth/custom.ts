/** Sign-in by your own means: fill in `currentUser`. Until then nobody is signed in. */
import { errorName, logError } from "../billing/log";
import type { Bindings, Settings } from "../settings";
import { type Authenticate, isUserId, type User } from "./user";

/**
 * Tells who sent the request: read your session cookie or ask your identity provider here.
 *
 * Return the user's id in your own system (and the verified e-mail, so that Polar knows the buyer), or null for nobody.
 * Never take the id from a header or a body that a client can write.
 */
async function currentUser(_request: Request, _env: Bindings): Promise<User | null> {
  return null;
}

/** The function that tells who sent a request. An exception or an unusable id means nobody. */
export function createAuthenticate(
  env: Bindings,
  _settings: Settings,
  find: typeof currentUser = currentUser,
): Authenticate {
  return async (request) => {
    try {
      const user = await find(request, env);
      return user !== null && isUserId(user.id) ? user : null;
    } catch (error) {
      logError("sign_in_failed", { error: errorName(error) });
      return null;
    }
  };
}
