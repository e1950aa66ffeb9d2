"""The SQL of billing: short statements that say what they need of each other."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import cache
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    ColumnElement,
    Connection,
    FromClause,
    Row,
    Select,
    Table,
    Text,
    and_,
    bindparam,
    case,
    cast,
    delete,
    exists,
    func,
    literal,
    null,
    or_,
    select,
    true,
    tuple_,
    union,
    union_all,
    update,
)

from app.billing.dialect import Insert, Step, insert, locking, written
from app.billing.events import Projection
from app.billing.prepared import Prepared, run
from app.billing.projections import CustomerIdentity, Event, MemberIdentity
from app.billing.reactions import Reaction
from app.billing.tables import (
    access_states,
    benefit_grants,
    blocked_users,
    checkouts,
    customer_states,
    customers,
    members,
    orders,
    rate_limits,
    reactions,
    subscriptions,
    webhook_events,
)
from app.billing.time import DAY, MINUTE

AnyRow = Row[*tuple[Any, ...]]
AnySelect = Select[*tuple[Any, ...]]

RETRYABLE = ("failed", "dead")

PROJECTIONS: dict[Projection, Table] = {
    "checkout": checkouts,
    "customer": customers,
    "customer_state": customer_states,
    "member": members,
    "order": orders,
    "subscription": subscriptions,
    "benefit_grant": benefit_grants,
}

# What access hangs on, and comes and goes with a customer.
BOUGHT: frozenset[Projection] = frozenset({"subscription", "order", "benefit_grant"})

# Written once and outside the guard, each by a statement of its own.
WRITTEN_ONCE: dict[Projection, frozenset[str]] = {"checkout": frozenset({"user_id"})}


# The inbox


def store_event(event: Event, state: str, now: int, *, again: bool = False) -> Step:
    """Store an event as processed or ignored. No row: it was before, and nothing is to be done."""
    values = {
        "webhook_id": event.webhook_id,
        "type": event.type,
        "state": state,
        "version": event.version,
        "customer_id": event.customer_id,
        "body": event.body,
        "error": None,
        "attempts": 1,
        "next_attempt_us": None,
        "received_us": now,
        "processed_us": now,
    }
    return _event_upsert(again, tuple(values)).step(values)


def store_failure(connection: Connection, failure: Mapping[str, Any], now: int) -> int | None:
    """Store an event that could not be applied. Returns its attempts so far; None where it was applied before."""
    values = {**failure, "state": "failed", "attempts": 1, "received_us": now, "processed_us": None}
    stored = run(connection, [_event_upsert(False, tuple(values)).step(values)])["stored"]
    return None if stored is None else stored[0]


def schedule_event(connection: Connection, webhook_id: str, state: str, next_attempt_us: int | None) -> None:
    """Say when a failed event is tried again, or that it is not (dead)."""
    values = {"state": state, "next_attempt_us": next_attempt_us}
    connection.execute(update(webhook_events).where(webhook_events.c.webhook_id == webhook_id).values(values))


def claim_failed_event(connection: Connection, now: int, lease_until: int) -> AnyRow | None:
    """Take one failed event that is due; until the lease ends no other process takes it."""
    due = (
        select(webhook_events.c.webhook_id)
        .where(webhook_events.c.state == "failed", webhook_events.c.next_attempt_us <= now)
        .order_by(webhook_events.c.next_attempt_us)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    statement = update(webhook_events).where(webhook_events.c.webhook_id == due.scalar_subquery())
    leased = statement.values(next_attempt_us=lease_until)
    return connection.execute(leased.returning(webhook_events.c.webhook_id, webhook_events.c.body)).first()


def stored_event(connection: Connection, webhook_id: str) -> AnyRow | None:
    """Return a stored event with its body, where that was not emptied."""
    return connection.execute(select(webhook_events).where(webhook_events.c.webhook_id == webhook_id)).first()


@cache
def _event_upsert(again: bool, names: tuple[str, ...]) -> Prepared:
    statement = insert(webhook_events)
    kept = {"webhook_id", "attempts", "received_us"}
    changes: dict[str, ColumnElement[Any]] = {name: statement.excluded[name] for name in names if name not in kept}
    changes["attempts"] = webhook_events.c.attempts + 1
    repeatable = true() if again else or_(*(webhook_events.c.state == state for state in RETRYABLE))
    statement = statement.on_conflict_do_update(index_elements=["webhook_id"], set_=changes, where=repeatable)
    return Prepared("stored", statement.returning(webhook_events.c.attempts), "webhook_id", names)


# Projections


class Repeated(Exception):
    """The event was applied before. The transaction is to be rolled back: a repeat changes nothing."""


def apply_event(
    connection: Connection, event: Event, state: str, now: int, reactions: Iterable[Reaction], *, again: bool = False
) -> bool:
    """Store an event, what it tells, and the reactions to a snapshot that moved. True: the customer is to be forgotten.

    Raises Repeated, unless it is to be applied `again`.
    """
    steps = _lock_customer(event.customer_id) if event.customer_id else []
    steps.append(store_event(event, state, now, again=again))
    if event.customer:
        steps.append(_identify_customer(event.customer))
    if event.member:
        steps.append(_identify_member(event.member))
    if event.projection:
        steps.append(upsert_projection(event))
    if event.projection == "checkout" and event.row["user_id"]:
        steps.append(_OWN_CHECKOUT.step({"checkout_id": event.row["id"], "owner": event.row["user_id"]}))
    if event.projection in BOUGHT:
        steps += _consequences(event, now, reactions)
    found = run(connection, steps)
    if found["stored"] is None:
        raise Repeated
    _, deleted_us, erased_us = found.get("customer") or (None, None, None)
    return deleted_us is not None or erased_us is not None


def lock_customer(connection: Connection, customer_id: str) -> None:
    """Let one transaction at a time touch what hangs on a customer: what it reads of it stays true until it commits."""
    run(connection, _lock_customer(customer_id))


def _lock_customer(customer_id: str) -> list[Step]:
    return locking(f"billing_customer:{customer_id}")


def identify_customer(connection: Connection, customer: CustomerIdentity) -> None:
    """Keep what a payload tells about a customer for good."""
    run(connection, [_identify_customer(customer)])


def _identify_customer(customer: CustomerIdentity) -> Step:
    return _customer_identity().step(vars(customer))


@cache
def _customer_identity() -> Prepared:
    statement = insert(customers)
    new, old = statement.excluded, customers.c
    kept = {
        "external_id": func.coalesce(old.external_id, new.external_id),
        "created_us": case((new.created_us > old.created_us, new.created_us), else_=old.created_us),
        "deleted_us": _earlier(old.deleted_us, new.deleted_us),
    }
    statement = statement.on_conflict_do_update(index_elements=["id"], set_=kept)
    names = ("id", "external_id", "created_us", "deleted_us")
    return Prepared("customer", statement.returning(old.external_id, old.deleted_us, old.erased_us), "id", names)


def identify_member(connection: Connection, member: MemberIdentity) -> None:
    """Keep what a payload tells about a member for good."""
    run(connection, [_identify_member(member)])


def _identify_member(member: MemberIdentity) -> Step:
    return _member_identity().step(vars(member))


@cache
def _member_identity() -> Prepared:
    statement = insert(members)
    new, old = statement.excluded, members.c
    kept = {
        "customer_id": func.coalesce(old.customer_id, new.customer_id),
        "external_id": func.coalesce(old.external_id, new.external_id),
        "role": func.coalesce(old.role, new.role),
        "deleted_us": _earlier(old.deleted_us, new.deleted_us),
    }
    statement = statement.on_conflict_do_update(index_elements=["id"], set_=kept)
    return Prepared("member", statement.returning(old.external_id), "id", ("id", *kept))


def upsert_projection(event: Event) -> Step:
    """Write the event's snapshot unless a newer one is there; a row where it moved."""
    assert event.projection
    version = {"version": event.version, "modified_us": event.modified_us, "webhook_id": event.webhook_id}
    row = event.row | version
    return _snapshot_upsert(event.projection, tuple(row)).step(row)


