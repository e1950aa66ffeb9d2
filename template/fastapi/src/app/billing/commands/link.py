"""`link`: makes a customer a user's."""

import re
import time
from typing import Annotated

import typer

from app.auth.user import is_user_id
from app.billing import records, repository
from app.billing.commands.audit import audit
from app.billing.commands.console import AsJson, Refused, Yes, confirm, good, show
from app.billing.commands.polar import OperatorPolar
from app.billing.commands.project import open_project, polar_of
from app.billing.context import Billing
from app.billing.polar import PolarApiError
from app.billing.read import Json
from app.billing.reconcile import PolarGone

UUID = re.compile("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)


def link(
    user: Annotated[str, typer.Argument(help="The user's id.")],
    customer: Annotated[str, typer.Argument(help="The customer's id at Polar.")],
    yes: Yes = False,
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
    with open_project() as billing:
        polar = polar_of(billing)
        found = _customer(polar, customer)
        _check(billing, polar, found, user)
        if found.get("external_id") != user:
            confirm(f"Link customer {customer} to user {user}? Polar keeps it for good.", yes=yes)
            found = _link(polar, customer, user)
        now = time.time_ns() // 1000
        with billing.database.write() as connection:
            records.add_customer(connection, found, user)
            repository.mark_for_reconciliation(connection, [customer], now)
            repository.check_access_of(connection, [user], now)
            audit(connection, "link", customer)
    show({"user": user, "customer": customer}, [good(f"Linked: customer {customer}, user {user}.")], as_json=as_json)


def _customer(polar: OperatorPolar, customer_id: str) -> Json:
    try:
        return polar.customer(customer_id)
    except PolarGone:
        raise Refused("Polar has no such customer.") from None


def _check(billing: Billing, polar: OperatorPolar, customer: Json, user: str) -> None:
    """Refuse what would mix up two users. A link cannot be taken back, here or at Polar."""
    with billing.database.read() as connection:
        here = repository.external_id_of(connection, customer["id"])
        deleted = repository.is_deleted(connection, customer["id"])
        followed = repository.followed_customer_of(connection, user)
    if deleted or customer.get("deleted_at"):
        raise Refused("This customer was deleted.")
    if any(other not in {None, user} for other in (here, customer.get("external_id"))):
        raise Refused("This customer belongs to another user.")
    if {followed.id if followed else None, _customer_of(polar, user)} - {None, customer["id"]}:
        raise Refused("This user has another customer.")


def _customer_of(polar: OperatorPolar, user: str) -> object:
    try:
        return polar.external_customer(user).get("id")
    except PolarGone:
        return None


def _link(polar: OperatorPolar, customer_id: str, user: str) -> Json:
    try:
        return polar.link_customer(customer_id, user)
    except PolarApiError as error:
        if error.status == 422:
            raise Refused("Polar does not take this user's id for this customer.") from None
        raise
