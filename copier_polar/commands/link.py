"""`link`: makes a customer a user's."""

from __future__ import annotations

import re
import time
from typing import Annotated

import typer

from copier_polar.audit import Statement, audit
from copier_polar.bridge import Bridge, PolarGoneProblem, PolarProblem, UnreadableProblem
from copier_polar.console import AsJson, PersistTo, Refused, Remote, Yes, confirm, good, show
from copier_polar.instants import to_micros
from copier_polar.polar import Json, Polar, polar_of
from copier_polar.project import open_project, store_of
from copier_polar.user import is_user_id

UUID = re.compile("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)
# PostgreSQL takes no NUL in a text, and no database takes half a surrogate pair.
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")

_HERE = "SELECT external_id, deleted_us FROM billing_customers WHERE id = :customer"
# The customer that a user follows: the newest that was not deleted.
_FOLLOWED = """SELECT id FROM billing_customers WHERE external_id = :user AND deleted_us IS NULL
  ORDER BY created_us DESC, id DESC LIMIT 1"""
# Version 0: any event about the customer is newer.
_REMEMBER = """INSERT INTO billing_customers (id, external_id, email, name, type, created_us)
  VALUES (:customer, :user, :email, :name, :type, :created)
  ON CONFLICT (id) DO UPDATE SET external_id = COALESCE(billing_customers.external_id, excluded.external_id)"""
# A customer that is marked already keeps its turn.
_RECONCILE = "UPDATE billing_customers SET reconcile_us = :now WHERE id = :customer AND reconcile_us IS NULL"
# The access is compared of all that the customer may concern; in one order, so that two of these never wait for
# each other.
_CHECK = """INSERT INTO billing_access (user_id, check_us)
  SELECT user_id, :now FROM (
    SELECT external_id AS user_id FROM billing_customers WHERE id = :customer
    UNION SELECT external_id FROM billing_members WHERE customer_id = :customer
    UNION SELECT app_user_id FROM billing_subscriptions WHERE customer_id = :customer
    UNION SELECT app_user_id FROM billing_orders WHERE customer_id = :customer
  ) AS concerned WHERE user_id IS NOT NULL ORDER BY user_id
  ON CONFLICT (user_id) DO UPDATE SET check_us = excluded.check_us"""


def link(
    user: Annotated[str, typer.Argument(help="The user's id.")],
    customer: Annotated[str, typer.Argument(help="The customer's id at Polar.")],
    yes: Yes = False,
    remote: Remote = False,
    persist_to: PersistTo = None,
    as_json: AsJson = False,
) -> None:
    """Link a customer to a user.

    For buyers who came by a checkout link or an import; `unlinked` lists them. Polar keeps the user's id with the
    customer for good. Refused where the user has another customer, or the customer another user.

    Example: uv run billing link user_1 63675639-d3c2-4715-8507-3e8b6e9241ee
    """
    if not is_user_id(user):
        raise typer.BadParameter("must be 1 to 255 characters", param_hint="USER")
    if not UUID.fullmatch(customer):
        raise typer.BadParameter("must be an id of Polar", param_hint="CUSTOMER")
    with open_project(store_of(remote, persist_to)) as opened, polar_of(opened) as polar:
        found = _customer(polar, customer)
        _check(opened.bridge, polar, found, user)
        if found.get("external_id") != user:
            confirm(f"Link customer {customer} to user {user}? Polar keeps it for good.", yes=yes)
            found = _link(polar, customer, user)
        now = time.time_ns() // 1000
        opened.bridge.batch(
            _remember(found, customer, user),
            (_RECONCILE, {"customer": customer, "now": now}),
            (_CHECK, {"customer": customer, "now": now}),
            audit("link", customer),
        )
    show({"user": user, "customer": customer}, [good(f"Linked: customer {customer}, user {user}.")], as_json=as_json)


def _customer(polar: Polar, customer_id: str) -> Json:
    try:
        return polar.customer(customer_id)
    except PolarGoneProblem:
        raise Refused("Polar has no such customer.") from None


def _check(bridge: Bridge, polar: Polar, customer: Json, user: str) -> None:
    """Refuse what would mix up two users. A link cannot be taken back, here or at Polar."""
    held, followed = bridge.batch((_HERE, {"customer": customer["id"]}), (_FOLLOWED, {"user": user}))
    here = held[0] if held else {"external_id": None, "deleted_us": None}
    if here["deleted_us"] or customer.get("deleted_at"):
        raise Refused("This customer was deleted.")
    if any(other not in {None, user} for other in (here["external_id"], customer.get("external_id"))):
        raise Refused("This customer belongs to another user.")
    if {*(row["id"] for row in followed), _customer_of(polar, user)} - {None, customer["id"]}:
        raise Refused("This user has another customer.")


def _customer_of(polar: Polar, user: str) -> object:
    try:
        return polar.external_customer(user).get("id")
    except PolarGoneProblem:
        return None


def _link(polar: Polar, customer_id: str, user: str) -> Json:
    try:
        return polar.link_customer(customer_id, user)
    except PolarProblem as problem:
        if problem.status == 422:
            raise Refused("Polar does not take this user's id for this customer.") from None
        raise


def _remember(customer: Json, customer_id: str, user: str) -> Statement:
    """Store a customer as Polar answered it."""
    fields = {name: _text(customer.get(name)) for name in ("email", "name", "type")}
    return _REMEMBER, {"customer": customer_id, "user": user, **fields, "created": _created(customer)}


def _text(value: object) -> str | None:
    return _UNSTORABLE.sub("", value) if isinstance(value, str) else None


def _created(customer: Json) -> int:
    value = customer.get("created_at")
    micros = to_micros(value) if isinstance(value, str) else 0 if value is None else None
    if micros is None:
        raise UnreadableProblem("Polar's answer cannot be read: created_at is no instant.")
    return micros