@cache
def _snapshot_upsert(projection: Projection, names: tuple[str, ...]) -> Prepared:
    table = PROJECTIONS[projection]
    key = _key(table)
    statement = insert(table)
    once = WRITTEN_ONCE.get(projection, frozenset())
    changes = {name: statement.excluded[name] for name in names if name != key and name not in once}
    statement = statement.on_conflict_do_update(index_elements=[key], set_=changes, where=_is_newer(statement, table))
    return Prepared("moved", statement.returning(table.c[key]), key, names)


def forget_deleted_customer(connection: Connection, customer_id: str) -> None:
    """Empty what is personal where the customer was deleted, or erased here, whatever arrived before or after."""
    gone = or_(customers.c.deleted_us.is_not(None), customers.c.erased_us.is_not(None))
    if connection.scalar(select(exists().where(customers.c.id == customer_id, gone))):
        forget_customer(connection, customer_id)


def forget_erased_members(connection: Connection, customer_id: str) -> None:
    """Empty what is personal of members of a team who were erased here."""
    erased = select(customers.c.external_id).where(customers.c.erased_us.is_not(None))
    theirs = and_(members.c.customer_id == customer_id, members.c.external_id.in_(erased))
    connection.execute(update(members).where(theirs).values(email=None, name=None))


def forget_customer(connection: Connection, customer_id: str) -> None:
    """Empty what is personal. An event that waits for another try keeps its body until it was applied."""
    connection.execute(update(customers).where(customers.c.id == customer_id).values(email=None, name=None))
    connection.execute(update(members).where(members.c.customer_id == customer_id).values(email=None, name=None))
    applied = and_(webhook_events.c.customer_id == customer_id, webhook_events.c.state != "failed")
    connection.execute(update(webhook_events).where(applied, webhook_events.c.body.is_not(None)).values(body=None))


