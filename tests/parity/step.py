"""A step: one request that both runtimes are asked; and what all steps are made of."""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import hmac
import json
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.catalogues import shop
from tests.support import deliveries
from tests.support.polar_runtime import PolarRuntime

Json = dict[str, Any]
NOW = dt.datetime.now(dt.UTC)
JWT_SECRET = secrets.token_hex(32)
LEGACY, STANDARD = deliveries.new_secret("legacy"), deliveries.new_secret("standard")
ORIGIN = "https://app.example.com"
PREMIUM = "/api/premium"
JSON = {"content-type": "application/json"}
FREE, MONTHLY, YEARLY, LIFETIME, ANY_AMOUNT, TEAM = shop()
SUPPORT, BETA = MONTHLY["benefits"]
NOBODY = "00000000-0000-4000-8000-000000000000"


@dataclass(frozen=True)
class Step:
    """One request at both; `expected` names values in the JSON body by dotted path, `outcome` is what the log says."""

    name: str
    status: int
    method: str
    path: str
    body: bytes = b""
    headers: Callable[[], dict[str, str]] = dict  # made when the request is sent: signatures and tokens grow old
    expected: Json = field(default_factory=dict)
    prepare: Callable[[PolarRuntime], None] | None = None
    webhook_id: str = ""
    outcome: str = ""
    pause: float = 0
    times: int = 1


def token(
    claims: Json, secret: str = JWT_SECRET, header: Json | None = None, digest: str = "sha256", sign: bool = True
) -> str:
    """A bearer token, right or wrong in any way."""
    parts = ({"alg": "HS256", "typ": "JWT"} if header is None else header, claims)
    signed = ".".join(_base64url(json.dumps(part).encode()) for part in parts)
    signature = hmac.new(secret.encode(), signed.encode(), digest).digest() if sign else b""
    return f"{signed}.{_base64url(signature)}"


def _base64url(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def signed_in(user: str, **claims: Any) -> dict[str, str]:
    """The header of a signed-in user."""
    now = int(time.time())
    return {"authorization": f"Bearer {token({'sub': user, 'iat': now - 5, 'exp': now + 600, **claims})}"}


def get(name: str, path: str, user: str | None = None, status: int = 200, **more: Any) -> Step:
    return Step(name, status, "GET", path, headers=lambda: signed_in(user) if user else {}, **more)


def post(name: str, path: str, user: str | None, body: Any, status: int, **more: Any) -> Step:
    """A POST of JSON, or of these very bytes; `claims` go into the token, `extra` into the headers."""
    claims, extra = more.pop("claims", {}), more.pop("extra", JSON)
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Step(
        name, status, "POST", path, raw, lambda: {**(signed_in(user, **claims) if user else {}), **extra}, **more
    )


def deliver(name: str, body: bytes, outcome: str = "processed", status: int = 202, **more: Any) -> Step:
    """A signed delivery."""
    webhook_id = more.pop("webhook_id", None) or "wh_" + hashlib.sha256(name.encode()).hexdigest()[:20]
    path, secret, scheme = more.pop("path", "/webhooks/polar"), more.pop("secret", LEGACY), more.pop("scheme", "legacy")
    age, changed = more.pop("age", 0), more.pop("headers", {})

    def headers() -> dict[str, str]:
        signed = deliveries.headers(body, webhook_id, secret, scheme, int(time.time()) - age)
        return {key: value for key, value in {**signed, **changed}.items() if value is not None}

    return Step(name, status, "POST", path, body, headers, webhook_id=webhook_id, outcome=outcome, **more)
