"""Where requests to Polar run: an event loop of their own.

A deadline there ends them all, also those whose answer drips in; the time-outs of httpx begin again with every byte.
"""

import asyncio
import threading
from collections.abc import Coroutine
from concurrent.futures import CancelledError
from typing import Any, TypeVar

T = TypeVar("T")


class PolarLoop:
    """An event loop on a thread, begun when it is first needed: a process that forks before has none to lose."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None

    def run(self, request: Coroutine[Any, Any, T], seconds: float) -> T:
        """Run a request and wait for its result. Raises TimeoutError after so many seconds, and when the loop ends."""
        try:
            return asyncio.run_coroutine_threadsafe(asyncio.wait_for(request, seconds), self._running()).result()
        except CancelledError as error:
            raise TimeoutError from error

    def stop(self, last: Coroutine[Any, Any, object], seconds: float) -> None:
        """End what still runs, do a last thing, and end the loop."""
        with self._lock:
            loop, self._loop = self._loop, None
        if loop is None:
            last.close()
            return
        try:
            asyncio.run_coroutine_threadsafe(_end(last), loop).result(seconds)
        finally:
            loop.call_soon_threadsafe(loop.stop)

    def _running(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                threading.Thread(target=_run, args=(self._loop,), name="polar-loop", daemon=True).start()
            return self._loop


def _run(loop: asyncio.AbstractEventLoop) -> None:
    loop.run_forever()
    loop.close()


async def _end(last: Coroutine[Any, Any, object]) -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
    await last
    await asyncio.sleep(0.01)  # what was closed leaves the loop a moment later