def mark_deleted(connection: Connection, customer_id: str, now: int) -> None:
    """Note that Polar does not know the customer any more."""
    identify_customer(connection, CustomerIdentity(id=customer_id, deleted_us=now))
    forget_customer(connection, customer_id)


_OWN_CHECKOUT = Prepared(
    "owned",
    update(checkouts)
    .where(checkouts.c.id == bindparam("checkout_id"), checkouts.c.user_id.is_(None))
    .values(user_id=bindparam("owner")),
    "checkout_id",
)


def _is_newer(statement: Insert, table: Table) -> ColumnElement[bool]:
    new, old = statement.excluded, table.c
    return tuple_(new.version, new.modified_us, new.webhook_id) > tuple_(old.version, old.modified_us, old.webhook_id)


def _earlier(old: ColumnElement[Any], new: ColumnElement[Any]) -> ColumnElement[Any]:
    return case((old.is_(None), new), (new < old, new), else_=old)


def _key(table: Table) -> str:
    return str(next(iter(table.primary_key.columns)).name)


# Whose purchases they are


_EXTERNAL_ID = select(customers.c.external_id).where(customers.c.id == bindparam("customer_id"))


def external_id_of(connection: Connection, customer_id: str) -> str | None:
    """Return the user that a customer is linked to."""
    return connection.scalar(_EXTERNAL_ID, {"customer_id": customer_id})


def users_of_customer(connection: Connection, customer_id: str) -> set[str]:
    """Return everybody whose access hangs on a customer."""
    named = union(
        select(customers.c.external_id).where(customers.c.id == customer_id),
        select(members.c.external_id).where(members.c.customer_id == customer_id),
        select(subscriptions.c.app_user_id).where(subscriptions.c.customer_id == customer_id),
        select(orders.c.app_user_id).where(orders.c.customer_id == customer_id),
    )
    return {user for user in connection.scalars(named) if user}


def check_access_of(connection: Connection, user_ids: Collection[str], now: int) -> None:
    """Have the access of users compared; in one order, so that two transactions never wait for each other."""
    if user_ids:
        connection.execute(_ACCESS_CHECK, [{"user_id": user_id, "check_us": now} for user_id in sorted(user_ids)])


_NOW = bindparam("now", type_=BigInteger)
_OUTBOX = ("key", "reaction", "object_id", "user_id", "payload", "state")


def _checked(statement: Insert) -> Insert:
    check = {"check_us": statement.excluded.check_us}
    return statement.on_conflict_do_update(index_elements=["user_id"], set_=check)


_ACCESS_CHECK = _checked(insert(access_states))


def _consequences(event: Event, now: int, wanted: Iterable[Reaction]) -> list[Step]:
    """Return what writes the reactions to a purchase or benefit grant that moved, and has access compared."""
    assert event.customer
    assert event.projection
    told = {
        "customer": event.customer.id,
        "member": event.member.id if event.member else None,
        "object": event.row["id"],
        "event": event.webhook_id,
        "now": now,
    }
    reaction = _reaction_to(event.projection)
    steps = [reaction.step(told | _outbox_row(each), each.name) for each in wanted]
    check = _owners_check(event.member is not None)
    bought = {name: event.row.get(name) for name in ("app_user_id", "subscription_id", "order_id")}
    steps.append(check.step(told | bought))
    if event.projection == "benefit_grant" and event.row["is_revoked"] and event.row["order_id"]:
        steps.append(_SUSPECT.step(told))
    return steps


_CUSTOMER_USER = written("customer", customers.c.external_id, customers.c.id == bindparam("customer"))
_MEMBER_USER = written("member", members.c.external_id, members.c.id == bindparam("member"))


