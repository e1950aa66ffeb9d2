"""`erase`: takes a user's personal data away."""

from collections.abc import Iterator
from typing import Annotated

import typer
from rich.text import Text

from app.billing import repository
from app.billing.commands.audit import audit
from app.billing.commands.console import AsJson, Refused, Yes, confirm, good, show, warn
from app.billing.commands.project import open_project


def erase(
    user: Annotated[str, typer.Argument(help="The user's id.")], yes: Yes = False, as_json: AsJson = False
) -> None:
    """Take a user's personal data away.

    E-mail address, name and the bodies of events go. Ids, purchases and amounts stay: access and accounting need them.
    What Polar has is deleted at Polar. Ends with 1 where events that wait to be applied still have their body.

    Example: uv run billing erase user_1
    """
    with open_project() as billing:
        with billing.database.read() as connection:
            if not repository.is_known(connection, user):
                raise Refused("Nothing of this user is known, so nothing was erased.")
        confirm(f"Erase the personal data of user {user}? It cannot be brought back.", yes=yes)
        with billing.database.write() as connection:
            erased = repository.erase_user(connection, user)
            audit(connection, "erase", user)
    customers, members, events = len(erased.customers), erased.members, erased.events
    lines = [
        good(f"Erased: {customers} customer(s), {members} member(s), {events} event(s)."),
        good("Ids, purchases and amounts stay: access and accounting need them."),
        *_left(erased),
    ]
    result = {"user": user, "customers": customers, "members": members, "events": events}
    show(result | {"waiting": erased.waiting, "at_polar": erased.at_polar}, lines, as_json=as_json)
    if erased.waiting:
        raise typer.Exit(1)


def _left(erased: repository.Erased) -> Iterator[Text]:
    """Say what is left to be done."""
    if erased.waiting:
        yield warn(f"{erased.waiting} event(s) wait to be applied and keep their body. Replay, then erase again.")
    for customer in erased.at_polar:
        yield warn(
            f"Polar still has customer {customer}. Delete it there, anonymized; its subscriptions end with that."
        )
    if erased.at_polar:
        yield warn("Until then what Polar sends brings the data back.")
