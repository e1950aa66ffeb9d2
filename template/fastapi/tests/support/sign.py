"""Signs deliveries as Polar does."""

import base64
import hashlib
import hmac
import time
from typing import Literal

SECRET = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
OTHER_SECRET = "whsec_YWJjZGVmZ2hpamFiY2RlZmdoaWphYmNkZWZnaGlqYWI="

Scheme = Literal["legacy", "standard"]


def signed(
    webhook_id: str, body: bytes, secret: str = SECRET, *, scheme: Scheme = "standard", at: float | None = None
) -> dict[str, str]:
    """Return the headers of a delivery. Endpoints made before September 2026 sign with the whole secret as the key."""
    stamp = str(int(time.time() if at is None else at))
    key = secret.encode() if scheme == "legacy" else base64.b64decode(secret.removeprefix("whsec_"))
    digest = hmac.new(key, f"{webhook_id}.{stamp}.".encode() + body, hashlib.sha256).digest()
    return {
        "content-type": "application/json",
        "webhook-id": webhook_id,
        "webhook-timestamp": stamp,
        "webhook-signature": f"v1,{base64.b64encode(digest).decode()}",
    }
