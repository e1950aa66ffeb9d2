"""`block`: takes all access from a user."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from copier_polar.audit import audit
from copier_polar.console import AsJson, PersistTo, Refused, Remote, good, show
from copier_polar.project import open_project, store_of

_KNOWN = "SELECT id FROM billing_customers WHERE external_id = :user"
_BLOCK = "UPDATE billing_customers SET blocked_us = :blocked WHERE external_id = :user RETURNING id"
# The access is compared again, so that the reactions run.
_CHECK = """INSERT INTO billing_access (user_id, check_us) VALUES (:user, :now)
  ON CONFLICT (user_id) DO UPDATE SET check_us = excluded.check_us"""


def block(
    user: Annotated[str, typer.Argument(help="The user's id.")],
    off: Annotated[bool, typer.Option("--off", help="Give the access back.")] = False,
    remote: Remote = False,
    persist_to: PersistTo = None,
    as_json: AsJson = False,
) -> None:
    """Take all access from a user.

    For chargebacks, say: Polar sends no event for those. What the user bought stays as it is. The reactions to the lost
    access run in the background.

    Example: uv run billing block user_1
    """
    now = time.time_ns() // 1000
    with open_project(store_of(remote, persist_to)) as opened:
        if not opened.bridge.sql(_KNOWN, user=user):
            raise Refused("No customer of this user is known, so nothing was changed.")
        changed, *_ = opened.bridge.batch(
            (_BLOCK, {"user": user, "blocked": None if off else now}),
            (_CHECK, {"user": user, "now": now}),
            audit("unblock" if off else "block", user),
        )
    text = f"{'Unblocked' if off else 'Blocked'}: {len(changed)} customer(s) of this user."
    show({"user": user, "blocked": not off, "customers": len(changed)}, [good(text)], as_json=as_json)
