"""Who gained or lost access: the policy's answer against the one that was stored, on events and when time is up."""

import logging
from collections.abc import Collection

from sqlalchemy import Connection

from app.billing import repository
from app.billing.access import decide_for
from app.billing.catalog import catalog as own_catalog
from app.billing.catalog_types import Catalog
from app.billing.log import error_name, log_line
from app.billing.policy import Decision
from app.billing.reactions import Handlers, reaction_to_access
from app.billing.repository import AnyRow
from app.database import Database


def compare_access(db: Database, now: int, limit: int, reactions: Handlers, catalog: Catalog | None = None) -> int:
    """Compare the access of users that is due with what it was, and write the reaction where it changed."""
    for count in range(limit):
        if not _compare_one(db, now, reactions, catalog or own_catalog):
            return count
    return limit


def settle_access(connection: Connection, user_ids: Collection[str], now: int, reactions: Handlers) -> None:
    """Compare the access of these users now. The given handlers run for what changed; no later run repeats it."""
    repository.check_access_of(connection, user_ids, now)
    for user_id in sorted(user_ids):
        state = repository.access_state_of(connection, user_id)
        _compare(connection, state, now, reactions, own_catalog)


def _compare_one(db: Database, now: int, reactions: Handlers, catalog: Catalog) -> bool:
    """Compare one user. An event of the user waits for us, or we see what it wrote: its check is the last it writes."""
    user_id: str | None = None
    try:
        with db.write() as connection:
            state = repository.claim_access_check(connection, now)
            if state is None:
                return False
            user_id = state.user_id
            decision = _compare(connection, state, now, reactions, catalog)
            repository.mark_for_reconciliation(connection, decision.overdue_customers, now)
    except Exception as error:
        if user_id is None:
            raise
        # Compared again later, after growing pauses: the others do not wait for it.
        log_line("access_not_compared", level=logging.ERROR, user_id=user_id, error=error_name(error))
        with db.write() as connection:
            repository.postpone_access_check(connection, user_id, now)
    return True


def _compare(connection: Connection, state: AnyRow, now: int, reactions: Handlers, catalog: Catalog) -> Decision:
    decision = decide_for(connection, state.user_id, now, catalog)
    changed = decision.access != state.access
    changes = state.changes + changed
    repository.save_access_check(connection, state.user_id, decision.access, changes, decision.check_us)
    reaction = reaction_to_access(state.user_id, decision, changes)
    if changed and reaction.name in reactions:
        repository.add_reactions(connection, [reaction], now)
    return decision
