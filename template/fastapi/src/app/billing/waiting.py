"""Threads of their own for whoever waits for Polar: however slow it is, all other routes keep theirs."""

import threading
from asyncio import get_running_loop
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import TypeVar

from app.billing.errors import BillingError

PLACES = 20
PLACES_PER_USER = 4

T = TypeVar("T")


class NoPlace(BillingError):
    """Too many wait."""

    def __init__(self) -> None:
        super().__init__("unavailable", headers={"Retry-After": "5"})


class WaitingRoom:
    """So many may wait at once, and a few for each user; others are answered 503 without waiting."""

    def __init__(self, places: int = PLACES, per_user: int = PLACES_PER_USER) -> None:
        self._places = places
        self._per_user = per_user
        self._threads = ThreadPoolExecutor(places, thread_name_prefix="waiting")
        self._lock = threading.Lock()
        self.taken: Counter[str] = Counter()

    async def wait(self, user_id: str, work: Callable[[], T]) -> T:
        """Do what waits for Polar, on a thread of the room."""
        with self._lock:
            if self.taken.total() >= self._places or self.taken[user_id] >= self._per_user:
                raise NoPlace
            self.taken[user_id] += 1
        # Whoever hangs up leaves a thread that still works: the place is free when that has ended.
        return await get_running_loop().run_in_executor(self._threads, copy_context().run, self._do, user_id, work)

    def _do(self, user_id: str, work: Callable[[], T]) -> T:
        try:
            return work()
        finally:
            with self._lock:
                self.taken[user_id] -= 1
                if not self.taken[user_id]:
                    del self.taken[user_id]


room = WaitingRoom()
