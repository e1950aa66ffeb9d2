"""How a simulated user signs in: by a header, which the project's secret signs or which the person gives."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time

from copier_polar.facts import SettingsFacts

LIFETIME_SECONDS = 3600
USER = "{user}"


def filled_in(header: str, user: str) -> str:
    """Return a header that the person gave, with the user's id in it."""
    return header.replace(USER, user)


def bearer(secret: str, settings: SettingsFacts, user: str) -> str:
    """Return the header that signs a user in where AUTH_JWT_SECRET signs."""
    return f"Authorization: Bearer {sign(secret, settings, user)}"


def sign(secret: str, settings: SettingsFacts, user: str, email: str | None = None) -> str:
    """Return a token of this user (HS256), as the app's settings want it."""
    now = int(time.time())
    optional = {"email": email, "iss": settings.issuer, "aud": settings.audience}
    claims = {"sub": user, "iat": now, "exp": now + LIFETIME_SECONDS}
    claims |= {name: value for name, value in optional.items() if value is not None}
    signed = f"{_part({'alg': 'HS256', 'typ': 'JWT'})}.{_part(claims)}"
    return f"{signed}.{_base64url(hmac.digest(secret.encode(), signed.encode(), hashlib.sha256))}"


def _part(content: object) -> str:
    return _base64url(json.dumps(content, separators=(",", ":")).encode())


def _base64url(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
