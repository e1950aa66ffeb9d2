"""The background work of one moment. Any number of processes may do it at once: every piece is claimed first."""

import logging
from collections.abc import Callable

from app.billing import repository
from app.billing.checkout_status import ask_open_checkouts
from app.billing.compare_access import compare_access
from app.billing.disagreement import compare_states
from app.billing.inbox import retry_failed
from app.billing.log import log_line
from app.billing.outbox import run_reactions
from app.billing.polar import PolarApi
from app.billing.reactions import Handlers
from app.billing.reconcile import PolarReader, reconcile_customer
from app.billing.retention import clean_up
from app.billing.time import DAY, MINUTE
from app.database import Database

BATCH = 100
# Polar allows 500 calls a minute; a customer takes four or more.
MARKED_AT_ONCE = 5
OLDEST_AT_ONCE = 1
CHECKOUTS_AT_ONCE = 5
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
        if isinstance(polar, PolarApi):
            parts.append(lambda: ask_open_checkouts(db, polar, now, CHECKOUTS_AT_ONCE) == CHECKOUTS_AT_ONCE)
        parts += [lambda: reconcile_marked(db, polar, now), lambda: reconcile_oldest(db, polar, now)]
    parts.append(lambda: run_reactions(db, reactions, now, BATCH) == BATCH)
    return True in [_attempt(part) for part in parts]


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
