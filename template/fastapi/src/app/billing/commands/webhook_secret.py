"""Puts the secret of the webhook endpoint where the app reads it, without showing it to anybody."""

import re
from collections.abc import Sequence

from dotenv import dotenv_values, set_key

from app.billing.commands.console import Refused
from app.cli import ENV_FILE

NAME = "POLAR_WEBHOOK_SECRET"
MOST = 3
# What any file, shell and secret store takes as it is: Polar's are base64 or letters and digits, after a prefix.
STORABLE = re.compile(r"[A-Za-z0-9+/=_-]{16,}")


def save_to_file(secret: str) -> None:
    """Put a secret first in the list of .env, in place of the oldest of three. All other lines stay."""
    ENV_FILE.touch(mode=0o600)
    ENV_FILE.chmod(0o600)
    value = ",".join(rotated(split(dotenv_values(ENV_FILE).get(NAME)), secret))
    plain = all(STORABLE.fullmatch(one) for one in value.split(","))
    set_key(ENV_FILE, NAME, value, quote_mode="never" if plain else "always", follow_symlinks=True)


def rotated(secrets: Sequence[str], new: str) -> list[str]:
    """Return the secrets with a new one first: events that are under way are still signed with the old one."""
    if not STORABLE.fullmatch(new):
        raise Refused("The endpoint's secret has characters that cannot be stored: copy it from Polar by hand.")
    return list(secrets) if new in secrets else [new, *secrets][:MOST]


def split(value: str | None) -> list[str]:
    """Read a comma-separated list: trimmed, without empty entries."""
    return [part for item in (value or "").split(",") if (part := item.strip())]
