"""The background work of one moment, in three kinds that do not wait for each other.

Any number of processes may do it at once: every piece is claimed first.
"""

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from app.billing import records, repository
from app.billing.checkout_status import ask_open_checkouts
from app.billing.compare_access import compare_access
from app.billing.disagreement import compare_states
from app.billing.inbox import retry_failed
from app.billing.log import log_line
from app.billing.outbox import Limits, ReactionRunner
from app.billing.polar import PolarApi
from app.billing.reactions import Handlers
from app.billing.read import Json
from app.billing.reconcile import DisputeReader, PolarReader, reconcile_customer
from app.billing.retention import clean_up
from app.billing.time import DAY, HOUR, MINUTE
from app.database import Database

BATCH = 100
CALLS_PER_CUSTOMER = 4  # more with long lists
PAGE_SIZE = 100
CHECKOUTS_AT_ONCE = 5  # a call each
# Polar is down, or the token is wrong: further requests would fail too.
MAX_FAILURES_PER_RUN = 3
RECONCILE_SECONDS = 40
RECONCILE_EVERY = DAY
# While a process works on a customer, no other takes it.
RECONCILE_LEASE = 5 * MINUTE
FIRST_PAUSE = 2 * MINUTE
LONGEST_PAUSE = 6 * HOUR
BUDGET_KEY = "polar:reconcile"


@dataclass(frozen=True)
class Background:
    """What the background works with. `calls_per_minute`: requests to Polar, of all processes together."""

    database: Database
    polar: PolarReader | None
    reactions: Handlers
    retention_days: int = 90
    calls_per_minute: int = 40


def work_on_inbox(deps: Background, now: int) -> bool:
    """Retry events, compare states and access, empty old bodies. True: more is probably due."""
    db, reactions = deps.database, deps.reactions
    parts: list[Callable[[], bool]] = [
        lambda: retry_failed(db, now, BATCH, reactions) == BATCH,
        lambda: compare_states(db, now, BATCH) == BATCH,
        lambda: compare_access(db, now, BATCH, reactions) == BATCH,
        lambda: clean_up(db, deps.retention_days, now),
    ]
    more = [_attempt(part) for part in parts]
    return any(more)


def work_on_reconciliation(deps: Background, now: int) -> bool:
    """Reconcile customers that are marked, then those that were not for a day: events do get lost.

    As many as the calls of this minute allow. Three failures in a row end it.
    """
    if deps.polar is not None:
        polar = _Counting(deps.polar)
        _attempt(lambda: _ask_open_checkouts(deps, now))
        _attempt(lambda: _reconcile_due(deps, polar, now))
    return False


def work_on_reactions(runner: ReactionRunner, now: int) -> bool:
    """Run the user's own code. True: more is probably due."""
    return _attempt(lambda: runner.run(now, BATCH) == BATCH)


def run_background(deps: Background, now: int, limits: Limits | None = None) -> bool:
    """Do all that is due at one moment, one kind after the other. True: more is probably due."""
    runner = ReactionRunner(deps.database, deps.reactions, limits)
    more = (work_on_inbox(deps, now), work_on_reconciliation(deps, now), work_on_reactions(runner, now))
    return any(more)


def _ask_open_checkouts(deps: Background, now: int) -> None:
    """Ask about own checkouts that nobody polls, if the budget of this minute allows it."""
    if not isinstance(deps.polar, PolarApi):
        return
    with deps.database.write() as connection:
        used = records.count_calls(connection, BUDGET_KEY, now, CHECKOUTS_AT_ONCE)
    asked = 0
    if used <= deps.calls_per_minute:
        asked = ask_open_checkouts(deps.database, deps.polar, now, CHECKOUTS_AT_ONCE)
    with deps.database.write() as connection:
        records.count_calls(connection, BUDGET_KEY, now, asked - CHECKOUTS_AT_ONCE)


def _reconcile_due(deps: Background, polar: "_Counting", now: int) -> bool:
    until = time.monotonic() + RECONCILE_SECONDS
    failures = 0
    while failures < MAX_FAILURES_PER_RUN and time.monotonic() < until:
        customer_id = _claim(deps, now)
        if customer_id is None:
            return False
        polar.calls = 0
        failures = 0 if _reconcile(deps, polar, customer_id, now) else failures + 1
        with deps.database.write() as connection:
            records.count_calls(connection, BUDGET_KEY, now, polar.calls - CALLS_PER_CUSTOMER)
    return False


def _claim(deps: Background, now: int) -> str | None:
    """Take the next customer and the calls for it; None when nobody is due or the budget of this minute is used."""
    with deps.database.write() as connection:
        used = records.count_calls(connection, BUDGET_KEY, now, CALLS_PER_CUSTOMER)
        customer_id = None
        if used <= deps.calls_per_minute:
            lease = now + RECONCILE_LEASE
            customer_id = repository.claim_marked_customer(connection, now, lease)
            customer_id = customer_id or repository.claim_oldest_customer(connection, now - RECONCILE_EVERY, lease)
        if customer_id is None:
            records.count_calls(connection, BUDGET_KEY, now, -CALLS_PER_CUSTOMER)
        return customer_id


def _reconcile(deps: Background, polar: PolarReader, customer_id: str, now: int) -> bool:
    """Reconcile one customer; after a failure it is due again after a pause that grows. Returns whether it worked."""
    try:
        report = reconcile_customer(deps.database, polar, customer_id, now, deps.reactions)
    except Exception as error:
        log_line("reconcile_failed", level=logging.WARNING, customer_id=customer_id, error=type(error).__name__)
        with deps.database.write() as connection:
            repository.postpone_reconciliation(connection, customer_id, now, FIRST_PAUSE, LONGEST_PAUSE)
        return False
    log_line("reconcile", customer_id=customer_id, outcome=report.outcome, written=report.written)
    return True


class _Counting:
    """A reader that counts the requests its calls take: one for each page of a list."""

    def __init__(self, polar: PolarReader) -> None:
        self._polar = polar
        self.calls = 0

    def customer_state(self, customer_id: str) -> Json:
        self.calls += 1
        return self._polar.customer_state(customer_id)

    def subscriptions(self, customer_id: str) -> Iterator[Json]:
        return self._pages(self._polar.subscriptions(customer_id))

    def orders(self, customer_id: str) -> Iterator[Json]:
        return self._pages(self._polar.orders(customer_id))

    def grants(self, customer_id: str) -> Iterator[Json]:
        return self._pages(self._polar.grants(customer_id))

    def disputes(self, order_id: str) -> list[Json] | None:
        if not isinstance(self._polar, DisputeReader):
            return None
        self.calls += 1
        return self._polar.disputes(order_id)

    def _pages(self, items: Iterator[Json]) -> Iterator[Json]:
        self.calls += 1
        for number, item in enumerate(items, 1):
            self.calls += number > 1 and number % PAGE_SIZE == 1
            yield item


def _attempt(part: Callable[[], object]) -> bool:
    """Do a part; one that fails does not keep the others from their work."""
    try:
        return part() is True
    except Exception as error:
        log_line("background_failed", level=logging.ERROR, error=type(error).__name__)
        logging.getLogger("app.billing").debug("background work failed", exc_info=True)
        return False