# Nothing else tells of a dispute: Polar takes the benefits of its order away.
_SUSPECT = Prepared(
    "suspect",
    update(customers)
    .where(customers.c.id == bindparam("customer"), customers.c.reconcile_us.is_(None))
    .values(reconcile_us=_NOW),
    "customer",
)
# The buyer of a grant is the one of its subscription or order.
_BUYER_OF_EVENT = func.coalesce(
    bindparam("app_user_id", type_=Text),
    select(subscriptions.c.app_user_id)
    .where(subscriptions.c.id == bindparam("subscription_id", type_=Text))
    .scalar_subquery(),
    select(orders.c.app_user_id).where(orders.c.id == bindparam("order_id", type_=Text)).scalar_subquery(),
)


@cache
def _owners_check(with_member: bool) -> Prepared:
    """Have the access compared of the buyer, and of all who may share what was bought."""
    users = union(
        select(_BUYER_OF_EVENT.label("user_id")),
        _CUSTOMER_USER,
        select(members.c.external_id).where(members.c.customer_id == bindparam("customer")),
        *([_MEMBER_USER] if with_member else []),
    ).subquery()
    concerned = select(users.c.user_id, _NOW).where(users.c.user_id.is_not(None))
    statement = insert(access_states).from_select(["user_id", "check_us"], concerned.order_by(users.c.user_id))
    return Prepared("access", _checked(statement), "customer")


# What a user has


def purchases_of(connection: Connection, user_id: str) -> Sequence[AnyRow]:
    """Return a row for each purchase that counts for the user: the one query behind every access check."""
    return connection.execute(PURCHASES, {"user_id": user_id}).all()


def subscriptions_of(connection: Connection, user_id: str) -> Sequence[AnyRow]:
    """Return the subscriptions of a user, newest first."""
    return connection.execute(SUBSCRIPTIONS, {"user_id": user_id}).all()


def orders_of(connection: Connection, user_id: str) -> Sequence[AnyRow]:
    """Return the orders of a user, newest first."""
    return connection.execute(ORDERS, {"user_id": user_id}).all()


def followed_customer_of(connection: Connection, user_id: str) -> AnyRow | None:
    """Return the customer that a user follows: the newest that was not deleted."""
    return connection.execute(FOLLOWED_CUSTOMER, {"user_id": user_id}).first()


# These queries are built once: putting one together takes longer than running it.
_USER = bindparam("user_id", type_=Text)


def _followed(*columns: ColumnElement[Any]) -> AnySelect:
    return (
        select(*columns)
        .where(customers.c.external_id == _USER, customers.c.deleted_us.is_(None))
        .order_by(customers.c.created_us.desc(), customers.c.id.desc())
        .limit(1)
    )


_FOLLOWED_ID = _followed(customers.c.id).scalar_subquery()
# An external id may come back on a new customer while events of the old one still arrive.
_OTHER_CUSTOMER = or_(customers.c.external_id.is_(None), customers.c.external_id != _USER)


def _is_followed(table: Table) -> ColumnElement[bool]:
    return and_(table.c.customer_id == _FOLLOWED_ID, or_(table.c.app_user_id.is_(None), table.c.app_user_id == _USER))


def _is_elsewhere(table: Table) -> ColumnElement[bool]:
    """Say that a purchase is the user's although it landed on a customer that is not: our server asked for it."""
    return and_(table.c.app_user_id == _USER, _OTHER_CUSTOMER, customers.c.deleted_us.is_(None))


def _with_customer(table: Table) -> FromClause:
    return table.outerjoin(customers, customers.c.id == table.c.customer_id)


def _counted(table: Table) -> AnySelect:
    own = select(table).where(_is_followed(table))
    elsewhere = select(table).select_from(_with_customer(table)).where(_is_elsewhere(table))
    rows = union_all(own, elsewhere).subquery()
    return select(rows).order_by(rows.c.created_us.desc(), rows.c.id.desc())


def _is_owners() -> ColumnElement[bool]:
    """Say that a grant is the customer's own: of no member, or of the member that is the customer."""
    linked_late = and_(members.c.role == "owner", members.c.external_id.is_(None))
    owner = and_(members.c.deleted_us.is_(None), or_(members.c.external_id == _USER, linked_late))
    return or_(benefit_grants.c.member_id.is_(None), owner)


def _is_of_owner() -> ColumnElement[bool]:
    """Say that a grant is of no member, or of the one that owns the customer, whoever's customer that is."""
    owner = and_(members.c.role == "owner", members.c.deleted_us.is_(None))
    return or_(benefit_grants.c.member_id.is_(None), owner)


