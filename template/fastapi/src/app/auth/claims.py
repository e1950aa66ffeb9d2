"""Whether the claims of a token whose signature holds are for this app. The other runtime has the same rules."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from app.auth.user import is_user_id

# Clocks of machines differ by a little.
LEEWAY_SECONDS = 5


@dataclass(frozen=True)
class Expected:
    """What a token must say."""

    issuer: str | None
    audience: str | None
    parties: tuple[str, ...]


def wrong_claim(claims: Mapping[str, Any], expected: Expected, now: float) -> str | None:
    """Return the name of a claim that is missing or wrong, or None."""
    for name in ("exp", "nbf", "iat"):
        if name in claims and not _is_instant(claims[name]):
            return name
    if "exp" not in claims or claims["exp"] <= now - LEEWAY_SECONDS:
        return "exp"
    for name in ("nbf", "iat"):
        if claims.get(name, now) > now + LEEWAY_SECONDS:
            return name
    if expected.issuer is not None and claims.get("iss") != expected.issuer:
        return "iss"
    return _wrong_recipient(claims, expected) or (None if is_user_id(claims.get("sub")) else "sub")


def _wrong_recipient(claims: Mapping[str, Any], expected: Expected) -> str | None:
    """Compare `aud` with the setting. A token without `aud` is compared by `azp`, the party it was issued to."""
    if expected.audience is None and not expected.parties:
        return None
    if "aud" in claims:
        given = claims["aud"] if isinstance(claims["aud"], list) else [claims["aud"]]
        return None if expected.audience is not None and expected.audience in given else "aud"
    if not expected.parties:
        return "aud"
    return None if claims.get("azp") in expected.parties else "azp"


def _is_instant(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
