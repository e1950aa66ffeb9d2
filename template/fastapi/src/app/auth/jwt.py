"""Bearer tokens: JWTs of your identity provider (JWKS), or, in development, signed with a shared secret."""

import json
import time
from collections.abc import Callable, Mapping
from typing import Any

import jwt
from fastapi import Request
from jwt.algorithms import OKPAlgorithm
from jwt.exceptions import InvalidSignatureError, InvalidTokenError, PyJWTError

from app.auth.claims import Expected, wrong_claim
from app.auth.keys import KeysUnavailable, NoKey, ProviderKeys
from app.auth.user import User
from app.billing.errors import BillingError
from app.billing.log import log_line
from app.settings import Settings


class JwtAuth:
    """Says who calls, by the token in the Authorization header."""

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.monotonic) -> None:
        self._expected = Expected(settings.auth_issuer, settings.auth_audience, settings.auth_authorized_parties)
        self._secret = settings.auth_jwt_secret.get_secret_value() if settings.auth_jwt_secret else None
        self._keys = ProviderKeys(settings.auth_jwks_url, clock) if settings.auth_jwks_url else None
        self._jws = jwt.PyJWS()
        self._jws.register_algorithm("Ed25519", OKPAlgorithm())

    def __call__(self, request: Request) -> User:
        """Return the user, or raise 401. What was wrong with a token is logged, and none of its values."""
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise BillingError("unauthorized")
        try:
            claims = self._claims(token.strip())
        except KeysUnavailable as error:
            raise BillingError("unavailable", headers={"Retry-After": "5"}) from error
        except (PyJWTError, NoKey, ValueError, RecursionError) as error:
            log_line("token_refused", reason=_reason(error))
            raise BillingError("unauthorized") from error
        wrong = wrong_claim(claims, self._expected, int(time.time()))
        if wrong is not None:
            log_line("token_refused", claim=wrong)
            raise BillingError("unauthorized")
        return _user(claims)

    def _claims(self, token: str) -> Mapping[str, Any]:
        """Return what a token says, once its signature holds."""
        if self._keys is None:
            payload = self._jws.decode(token, self._secret or "", algorithms=["HS256"])
        else:
            header = self._jws.get_unverified_header(token)
            payload = self._jws.decode(token, self._keys.find(header), algorithms=[str(header.get("alg"))])
        claims = json.loads(payload)
        if not isinstance(claims, dict):
            raise InvalidTokenError("the claims are no object")
        return claims


def _reason(error: Exception) -> str:
    if isinstance(error, NoKey):
        return "key"
    return "signature" if isinstance(error, InvalidSignatureError) else "malformed"


def _user(claims: Mapping[str, Any]) -> User:
    email, name = claims.get("email"), claims.get("name")
    unverified = claims.get("email_verified") is False or claims.get("emailVerified") is False
    usable = isinstance(email, str) and "@" in email and not unverified
    return User(claims["sub"], email if usable else None, name if isinstance(name, str) and name else None)
