"""The background work of one moment. Any number of processes may do it at once: every piece is claimed first."""

import logging
from collections.abc import Callable

from app.billing import repository
from app.billing.access import decide_for
from app.billing.catalog import catalog as own_catalog
from app.billing.catalog_types import Catalog
from app.billing.disagreement import compare_states
from app.billing.inbox import retry_failed
from app.billing.log import log_line
from app.billing.outbox import run_reactions
from app.billing.reactions import Handlers, reaction_to_access
from app.billing.reconcile import PolarReader, reconcile_customer
from app.billing.retention import clean_up
from app.billing.time import DAY, MINUTE
from app.database import Database

BATCH = 100
# Polar allows 500 calls a minute; a customer takes four or more.
MARKED_AT_ONCE = 5
OLDEST_AT_ONCE = 1
RECONCILE_AGAIN_AFTER = 5 * MINUTE
RECONCILE_EVERY = DAY


def run_background(db: Database, polar: PolarReader | None, reactions: Handlers, retention_days: int, now: int) -> bool:
    """Do what is due, so much of it at a time. True: a part did all it may at once, and more is probably due.

    One part that fails does not keep the others from their work.
    """
    parts: list[Callable[[], object]] = [
        lambda: retry_failed(db, now, BATCH, reactions) == BATCH,
        lambda: compare_states(db, now, BATCH) == BATCH,
        lambda: compare_access(db, now, BATCH, reactions) == BATCH,
        lambda: clean_up(db, retention_days, now),
    ]
    if polar is not None:
        parts += [lambda: reconcile_marked(db, polar, now), lambda: reconcile_oldest(db, polar, now)]
    parts.append(lambda: run_reactions(db, reactions, now, BATCH) == BATCH)
    return True in [_attempt(part) for part in parts]


def compare_access(db: Database, now: int, limit: int, reactions: Handlers, catalog: Catalog = own_catalog) -> int:
    """Compare the access of users that is due with what it was, and write the reaction where it changed."""
    for count in range(limit):
        if not _compare_one(db, now, reactions, catalog):
            return count
    return limit


def reconcile_marked(db: Database, polar: PolarReader, now: int) -> int:
    """Reconcile customers that are marked. One that fails stays marked, for later."""
    for count in range(MARKED_AT_ONCE):
        with db.write() as connection:
            customer_id = repository.claim_marked_customer(connection, now, now + RECONCILE_AGAIN_AFTER)
        if customer_id is None:
            return count
        _reconcile(db, polar, customer_id, now)
    return MARKED_AT_ONCE


def reconcile_oldest(db: Database, polar: PolarReader, now: int) -> int:
    """Reconcile the customers that were not for the longest time, a day at least: events do get lost."""
    for count in range(OLDEST_AT_ONCE):
        with db.write() as connection:
            customer_id = repository.claim_oldest_customer(connection, now, now - RECONCILE_EVERY)
        if customer_id is None:
            return count
        _reconcile(db, polar, customer_id, now)
    return OLDEST_AT_ONCE


def _compare_one(db: Database, now: int, reactions: Handlers, catalog: Catalog) -> bool:
    """Compare one user. An event of the user waits for us, or we see what it wrote: its check is the last it writes."""
    with db.write() as connection:
        state = repository.claim_access_check(connection, now)
        if state is None:
            return False
        decision = decide_for(connection, state.user_id, now, catalog)
        repository.mark_for_reconciliation(connection, decision.overdue_customers, now)
        changed = decision.access != state.access
        changes = state.changes + changed
        repository.save_access_check(connection, state.user_id, decision.access, changes, decision.check_us)
        reaction = reaction_to_access(state.user_id, decision, changes)
        if changed and reaction.name in reactions:
            repository.add_reactions(connection, [reaction], now)
    return True


def _reconcile(db: Database, polar: PolarReader, customer_id: str, now: int) -> None:
    """Reconcile one customer; a failure is Polar's or the network's, and says nothing about the customer."""
    try:
        report = reconcile_customer(db, polar, customer_id, now)
    except Exception as error:
        log_line("reconcile_failed", level=logging.WARNING, customer_id=customer_id, error=type(error).__name__)
    else:
        log_line("reconcile", customer_id=customer_id, outcome=report.outcome, written=report.written)


def _attempt(part: Callable[[], object]) -> object:
    try:
        return part()
    except Exception as error:
        log_line("background_failed", level=logging.ERROR, error=type(error).__name__)
        logging.getLogger("app.billing").debug("background work failed", exc_info=True)
        return None
