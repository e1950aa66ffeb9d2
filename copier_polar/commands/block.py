"""`block`: takes all access from a user."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from copier_polar.audit import audit
from copier_polar.console import AsJson, PersistTo, Remote, good, show
from copier_polar.project import open_project, store_of

_CUSTOMERS = "SELECT id FROM billing_customers WHERE external_id = :user"
_BLOCK = "INSERT INTO billing_blocked_users (user_id, blocked_us) VALUES (:user, :now) ON CONFLICT (user_id) DO NOTHING"
_UNBLOCK = "DELETE FROM billing_blocked_users WHERE user_id = :user"
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

    A blocked user has no access and can buy nothing, also before their first purchase. What the user bought stays as it
    is, and Polar goes on charging for it: cancel it there. The reactions to the lost access run in the background.

    Example: uv run billing block user_1
    """
    now = time.time_ns() // 1000
    with open_project(store_of(remote, persist_to)) as opened:
        customers, *_ = opened.bridge.batch(
            (_CUSTOMERS, {"user": user}),
            (_UNBLOCK, {"user": user}) if off else (_BLOCK, {"user": user, "now": now}),
            (_CHECK, {"user": user, "now": now}),
            audit("unblock" if off else "block", user),
        )
    text = f"{'Unblocked' if off else 'Blocked'}: {len(customers)} customer(s) of this user."
    show({"user": user, "blocked": not off, "customers": len(customers)}, [good(text)], as_json=as_json)
