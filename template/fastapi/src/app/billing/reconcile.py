"""Bringing a customer's rows in line with Polar: when one is marked, once in a while, or by command."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from sqlalchemy import Connection, Table

from app.billing import repository
from app.billing.compare_access import settle_access
from app.billing.projections import (
    CustomerIdentity,
    MemberIdentity,
    benefit_grant_row,
    customer_identity,
    customer_row,
    grant_member,
    order_row,
    subscription_row,
)
from app.billing.reactions import Handlers, reactions_to_order, reactions_to_subscription
from app.billing.read import Json, Unreadable, objects, required_text
from app.billing.repository import AnyRow
from app.billing.tables import benefit_grants, customers, orders, subscriptions
from app.database import Database

Versions = dict[str, tuple[int, int, str]]


class PolarGone(Exception):
    """Polar says that an object does not exist (404 with `error: ResourceNotFound`, nothing else)."""


class PolarReader(Protocol):
    """What reconciling asks Polar. A failure of any kind is an exception."""

    def customer_state(self, customer_id: str) -> Json:
        """Return the customer's state, or raise `PolarGone`."""

    def subscriptions(self, customer_id: str) -> Iterator[Json]:
        """Return all subscriptions of the customer, from all pages."""

    def orders(self, customer_id: str) -> Iterator[Json]:
        """Return all orders of the customer, from all pages."""

    def grants(self, customer_id: str) -> Iterator[Json]:
        """Return all benefit grants of the customer, from all pages."""


@dataclass(frozen=True)
class Report:
    """What reconciling a customer found."""

    customer_id: str
    outcome: Literal["equal", "written", "gone"]
    written: int = 0


@dataclass(frozen=True)
class Difference:
    """A column in which a row and Polar differ; without a column the whole row, which is missing here."""

    kind: str
    id: str
    column: str | None = None
    here: object = None
    polar: object = None


@dataclass(frozen=True)
class _Fetched:
    """A customer as Polar has it, read completely before anything is written."""

    customer: CustomerIdentity
    members: list[MemberIdentity]
    rows: dict[Table, list[dict[str, Any]]]
    granted: frozenset[str]


@dataclass(frozen=True)
class _Before:
    """Which snapshots we had when the fetch began."""

    mark: int | None
    versions: dict[Table, Versions]


KINDS = {customers: "customer", subscriptions: "subscription", orders: "order", benefit_grants: "benefit_grant"}
TABLES = tuple(KINDS)
ANSWER_SETTLED = {"answered_us": None}


def reconcile_customer(
    db: Database, polar: PolarReader, customer_id: str, now: int, reactions: Handlers | None = None
) -> Report:
    """Write what differs from Polar.

    The handlers given react to what is found: to purchases that moved and to access that changed, once per transition.
    Without handlers it is silent, also later.

    What Polar does not answer readably is an exception, and changes nothing. A row that an event wrote since the fetch
    began stays as it is.
    """
    with db.read() as connection:
        before = _before(connection, customer_id)
    try:
        state = polar.customer_state(customer_id)
    except PolarGone:
        return _gone(db, customer_id, before, now, reactions)
    fetched = _read(polar, customer_id, state)
    with db.write() as connection:
        repository.lock_customer(connection, customer_id)
        written = _write(connection, fetched, before, now, reactions or {})
        _settle(connection, customer_id, now, reactions)
        repository.forget_deleted_customer(connection, customer_id)
        repository.finish_reconciliation(connection, customer_id, before.mark, now)
    return Report(customer_id, "written" if written else "equal", written)


def drift_of(db: Database, polar: PolarReader, customer_id: str) -> list[Difference] | None:
    """Return what reconciling a customer would change. None: Polar does not know the customer."""
    try:
        state = polar.customer_state(customer_id)
    except PolarGone:
        return None
    fetched = _read(polar, customer_id, state)
    with db.read() as connection:
        held = {table: repository.rows_of_customer(connection, table, customer_id) for table in TABLES}
    differences = list(_link_learnt(fetched.customer, held[customers].get(customer_id)))
    for table, rows in fetched.rows.items():
        for row in rows:
            differences += _differences(KINDS[table], held[table].get(row["id"]), row)
    lost = _unlisted(fetched, held[benefit_grants])
    return differences + [Difference("benefit_grant", row.id, "is_granted", True, False) for row in lost]


def _link_learnt(customer: CustomerIdentity, held: AnyRow | None) -> Iterator[Difference]:
    if held is not None and held.external_id is None and customer.external_id is not None:
        yield Difference("customer", customer.id, "external_id", None, customer.external_id)


def _differences(kind: str, held: AnyRow | None, row: Mapping[str, Any]) -> Iterator[Difference]:
    if held is None:
        yield Difference(kind, row["id"])
        return
    for column, value in row.items():
        if held._mapping[column] != value:
            yield Difference(kind, row["id"], column, held._mapping[column], value)


