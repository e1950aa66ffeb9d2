"""`block`: takes all access from a user."""

import time
from typing import Annotated

import typer

from app.billing import records
from app.billing.commands.audit import audit
from app.billing.commands.console import AsJson, Refused, good, show
from app.billing.commands.project import open_project


def block(
    user: Annotated[str, typer.Argument(help="The user's id.")],
    off: Annotated[bool, typer.Option("--off", help="Give the access back.")] = False,
    as_json: AsJson = False,
) -> None:
    """Take all access from a user.

    For chargebacks, say: Polar sends no event for those. What the user bought stays as it is. The reactions to the lost
    access run in the background.

    Example: uv run billing block user_1
    """
    now = time.time_ns() // 1000
    with open_project() as billing, billing.database.write() as connection:
        count = records.block_user(connection, user, None if off else now, now)
        if count == 0:
            raise Refused("No customer of this user is known, so nothing was changed.")
        audit(connection, "unblock" if off else "block", user)
    text = f"{'Unblocked' if off else 'Blocked'}: {count} customer(s) of this user."
    show({"user": user, "blocked": not off, "customers": count}, [good(text)], as_json=as_json)