def _is_grant_of(table: Table, column: str) -> ColumnElement[bool]:
    # By the customer too: that is what grants are indexed by.
    return and_(benefit_grants.c.customer_id == table.c.customer_id, benefit_grants.c[column] == table.c.id)


def _is_members() -> ColumnElement[bool]:
    """Say that a grant is of the user as a member of somebody else's team."""
    return and_(
        members.c.external_id == _USER,
        members.c.deleted_us.is_(None),
        customers.c.deleted_us.is_(None),
        _OTHER_CUSTOMER,
    )


# One shape for all parts of the query; what a part does not have is NULL.
_SHAPE: dict[str, Any] = {
    "kind": Text,
    "id": Text,
    "customer_id": Text,
    "product_id": Text,
    "benefit_id": Text,
    "status": Text,
    "billing_reason": Text,
    "subscription_id": Text,
    "created_us": BigInteger,
    "current_period_start_us": BigInteger,
    "current_period_end_us": BigInteger,
    "cancel_at_period_end": Boolean,
    "ends_us": BigInteger,
    "past_due_us": BigInteger,
    "is_granted": Boolean,
    "is_revoked": Boolean,
    "revoked_us": BigInteger,
    "dispute_status": Text,
}

_SUBSCRIPTION: dict[str, ColumnElement[Any]] = {"kind": literal("subscription", Text)} | {
    name: subscriptions.c[name]
    for name in (
        "id",
        "customer_id",
        "product_id",
        "status",
        "created_us",
        "current_period_start_us",
        "current_period_end_us",
        "cancel_at_period_end",
        "ends_us",
        "past_due_us",
    )
}

_ORDER: dict[str, ColumnElement[Any]] = {"kind": literal("order", Text)} | {
    name: orders.c[name]
    for name in (
        "id",
        "customer_id",
        "product_id",
        "status",
        "billing_reason",
        "subscription_id",
        "created_us",
        "dispute_status",
    )
}

_GRANT: dict[str, ColumnElement[Any]] = (
    {"kind": literal("grant", Text)}
    | {name: benefit_grants.c[name] for name in ("id", "benefit_id", "is_granted", "is_revoked", "revoked_us")}
    | {name: subscriptions.c[name] for name in ("status", "past_due_us", "current_period_start_us")}
)

_BLOCK: dict[str, ColumnElement[Any]] = {"kind": literal("block", Text), "id": blocked_users.c.user_id}

_GRANTS = benefit_grants.outerjoin(subscriptions, subscriptions.c.id == benefit_grants.c.subscription_id)
# A join for the member, no EXISTS: beside an OR, Postgres may read the whole table of members for it.
_IS_HOLDER = members.c.id == benefit_grants.c.member_id
_GRANTS_AND_ORDERS = _GRANTS.outerjoin(orders, orders.c.id == benefit_grants.c.order_id).outerjoin(members, _IS_HOLDER)
_BUYER = func.coalesce(subscriptions.c.app_user_id, orders.c.app_user_id, _USER)
_MEMBER_GRANTS = (
    members.join(benefit_grants, benefit_grants.c.member_id == members.c.id)
    .outerjoin(customers, customers.c.id == benefit_grants.c.customer_id)
    .outerjoin(subscriptions, subscriptions.c.id == benefit_grants.c.subscription_id)
)


def _part(source: FromClause, columns: Mapping[str, ColumnElement[Any]]) -> AnySelect:
    filled = [columns.get(name, cast(null(), kind)).label(name) for name, kind in _SHAPE.items()]
    return select(*filled).select_from(source)


def _purchases() -> AnySelect:
    parts = [_part(blocked_users, _BLOCK).where(blocked_users.c.user_id == _USER)]
    for table, columns in ((subscriptions, _SUBSCRIPTION), (orders, _ORDER)):
        parts.append(_part(table, columns).where(_is_followed(table)))
        parts.append(_part(_with_customer(table), columns).where(_is_elsewhere(table)))
    own = and_(benefit_grants.c.customer_id == _FOLLOWED_ID, _is_owners(), _BUYER == _USER)
    parts.append(_part(_GRANTS_AND_ORDERS, _GRANT).where(own))
    # What the owner has of a purchase follows that purchase: whose it is may have typed in another customer's e-mail.
    of_subscription = subscriptions.join(benefit_grants, _is_grant_of(subscriptions, "subscription_id"))
    of_order = orders.join(benefit_grants, _is_grant_of(orders, "order_id"))
    of_order = of_order.outerjoin(subscriptions, subscriptions.c.id == benefit_grants.c.subscription_id)
    for table, bought in ((subscriptions, of_subscription), (orders, of_order)):
        source = bought.outerjoin(customers, customers.c.id == table.c.customer_id).outerjoin(members, _IS_HOLDER)
        parts.append(_part(source, _GRANT).where(_is_elsewhere(table), _is_of_owner()))
    parts.append(_part(_MEMBER_GRANTS, _GRANT).where(_is_members()))
    return select(union_all(*parts).subquery())


