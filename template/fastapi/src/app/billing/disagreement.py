"""Where a customer state of Polar and our rows disagree for more than a minute, an event was lost.

A state never writes rows: states that were stamped later but computed earlier do occur. It only has Polar asked.
"""

import json

from sqlalchemy import Connection

from app.billing import repository
from app.billing.repository import AnyRow
from app.billing.tables import benefit_grants, subscriptions
from app.billing.time import MINUTE
from app.database import Database

PATIENCE = MINUTE
LIVE_AT_POLAR = frozenset({"active", "trialing"})


def compare_states(db: Database, now: int, limit: int) -> int:
    """Compare the newest customer states with our rows, and mark the customers that differ. Returns how many differ."""
    marked = 0
    with db.read() as connection:
        states = repository.uncompared_states(connection, now - PATIENCE, limit)
    for state in states:
        with db.write() as connection:
            marked += _compare(connection, state, now)
    return marked


def _compare(connection: Connection, state: AnyRow, now: int) -> bool:
    repository.lock_customer(connection, state.customer_id)
    differs = not repository.is_deleted(connection, state.customer_id) and _differs(connection, state)
    if differs:
        repository.mark_for_reconciliation(connection, [state.customer_id], now)
    repository.set_compared(connection, state.customer_id, state.version)
    return differs


def _differs(connection: Connection, state: AnyRow) -> bool:
    body = json.loads(state.body)
    live = {item["id"]: (item["status"], item["product_id"]) for item in body["subscriptions"]}
    granted = {item["id"]: item["benefit_id"] for item in body["benefits"]}
    held = repository.rows_of_customer(connection, subscriptions, state.customer_id)
    grants = repository.rows_of_customer(connection, benefit_grants, state.customer_id)
    have_live = {row.id: (row.status, row.product_id) for row in held.values() if row.status in LIVE_AT_POLAR}
    have_granted = {row.id: row.benefit_id for row in grants.values() if row.is_granted and not row.is_revoked}
    different = {key for key in live | have_live if live.get(key) != have_live.get(key)}
    different |= {key for key in granted | have_granted if granted.get(key) != have_granted.get(key)}
    return any(_is_older(held.get(key) or grants.get(key), state.version) for key in different)


def _is_older(row: AnyRow | None, version: int) -> bool:
    """Say whether a row could not know better than the state: it is missing, or an older snapshot."""
    return row is None or row.version <= version
