"""The background threads: repeat failed events, reconcile, run reactions. A set per process; the work is leased."""

import logging
import random
import threading
import time
from collections.abc import Callable

from app.billing.background import Background, work_on_inbox, work_on_reactions, work_on_reconciliation
from app.billing.context import Billing
from app.billing.log import log_line
from app.billing.monitor import report_stuck
from app.billing.outbox import Limits, ReactionRunner
from app.reactions import reactions

PERIOD_SECONDS = 5.0
REPORT_SECONDS = 60.0
# Platforms give a process ten seconds to end. What a handler has not ended by then is tried again later.
STOP_SECONDS = 5.0


class BackgroundWorker:
    """Threads that work every few seconds, one for each kind of work, so that none waits for another.

    The pauses have jitter, so that processes started together drift apart. While more is due than a thread does at a
    time, it works on at once.
    """

    def __init__(self, billing: Billing, period: float = PERIOD_SECONDS, limits: Limits | None = None) -> None:
        settings = billing.settings
        deps = Background(
            database=billing.database,
            polar=billing.polar,
            reactions=reactions,
            retention_days=settings.inbox_retention_days,
            calls_per_minute=settings.reconcile_calls,
        )
        runner = ReactionRunner(billing.database, reactions, limits)
        self._billing = billing
        self._period = period
        self._report_at = 0.0
        self._stopped = threading.Event()
        kinds: dict[str, Callable[[], bool]] = {
            "inbox": lambda: work_on_inbox(deps, billing.clock()),
            "reconciliation": lambda: work_on_reconciliation(deps, billing.clock()),
            "reactions": lambda: work_on_reactions(runner, billing.clock()),
            "monitor": self._report,
        }
        self._threads = [
            threading.Thread(target=self._run, args=(work,), name=f"billing-{kind}", daemon=True)
            for kind, work in kinds.items()
        ]

    def start(self) -> None:
        """Begin."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Let what is being done end, for as long as a platform waits."""
        self._stopped.set()
        until = time.monotonic() + STOP_SECONDS
        for thread in self._threads:
            if thread.is_alive():
                thread.join(timeout=max(0.0, until - time.monotonic()))

    def _run(self, work: Callable[[], bool]) -> None:
        more = False
        while not self._stopped.wait(0 if more else self._period * random.uniform(0.5, 1.5)):  # noqa: S311 - jitter
            try:
                more = work()
            except Exception as error:
                more = False
                log_line("background_failed", level=logging.ERROR, error=type(error).__name__)

    def _report(self) -> bool:
        if time.monotonic() >= self._report_at and report_stuck(self._billing.database):
            self._report_at = time.monotonic() + REPORT_SECONDS
        return False
