"""The background thread: repeats failed events, runs reactions, reconciles. One a process; the work is leased."""

import logging
import random
import threading
import time

from app.billing.background import run_background
from app.billing.context import Billing
from app.billing.log import log_line
from app.billing.monitor import report_stuck
from app.reactions import reactions

PERIOD_SECONDS = 5.0
REPORT_SECONDS = 60.0


class BackgroundWorker:
    """A thread that works every few seconds, with jitter so that processes started together drift apart.

    While more is due than it does at a time it works on at once.
    """

    def __init__(self, billing: Billing, period: float = PERIOD_SECONDS) -> None:
        self._billing = billing
        self._period = period
        self._report_at = 0.0
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="billing-background", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Finish what is being done, and end."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join(timeout=30)

    def _run(self) -> None:
        more = False
        while not self._stopped.wait(0 if more else self._period * random.uniform(0.5, 1.5)):  # noqa: S311 - jitter
            more = self._work()

    def _work(self) -> bool:
        billing = self._billing
        try:
            more = run_background(
                billing.database, billing.polar, reactions, billing.settings.inbox_retention_days, billing.clock()
            )
            if time.monotonic() >= self._report_at and report_stuck(billing.database):
                self._report_at = time.monotonic() + REPORT_SECONDS
            return more
        except Exception as error:
            log_line("background_failed", level=logging.ERROR, error=type(error).__name__)
            return False