PURCHASES = _purchases()
SUBSCRIPTIONS = _counted(subscriptions)
ORDERS = _counted(orders)
FOLLOWED_CUSTOMER = _followed(customers.c.id, customers.c.external_id, customers.c.email, customers.c.name)


# Reactions and the access that was last compared


def add_reactions(connection: Connection, wanted: Iterable[Reaction], now: int) -> None:
    """Write reactions to be run; one that was written before is not written again."""
    rows = [_outbox_row(reaction) | {"next_attempt_us": now, "created_us": now} for reaction in wanted]
    if rows:
        connection.execute(insert(reactions).on_conflict_do_nothing(index_elements=["key"]), rows)


def _outbox_row(reaction: Reaction) -> dict[str, Any]:
    return {
        "key": reaction.key,
        "reaction": reaction.name,
        "object_id": reaction.object_id,
        "user_id": reaction.user_id,
        "payload": reaction.payload_json(),
        "state": "pending",
    }


@cache
def _reaction_to(projection: Projection) -> Prepared:
    """Write a reaction if the event has moved its snapshot; it is the buyer's, or else the customer's user's."""
    table = PROJECTIONS[projection]
    is_own = and_(table.c.id == bindparam("object"), table.c.webhook_id == bindparam("event"))
    values: dict[str, ColumnElement[Any]] = {name: bindparam(name, type_=Text) for name in _OUTBOX}
    values["user_id"] = func.coalesce(values["user_id"], _CUSTOMER_USER.scalar_subquery())
    row = select(*values.values(), _NOW, _NOW).where(written("moved", table.c.id, is_own).exists())
    statement = insert(reactions).from_select([*values, "next_attempt_us", "created_us"], row)
    return Prepared("reaction", statement.on_conflict_do_nothing(index_elements=["key"]), "key")


def end_exhausted_reactions(connection: Connection, now: int, max_attempts: int) -> None:
    """End reactions that were tried as often as may be without a result: their process ended each time."""
    values = {"state": "dead", "error": "ended ten times with its process", "next_attempt_us": None}
    exhausted = and_(_is_due(now), reactions.c.attempts >= max_attempts)
    connection.execute(update(reactions).where(exhausted).values(values))


def _is_due(now: int) -> ColumnElement[bool]:
    return and_(reactions.c.state == "pending", reactions.c.next_attempt_us <= now, reactions.c.lease_us <= now)


