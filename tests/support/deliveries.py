"""Signed webhook deliveries and bearer tokens, as Polar and an identity provider make them."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
import time
from typing import Literal

Scheme = Literal["legacy", "standard"]


def new_secret(scheme: Scheme) -> str:
    """A webhook secret in the shape Polar gives: letters and digits before the change of scheme, base64 after it."""
    if scheme == "legacy":
        return "whsec_" + secrets.token_hex(21) + "x"
    return "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()


def headers(body: bytes, webhook_id: str, secret: str, scheme: Scheme, sent_at: int | None = None) -> dict[str, str]:
    """Headers of one delivery attempt; `sent_at` in unix seconds, default now.

    The legacy scheme keys the HMAC with the whole secret, Standard Webhooks with the decoded part after `whsec_`
    (`polar.webhooks`: both are tried by the SDK's verifier).
    """
    key = secret.encode() if scheme == "legacy" else base64.b64decode(secret.removeprefix("whsec_"))
    stamp = str(int(time.time()) if sent_at is None else sent_at)
    signature = hmac.new(key, f"{webhook_id}.{stamp}.".encode() + body, hashlib.sha256).digest()
    return {
        "content-type": "application/json",
        "user-agent": "polar.sh webhooks",
        "webhook-id": webhook_id,
        "webhook-timestamp": stamp,
        "webhook-signature": "v1," + base64.b64encode(signature).decode(),
    }


def bearer(user_id: str, secret: str, **claims: object) -> dict[str, str]:
    """The authorization header of a user, as an HS256 token that is valid for an hour."""
    now = int(time.time())
    payload = {"sub": user_id, "iat": now - 5, "exp": now + 3600, **claims}
    signed = ".".join(_base64url(json.dumps(part).encode()) for part in ({"alg": "HS256", "typ": "JWT"}, payload))
    signature = hmac.new(secret.encode(), signed.encode(), hashlib.sha256).digest()
    return {"authorization": f"Bearer {signed}.{_base64url(signature)}"}


def _base64url(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
