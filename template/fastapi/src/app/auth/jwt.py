"""Bearer tokens: JWTs of your identity provider (JWKS), or, in development, signed with a shared secret."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

import jwt
from fastapi import Request
from jwt.exceptions import PyJWKClientConnectionError, PyJWTError

from app.auth.user import User, is_user_id
from app.billing.errors import BillingError
from app.settings import Settings

# By type of key, so that a key is never used with an algorithm of another kind, and never as a shared secret.
ALGORITHMS = {
    "RSA": ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    "EC": ("ES256", "ES384", "ES512"),
    "OKP": ("EdDSA",),
}
KEYS_LIVE_SECONDS = 600
REFETCH_SECONDS = 60
RETRY_SECONDS = 5


class ProviderKeys(jwt.PyJWKClient):
    """The identity provider's keys: cached, fetched anew for an unknown key at most once a minute."""

    def __init__(self, url: str) -> None:
        super().__init__(url, lifespan=KEYS_LIVE_SECONDS, cooldown_duration=REFETCH_SECONDS, timeout=5)
        self._retry_at = 0.0

    def fetch_data(self) -> Any:
        """Fetch the keys. While the provider is down, callers are not made to wait for a time-out each."""
        if time.monotonic() < self._retry_at:
            raise PyJWKClientConnectionError("the provider did not answer a moment ago")
        try:
            return super().fetch_data()
        except (PyJWTError, ValueError, OSError) as error:
            self._retry_at = time.monotonic() + RETRY_SECONDS
            raise PyJWKClientConnectionError(f"no usable keys: {error}") from error


class JwtAuth:
    """Says who calls, by the token in the Authorization header."""

    def __init__(self, settings: Settings) -> None:
        self._issuer = settings.auth_issuer
        self._audience = settings.auth_audience
        self._secret = settings.auth_jwt_secret.get_secret_value() if settings.auth_jwt_secret else None
        self._keys = ProviderKeys(settings.auth_jwks_url) if settings.auth_jwks_url else None

    def __call__(self, request: Request) -> User:
        """Return the user, or raise 401."""
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise BillingError("unauthorized")
        try:
            return _user(self._claims(token.strip()))
        except PyJWKClientConnectionError as error:
            raise BillingError("unavailable", headers={"Retry-After": "5"}) from error
        except (PyJWTError, ValueError, RecursionError) as error:
            raise BillingError("unauthorized") from error

    def _claims(self, token: str) -> dict[str, Any]:
        if self._secret is not None:
            return self._decode(token, self._secret, ["HS256"])
        key, algorithms = self._key(jwt.get_unverified_header(token))
        return self._decode(token, key, algorithms)

    def _key(self, header: Mapping[str, Any]) -> tuple[Any, Sequence[str]]:
        """Return the key that the token names, and the algorithms that its kind may be used with."""
        assert self._keys is not None
        key_id = header.get("kid")
        if key_id is None:
            (key,) = (key for key in self._keys.get_jwk_set().keys if key.public_key_use != "enc")
        else:
            key = self._keys.get_signing_key(key_id)
        return key.key, ALGORITHMS.get(key.key_type or "", ())

    def _decode(self, token: str, key: Any, algorithms: Sequence[str]) -> dict[str, Any]:
        return jwt.decode(
            token,
            key,
            algorithms=algorithms,
            issuer=self._issuer,
            audience=self._audience,
            options={"require": ["exp", "sub"], "verify_iat": False, "verify_aud": self._audience is not None},
        )


def _user(claims: Mapping[str, Any]) -> User:
    if any(not isinstance(claims.get(name, 0), (int, float)) for name in ("exp", "iat", "nbf")):
        raise ValueError("an instant is no number")
    if not is_user_id(claims["sub"]):
        raise ValueError("sub is not usable as a user id")
    email, name = claims.get("email"), claims.get("name")
    usable = isinstance(email, str) and "@" in email and claims.get("email_verified") is not False
    return User(claims["sub"], email if usable else None, name if isinstance(name, str) and name else None)