def _unlisted(fetched: _Fetched, held: Mapping[str, AnyRow]) -> list[AnyRow]:
    """Return the grants that Polar has nowhere any more: neither in its list nor in the customer's state."""
    listed = fetched.granted | {row["id"] for row in fetched.rows[benefit_grants]}
    return [row for row in held.values() if row.is_granted and row.id not in listed]


def _before(connection: Connection, customer_id: str) -> _Before:
    return _Before(
        mark=repository.reconcile_mark(connection, customer_id),
        versions={table: repository.versions_of(connection, table, customer_id) for table in TABLES},
    )


def _gone(db: Database, customer_id: str, before: _Before, now: int, reactions: Handlers | None) -> Report:
    with db.write() as connection:
        repository.lock_customer(connection, customer_id)
        if customer_id not in before.versions[customers]:
            return Report(customer_id, "gone")
        repository.mark_deleted(connection, customer_id, now)
        _settle(connection, customer_id, now, reactions)
        repository.finish_reconciliation(connection, customer_id, before.mark, now)
    return Report(customer_id, "gone", 1)


def _read(polar: PolarReader, customer_id: str, state: Json) -> _Fetched:
    """Read everything, or raise: half an answer is none."""
    customer = customer_identity(state)
    if customer.id != customer_id:
        raise Unreadable("the state of another customer")
    objects(state, "active_subscriptions")
    granted = frozenset(required_text(item, "id") for item in objects(state, "granted_benefits"))
    grants = list(polar.grants(customer_id))
    rows: dict[Table, list[dict[str, Any]]] = {
        customers: [customer_row(state)],
        subscriptions: [subscription_row(item) for item in polar.subscriptions(customer_id)],
        orders: [order_row(item) for item in polar.orders(customer_id)],
        benefit_grants: [benefit_grant_row(item) for item in grants],
    }
    for table in (subscriptions, orders, benefit_grants):
        if any(row["customer_id"] != customer_id for row in rows[table]):
            raise Unreadable("a list of another customer")
    members = [member for item in grants if (member := grant_member(item)) is not None]
    return _Fetched(customer, members, rows, granted)


def _write(connection: Connection, fetched: _Fetched, before: _Before, now: int, reactions: Handlers) -> int:
    customer_id = fetched.customer.id
    repository.identify_customer(connection, fetched.customer)
    for member in fetched.members:
        repository.identify_member(connection, member)
    written = 0
    for table, rows in fetched.rows.items():
        current = repository.rows_of_customer(connection, table, customer_id)
        for row in rows:
            if _is_to_write(current.get(row["id"]), row, before.versions[table]):
                repository.write_fetched(connection, table, row | ANSWER_SETTLED if table is subscriptions else row)
                _react(connection, table, row, now, reactions)
                written += 1
    return written + _revoke_unlisted(connection, fetched, before.versions[benefit_grants], now)


def _revoke_unlisted(connection: Connection, fetched: _Fetched, before: Versions, now: int) -> int:
    """Revoke the grants that Polar has nowhere any more, unless an event came meanwhile."""
    current = repository.rows_of_customer(connection, benefit_grants, fetched.customer.id)
    lost = [row for row in _unlisted(fetched, current) if _version(row) == before.get(row.id)]
    for row in lost:
        revoked = {"is_granted": False, "is_revoked": True, "revoked_us": now}
        repository.write_fetched(connection, benefit_grants, dict(row._mapping) | revoked)
    return len(lost)


def _settle(connection: Connection, customer_id: str, now: int, reactions: Handlers | None) -> None:
    """Compare the access of every user that a customer concerns, with the given handlers.

    Without handlers it is silent, and leaves out users whose check is due: an event waits for that, with reactions.
    """
    users = repository.users_of_customer(connection, customer_id)
    if reactions is None:
        users -= repository.users_to_check(connection, users, now)
    settle_access(connection, users, now, reactions or {})


def _is_to_write(current: AnyRow | None, row: Mapping[str, Any], before: Versions) -> bool:
    if current is None:
        return True
    seen = before.get(row["id"])
    unmoved = current.version == 0 if seen is None else _version(current) == seen
    # What a route has written from Polar's answer is equal by now, but its reactions were not run.
    answered = current._mapping.get("answered_us") is not None
    return unmoved and (answered or any(current._mapping[name] != value for name, value in row.items()))


def _version(row: AnyRow) -> tuple[int, int, str]:
    return row.version, row.modified_us, row.webhook_id


def _react(connection: Connection, table: Table, row: dict[str, Any], now: int, reactions: Handlers) -> None:
    if table not in {subscriptions, orders}:
        return
    user_id = row["app_user_id"] or repository.external_id_of(connection, row["customer_id"])
    found = reactions_to_order(row, user_id) if table is orders else reactions_to_subscription(row, user_id)
    repository.add_reactions(connection, [reaction for reaction in found if reaction.name in reactions], now)
