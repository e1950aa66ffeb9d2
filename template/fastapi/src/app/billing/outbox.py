"""Runs reactions: leased, so that one process at a time tries each; again after a failure, with growing pauses.

Each handler runs on a thread of its own and for a limited time. One that hangs costs its owner only its own reaction:
its thread is left behind, and a name with too many of those is not tried until they end.
"""

import json
import logging
import queue
import threading
import time
from collections import Counter
from dataclasses import dataclass
from functools import partial

from app.billing import records, repository
from app.billing.inbox import MAX_ATTEMPTS, back_off
from app.billing.log import error_name, log_line
from app.billing.reactions import Delivery, Handlers, handler_of
from app.billing.read import Json
from app.billing.repository import AnyRow
from app.billing.time import MINUTE
from app.database import Database

# Counted from the begin of a run, and longer than a run and a handler may take: nothing is tried while it still runs.
LEASE = 2 * MINUTE
AT_ONCE = 10
AT_ONCE_PER_NAME = 5
MAX_ERROR_LENGTH = 500


@dataclass(frozen=True)
class Limits:
    """How long a handler may take, and after how long a run begins no more."""

    handler_seconds: float = 20.0
    run_seconds: float = 40.0


class HandlerTimeout(Exception):
    """A handler took longer than it may."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"The handler took longer than {seconds:g} seconds.")


@dataclass(frozen=True)
class _Running:
    """A claimed reaction whose handler runs, and when it must have ended."""

    claimed: AnyRow
    deadline: float


class ReactionRunner:
    """Runs the reactions that are due, a few at once."""

    def __init__(self, db: Database, handlers: Handlers, limits: Limits | None = None) -> None:
        self._db = db
        self._handlers = handlers
        self._limits = limits or Limits()
        self._running: dict[str, _Running] = {}
        self._ended: queue.SimpleQueue[tuple[str, int, str | None]] = queue.SimpleQueue()
        self._left_behind: dict[tuple[str, int], str] = {}  # attempts whose time was over, and their names
        self._lock = threading.Lock()

    def run(self, now: int, limit: int) -> int:
        """Run at most `limit` reactions that are due, and return how many were."""
        until = time.monotonic() + self._limits.run_seconds
        with self._db.write() as connection:
            repository.end_exhausted_reactions(connection, now, MAX_ATTEMPTS)
        begun = 0
        while True:
            may_begin = begun < limit and time.monotonic() < until
            if may_begin and (claimed := self._claim(now)) is not None:
                begun += 1
                self._begin(claimed)
            elif self._running:
                self._await_one(now)
            else:
                return begun

    def _claim(self, now: int) -> AnyRow | None:
        """Take a reaction that is due, of a name that has room."""
        if len(self._running) >= AT_ONCE:
            return None
        with self._lock:
            counts = Counter(self._left_behind.values())
        counts.update(running.claimed.reaction for running in self._running.values())
        full = [name for name, count in counts.items() if count >= AT_ONCE_PER_NAME]
        with self._db.write() as connection:
            return repository.claim_reaction(connection, now, now + LEASE, MAX_ATTEMPTS, full)

    def _begin(self, claimed: AnyRow) -> None:
        self._running[claimed.key] = _Running(claimed, time.monotonic() + self._limits.handler_seconds)
        name = f"billing-reaction-{claimed.reaction}"
        threading.Thread(target=self._handle, args=(claimed,), name=name, daemon=True).start()

    def _handle(self, claimed: AnyRow) -> None:
        """Run the handler and tell what went wrong; on a thread of its own."""
        payload = {**json.loads(claimed.payload), "user_id": claimed.user_id}
        delivery = Delivery(claimed.key, claimed.attempts, partial(_email, self._db, payload))
        handler = handler_of(self._handlers, claimed.reaction)
        error = None
        try:
            if handler is not None:  # without one it was removed since: it is done
                handler(payload, delivery)
        except BaseException as problem:  # `sys.exit()` in a handler ends the handler alone
            error = _described(problem, delivery)
        attempt = (claimed.key, claimed.attempts)
        with self._lock:
            if self._left_behind.pop(attempt, None) is None:
                self._ended.put((*attempt, error))

    def _await_one(self, now: int) -> None:
        """Wait until a handler ends or its time is over, and write the result."""
        deadline = min(running.deadline for running in self._running.values())
        try:
            key, attempts, error = self._ended.get(timeout=max(0.0, deadline - time.monotonic()))
        except queue.Empty:
            self._leave_behind(now)
            return
        running = self._running.get(key)
        if running is not None and running.claimed.attempts == attempts:
            self._finish(running.claimed, error, now)

    def _leave_behind(self, now: int) -> None:
        late = [running.claimed for running in self._running.values() if running.deadline <= time.monotonic()]
        with self._lock:
            if not self._ended.empty():  # one ended in this very moment: its result comes first
                return
            self._left_behind |= {(claimed.key, claimed.attempts): claimed.reaction for claimed in late}
        for claimed in late:
            timeout = HandlerTimeout(self._limits.handler_seconds)
            self._finish(claimed, _described(timeout, Delivery(claimed.key, claimed.attempts)), now)

    def _finish(self, claimed: AnyRow, error: str | None, now: int) -> None:
        """Write how an attempt ended, whatever its neighbours do."""
        del self._running[claimed.key]
        values = _done(now) if error is None else _failed(error, claimed.attempts, now)
        with self._db.write() as connection:
            repository.finish_reaction(connection, claimed.key, claimed.attempts, values)


def run_reactions(db: Database, handlers: Handlers, now: int, limit: int, limits: Limits | None = None) -> int:
    """Run reactions that are due; a handler that fails or hangs touches nothing but its own row."""
    return ReactionRunner(db, handlers, limits).run(now, limit)


def _described(error: BaseException, delivery: Delivery) -> str:
    fields = {"key": delivery.key, "attempt": delivery.attempt, "error": error_name(error)}
    log_line("reaction_failed", level=logging.ERROR, **fields)
    return f"{type(error).__name__}: {error}"[:MAX_ERROR_LENGTH].replace("\x00", "")


def _email(db: Database, payload: Json) -> str | None:
    with db.read() as connection:
        return records.email_of(connection, payload.get("customer_id"), payload.get("user_id"))


def _done(now: int) -> dict[str, object]:
    return {"state": "done", "done_us": now, "next_attempt_us": None, "error": None}


def _failed(error: str, attempts: int, now: int) -> dict[str, object]:
    dead = attempts >= MAX_ATTEMPTS
    return {
        "state": "dead" if dead else "pending",
        "next_attempt_us": None if dead else now + back_off(attempts),
        "error": error,
    }