def claim_reaction(
    connection: Connection, now: int, lease_until: int, max_attempts: int, not_named: Collection[str] = ()
) -> AnyRow | None:
    """Take one reaction that is due and may be tried once more; until the lease ends no other process takes it."""
    due = (
        select(reactions.c.key)
        .where(_is_due(now), reactions.c.attempts < max_attempts, reactions.c.reaction.not_in(not_named))
        .order_by(reactions.c.next_attempt_us, reactions.c.key)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    statement = update(reactions).where(reactions.c.key == due.scalar_subquery())
    leased = statement.values(lease_us=lease_until, attempts=reactions.c.attempts + 1)
    columns = (reactions.c[name] for name in ("key", "reaction", "user_id", "payload", "attempts"))
    return connection.execute(leased.returning(*columns)).first()


def finish_reaction(connection: Connection, key: str, attempts: int, values: Mapping[str, Any]) -> None:
    """Write how an attempt ended, unless its lease ended before and somebody else tries again."""
    own = and_(reactions.c.key == key, reactions.c.attempts == attempts, reactions.c.state == "pending")
    connection.execute(update(reactions).where(own).values(lease_us=0, **values))


def claim_access_check(connection: Connection, now: int) -> AnyRow | None:
    """Take one user whose access is to be compared, until the transaction ends."""
    due = (
        select(access_states)
        .where(access_states.c.check_us <= now)
        .order_by(access_states.c.check_us, access_states.c.user_id)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    return connection.execute(due).first()


def save_access_check(connection: Connection, user_id: str, access: bool, changes: int, check_us: int | None) -> None:
    """Write the access that was found, and when to compare again."""
    values = {"access": access, "changes": changes, "check_us": check_us, "check_failures": 0}
    connection.execute(update(access_states).where(access_states.c.user_id == user_id).values(values))


def postpone_access_check(connection: Connection, user_id: str, now: int) -> None:
    """Look at the access of a user again after a pause that grows with each failure."""
    own = access_states.c.user_id == user_id
    failures = connection.scalar(select(access_states.c.check_failures).where(own)) or 0
    pause = min(MINUTE << min(failures, 10), DAY)
    connection.execute(update(access_states).where(own).values(check_failures=failures + 1, check_us=now + pause))


# Reconciliation


def mark_for_reconciliation(connection: Connection, customer_ids: Iterable[str], now: int) -> None:
    """Have customers compared with Polar, once."""
    for customer_id in sorted(customer_ids):
        unmarked = and_(customers.c.id == customer_id, customers.c.reconcile_us.is_(None))
        connection.execute(update(customers).where(unmarked).values(reconcile_us=now))


def claim_marked_customer(connection: Connection, now: int, lease_until: int) -> str | None:
    """Take one customer that is marked and due; until the lease ends no other process takes it.

    Customers come first whose user waits: with a failed event, or a checkout of the last day.
    """
    marked = select(customers.c.id).where(customers.c.reconcile_us <= now, customers.c.deleted_us.is_(None))
    failed = select(webhook_events.c.customer_id).where(webhook_events.c.state == "failed")
    bought = select(checkouts.c.user_id).where(
        checkouts.c.status.in_(("open", "confirmed", "succeeded")), checkouts.c.created_us > now - DAY
    )
    waiting = marked.where(
        customers.c.reconcile_failures == 0, or_(customers.c.id.in_(failed), customers.c.external_id.in_(bought))
    )
    first = _lease_customer(connection, waiting.order_by(customers.c.reconcile_us), lease_until)
    return first or _lease_customer(connection, marked.order_by(customers.c.reconcile_us), lease_until)


def claim_oldest_customer(connection: Connection, before: int, lease_until: int) -> str | None:
    """Take the customer that was not compared with Polar for the longest time, if that was long ago."""
    oldest = (
        select(customers.c.id)
        .where(customers.c.reconciled_us < before, customers.c.version < before, customers.c.created_us < before)
        .where(customers.c.deleted_us.is_(None), customers.c.reconcile_us.is_(None))
        .order_by(customers.c.reconciled_us)
    )
    return _lease_customer(connection, oldest, lease_until)


def _lease_customer(connection: Connection, due: Select[tuple[str]], lease_until: int) -> str | None:
    taken = due.limit(1).with_for_update(skip_locked=True).scalar_subquery()
    statement = update(customers).where(customers.c.id == taken).values(reconcile_us=lease_until)
    return connection.execute(statement.returning(customers.c.id)).scalar()


def postpone_reconciliation(connection: Connection, customer_id: str, now: int, first: int, longest: int) -> None:
    """Have a customer compared after a pause that grows with each failure in a row."""
    failures = connection.scalar(select(customers.c.reconcile_failures).where(customers.c.id == customer_id)) or 0
    again_at = now + min(first << min(failures, 20), longest)
    values = {"reconcile_us": again_at, "reconcile_failures": failures + 1}
    connection.execute(update(customers).where(customers.c.id == customer_id).values(values))


def reconcile_mark(connection: Connection, customer_id: str) -> int | None:
    """Return the mark of a customer."""
    return connection.scalar(select(customers.c.reconcile_us).where(customers.c.id == customer_id))


def finish_reconciliation(connection: Connection, customer_id: str, mark: int | None, now: int) -> None:
    """Take the mark off, unless a new one was set meanwhile."""
    seen = customers.c.reconcile_us.is_not_distinct_from(literal(mark, BigInteger))
    values = {
        "reconciled_us": now,
        "reconcile_failures": 0,
        "reconcile_us": case((seen, null()), else_=customers.c.reconcile_us),
    }
    connection.execute(update(customers).where(customers.c.id == customer_id).values(values))


def versions_of(connection: Connection, table: Table, customer_id: str) -> dict[str, tuple[int, int, str]]:
    """Return which snapshot each row of a customer is."""
    columns = (table.c.id, table.c.version, table.c.modified_us, table.c.webhook_id)
    own = table.c.id if table is customers else table.c.customer_id
    rows = connection.execute(select(*columns).where(own == customer_id))
    return {row.id: (row.version, row.modified_us, row.webhook_id) for row in rows}


def rows_of_customer(connection: Connection, table: Table, customer_id: str) -> dict[str, AnyRow]:
    """Return the rows of a customer by id."""
    own = table.c.id if table is customers else table.c.customer_id
    return {row.id: row for row in connection.execute(select(table).where(own == customer_id))}


def write_fetched(connection: Connection, table: Table, row: Mapping[str, Any]) -> None:
    """Write a row as Polar's API gave it. Its version stays, a new one has 0: events stamped later still win."""
    statement = insert(table).values(dict(row))
    changes = {name: statement.excluded[name] for name in row if name != "id"}
    connection.execute(statement.on_conflict_do_update(index_elements=["id"], set_=changes))


def write_answer(connection: Connection, before: AnyRow, row: Mapping[str, Any], now: int) -> None:
    """Write what Polar answered to a change of a subscription, and that its reactions were not run yet.

    A row that an event wrote meanwhile stays as it is.
    """
    unmoved = and_(
        subscriptions.c.id == before.id,
        subscriptions.c.version == before.version,
        subscriptions.c.webhook_id == before.webhook_id,
    )
    connection.execute(update(subscriptions).where(unmoved).values(**row, answered_us=now))


# Disagreement


def uncompared_states(connection: Connection, before: int, limit: int) -> list[AnyRow]:
    """Return customer states that are old enough to be compared with our rows and were not yet."""
    new = and_(customer_states.c.compared_version < customer_states.c.version, customer_states.c.version <= before)
    return list(connection.execute(select(customer_states).where(new).order_by(customer_states.c.version).limit(limit)))


def set_compared(connection: Connection, customer_id: str, version: int) -> None:
    """Note that a customer state was compared."""
    same = customer_states.c.customer_id == customer_id
    connection.execute(update(customer_states).where(same).values(compared_version=version))


def is_deleted(connection: Connection, customer_id: str) -> bool:
    """Whether a customer was deleted."""
    gone = exists().where(customers.c.id == customer_id, customers.c.deleted_us.is_not(None))
    return bool(connection.scalar(select(gone)))


# Retention


def empty_old_bodies(connection: Connection, before: int, limit: int) -> int:
    """Empty the bodies of events that were applied or ignored long ago; their ids stay."""
    old = (
        select(webhook_events.c.webhook_id)
        .where(webhook_events.c.received_us < before, webhook_events.c.body.is_not(None))
        .where(webhook_events.c.state.in_(["processed", "ignored"]))
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    statement = update(webhook_events).where(webhook_events.c.webhook_id.in_(old)).values(body=None)
    return len(connection.execute(statement.returning(webhook_events.c.webhook_id)).all())


def empty_bodies_of_deleted(connection: Connection, limit: int) -> None:
    """Empty the bodies of events of deleted customers that came after the deletion, or beside it."""
    deleted = select(customers.c.id).where(customers.c.deleted_us.is_not(None))
    left = (
        select(webhook_events.c.webhook_id)
        .where(webhook_events.c.customer_id.in_(deleted), webhook_events.c.body.is_not(None))
        .where(webhook_events.c.state != "failed")
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    connection.execute(update(webhook_events).where(webhook_events.c.webhook_id.in_(left)).values(body=None))


def empty_done_reactions(connection: Connection, before: int) -> None:
    """Empty reactions that were run long ago. Their keys stay: without them the same transition would be told again."""
    old = and_(reactions.c.state == "done", reactions.c.done_us < before, reactions.c.payload != "{}")
    connection.execute(update(reactions).where(old).values(payload="{}", user_id=None))


def delete_old_limits(connection: Connection, before: int) -> None:
    """Delete counters of requests whose minute is over."""
    connection.execute(delete(rate_limits).where(rate_limits.c.window_us < before))


# Operating


def is_newest(connection: Connection, event: Event) -> bool:
    """Whether a row is the snapshot of this very event."""
    if event.projection is None:
        return False
    table = PROJECTIONS[event.projection]
    own = and_(table.c[_key(table)] == event.row[_key(table)], table.c.webhook_id == event.webhook_id)
    return connection.scalar(select(exists().where(own))) is True


def users_to_check(connection: Connection, user_ids: Collection[str], now: int) -> set[str]:
    """Return those of the users whose access waits to be compared."""
    waiting = select(access_states.c.user_id).where(access_states.c.check_us <= now)
    return set(connection.scalars(waiting.where(access_states.c.user_id.in_(user_ids))))


def access_state_of(connection: Connection, user_id: str) -> AnyRow:
    """Return the access that a user was last known to have."""
    return connection.execute(select(access_states).where(access_states.c.user_id == user_id)).one()
