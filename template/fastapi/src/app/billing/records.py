"""The SQL of what our own routes write: customers and checkouts made at Polar, and how often a user asked."""

from sqlalchemy import Connection, and_, case, exists, func, literal, or_, select, update

from app.billing.dialect import insert
from app.billing.read import Json, instant, text
from app.billing.tables import checkouts, customers, members, orders, rate_limits, subscriptions

WINDOW_US = 60_000_000


def add_customer(connection: Connection, customer: Json, user_id: str) -> None:
    """Store a customer as Polar answered it. Version 0: any event about it is newer."""
    customer_id = text(customer, "id")
    if customer_id is None or customer.get("external_id") != user_id:
        return
    row = {
        "id": customer_id,
        "external_id": user_id,
        "email": text(customer, "email"),
        "name": text(customer, "name"),
        "type": text(customer, "type"),
        "created_us": instant(customer, "created_at") or 0,
    }
    statement = insert(customers).values(row)
    linked = {"external_id": func.coalesce(customers.c.external_id, statement.excluded.external_id)}
    connection.execute(statement.on_conflict_do_update(index_elements=["id"], set_=linked))


def add_checkout(connection: Connection, checkout: Json, user_id: str, product_id: str, now: int) -> None:
    """Store a checkout of the user; its first event may have come before."""
    row = {
        "id": text(checkout, "id"),
        "user_id": user_id,
        "customer_id": text(checkout, "customer_id"),
        "product_id": product_id,
        "subscription_id": text(checkout, "subscription_id"),
        "status": text(checkout, "status") or "open",
        "asked_us": now,
        "expires_us": instant(checkout, "expires_at"),
        "created_us": instant(checkout, "created_at") or now,
    }
    statement = insert(checkouts).values(row)
    owned = {"user_id": func.coalesce(checkouts.c.user_id, statement.excluded.user_id)}
    connection.execute(statement.on_conflict_do_update(index_elements=["id"], set_=owned))


def checkout_status(connection: Connection, checkout_id: str, user_id: str) -> str | None:
    """Return the status of the user's own checkout."""
    mine = and_(checkouts.c.id == checkout_id, checkouts.c.user_id == user_id)
    return connection.scalar(select(checkouts.c.status).where(mine))


def claim_checkout(connection: Connection, checkout_id: str, now: int, asked_before: int) -> tuple[str, int] | None:
    """Take the turn to ask Polar about a checkout; return its status and version, or None when it is not our turn."""
    turn = and_(
        checkouts.c.id == checkout_id,
        checkouts.c.asked_us <= asked_before,
    )
    statement = update(checkouts).where(turn).values(asked_us=now)
    row = connection.execute(statement.returning(checkouts.c.status, checkouts.c.version)).first()
    return None if row is None else (row.status, row.version)


def move_checkout(connection: Connection, checkout_id: str, claim: tuple[str, int], status: str) -> None:
    """Write the status that Polar gave, unless an event changed the row meanwhile. Its version stays: events win."""
    unchanged = and_(checkouts.c.id == checkout_id, checkouts.c.status == claim[0], checkouts.c.version == claim[1])
    connection.execute(update(checkouts).where(unchanged).values(status=status))


def reconcile_if_missing(connection: Connection, checkout_id: str, customer_id: object, now: int) -> None:
    """Mark the buyer for reconciliation when the purchase has not reached us yet: its events may be lost."""
    if not isinstance(customer_id, str):
        return
    arrived = or_(
        exists().where(subscriptions.c.checkout_id == checkout_id),
        exists().where(orders.c.checkout_id == checkout_id),
    )
    if connection.scalar(select(arrived)):
        return
    statement = insert(customers).values(id=customer_id, created_us=0, reconcile_us=now)
    marked = {"reconcile_us": func.coalesce(customers.c.reconcile_us, statement.excluded.reconcile_us)}
    connection.execute(statement.on_conflict_do_update(index_elements=["id"], set_=marked))


def count_request(connection: Connection, key: str, now: int) -> int:
    """Count a request and return how many there were within a minute; the minute begins with the first of them."""
    return count_calls(connection, key, now, 1)


def count_calls(connection: Connection, key: str, now: int, calls: int) -> int:
    """Count calls, or take some back, and return how many there were within a minute."""
    statement = insert(rate_limits).values(key=key, window_us=now, count=calls)
    fresh = rate_limits.c.window_us <= literal(now - WINDOW_US)
    counted = statement.on_conflict_do_update(
        index_elements=["key"],
        set_={
            "window_us": case((fresh, statement.excluded.window_us), else_=rate_limits.c.window_us),
            "count": case((fresh, calls), else_=rate_limits.c.count + calls),
        },
    )
    count: int = connection.execute(counted.returning(rate_limits.c.count)).scalar_one()
    return count


def email_of(connection: Connection, customer_id: str | None, user_id: str | None) -> str | None:
    """Return the e-mail address of a customer, or without one of the user: as customer, else as member."""
    live = customers.c.deleted_us.is_(None)
    if customer_id is not None:
        return connection.scalar(select(customers.c.email).where(customers.c.id == customer_id, live))
    mine = select(customers.c.email).where(customers.c.external_id == user_id, live)
    as_member = select(members.c.email).where(members.c.external_id == user_id, members.c.deleted_us.is_(None))
    found = connection.scalar(mine.order_by(customers.c.created_us.desc()).limit(1))
    return found or connection.scalar(as_member.limit(1))
