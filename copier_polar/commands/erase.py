"""`erase`: takes a user's personal data away."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated

import typer
from rich.text import Text

from copier_polar.audit import audit
from copier_polar.bridge import Bridge
from copier_polar.console import AsJson, PersistTo, Refused, Remote, Yes, confirm, good, show, warn
from copier_polar.project import open_project, store_of

_KNOWN = """SELECT 1 AS known WHERE EXISTS (SELECT 1 FROM billing_customers WHERE external_id = :user)
  OR EXISTS (SELECT 1 FROM billing_members WHERE external_id = :user)
  OR EXISTS (SELECT 1 FROM billing_subscriptions WHERE app_user_id = :user)
  OR EXISTS (SELECT 1 FROM billing_orders WHERE app_user_id = :user)"""
_OWN = "SELECT id FROM billing_customers WHERE external_id = :user"
# The user as a member, also as the owner of a customer that was linked to the user later on.
_MEMBERS = f"external_id = :user OR (customer_id IN ({_OWN}) AND external_id IS NULL AND role = 'owner')"
# Everything that has a body and is about the user.
_EVENTS = f"""body IS NOT NULL
  AND customer_id IN ({_OWN} UNION SELECT customer_id FROM billing_members WHERE {_MEMBERS})"""
# An event that waits for another try keeps its body until it was applied.
_ERASE = (
    "UPDATE billing_customers SET email = NULL, name = NULL WHERE external_id = :user RETURNING id, deleted_us",
    f"UPDATE billing_members SET email = NULL, name = NULL WHERE {_MEMBERS} RETURNING id",
    f"UPDATE billing_webhook_events SET body = NULL WHERE state <> 'failed' AND {_EVENTS} RETURNING webhook_id",
    f"SELECT webhook_id FROM billing_webhook_events WHERE {_EVENTS}",
)


@dataclass(frozen=True)
class Erased:
    """How many rows lost personal data, how many events keep their body, and which customers Polar still has."""

    customers: int
    members: int
    events: int
    waiting: int
    at_polar: Sequence[str]


def erase(
    user: Annotated[str, typer.Argument(help="The user's id.")],
    yes: Yes = False,
    remote: Remote = False,
    persist_to: PersistTo = None,
    as_json: AsJson = False,
) -> None:
    """Take a user's personal data away.

    E-mail address, name and the bodies of events go. Ids, purchases and amounts stay: access and accounting need them.
    What Polar has is deleted at Polar. Ends with 1 where events that wait to be applied still have their body.

    Example: uv run billing erase user_1
    """
    with open_project(store_of(remote, persist_to)) as opened:
        if not opened.bridge.sql(_KNOWN, user=user):
            raise Refused("Nothing of this user is known, so nothing was erased.")
        confirm(f"Erase the personal data of user {user}? It cannot be brought back.", yes=yes)
        erased = _erase(opened.bridge, user)
    lines = [
        good(f"Erased: {erased.customers} customer(s), {erased.members} member(s), {erased.events} event(s)."),
        good("Ids, purchases and amounts stay: access and accounting need them."),
        *_left(erased),
    ]
    show({"user": user, **vars(erased)}, lines, as_json=as_json)
    if erased.waiting:
        raise typer.Exit(1)


def _erase(bridge: Bridge, user: str) -> Erased:
    statements = [(sql, {"user": user}) for sql in _ERASE]
    customers, members, events, waiting, _ = bridge.batch(*statements, audit("erase", user))
    living = sorted(row["id"] for row in customers if row["deleted_us"] is None)
    return Erased(len(customers), len(members), len(events), len(waiting), living)


def _left(erased: Erased) -> Iterator[Text]:
    """Say what is left to be done."""
    if erased.waiting:
        yield warn(f"{erased.waiting} event(s) wait to be applied and keep their body. Replay, then erase again.")
    for customer in erased.at_polar:
        yield warn(
            f"Polar still has customer {customer}. Delete it there, anonymized; its subscriptions end with that."
        )
    if erased.at_polar:
        yield warn("Until then what Polar sends brings the data back.")
