"""How Polar delivers: in which order, which ones twice or late, how often it tries, and when it gives up."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Literal, Protocol, TypeVar

import httpx

from tests.conformance.histories import Delivery

TRIES = 10
# So many events in a row that failed at every try, and Polar switches the endpoint off.
FAILURES_UNTIL_OFF = 10
Order = Literal["in order", "reversed", "shuffled", "late"]
T = TypeVar("T")


def arranged(events: Sequence[T], order: Order, seed: str) -> list[T]:
    """Events in an order that happens: `shuffled` with a quarter of them twice; `late`, where a third was lost at its
    first attempt and comes after the others, anyhow.
    """
    chance = random.Random(seed)
    found = list(events)
    if order == "reversed":
        found.reverse()
    if order == "shuffled":
        found += chance.sample(found, len(found) // 4)
        chance.shuffle(found)
    if order == "late":
        lost = chance.sample(range(len(found)), len(found) // 3)
        chance.shuffle(lost)
        found = [each for number, each in enumerate(found) if number not in lost] + [found[number] for number in lost]
    return found


class App(Protocol):
    """What takes deliveries."""

    base: str
    up: threading.Event

    def sign(self, delivery: Delivery) -> dict[str, str]:
        """Headers of one attempt."""
        ...


@dataclass
class Outcome:
    """How the deliveries went: each answer's status and time, how many got none, and what was never accepted."""

    statuses: list[int] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    retry_after: list[str | None] = field(default_factory=list)
    unanswered: int = 0
    refused: list[str] = field(default_factory=list)
    switched_off: bool = False
    _in_a_row: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def ended(self, delivery: Delivery, tries: int, *, accepted: bool) -> None:
        """The last try of an event."""
        with self._lock:
            self._in_a_row = 0 if accepted else self._in_a_row + 1
            self.switched_off |= tries >= TRIES and self._in_a_row >= FAILURES_UNTIL_OFF
            if not accepted:
                self.refused.append(delivery.webhook_id)


def deliver(
    app: App,
    events: Sequence[Delivery],
    connections: int,
    tries: int = TRIES,
    tick: Callable[[], None] = lambda: None,
    gap: float = 0.2,
) -> Outcome:
    """Deliver everything, each again until it is accepted; `tick` is called after every answer or lack of one.

    `gap` seconds are waited for after the first failure of an event, twice as long after the next, five at most.
    """
    outcome = Outcome()
    limits = httpx.Limits(max_connections=connections, max_keepalive_connections=connections)
    with (
        httpx.Client(base_url=app.base, timeout=20, limits=limits) as client,
        ThreadPoolExecutor(connections) as pool,
    ):

        def accepted(delivery: Delivery) -> bool:
            for attempt in range(tries):
                if not app.up.wait(timeout=90):
                    raise TimeoutError("the app was not started again")
                began = time.monotonic()
                try:
                    # Polar follows no redirect: anything but 2xx is a failure.
                    answer = client.post("/webhooks/polar", content=delivery.body, headers=app.sign(delivery))
                except httpx.TransportError:
                    outcome.unanswered += 1
                    tick()
                    time.sleep(0.05)
                    continue
                outcome.statuses.append(answer.status_code)
                outcome.seconds.append(time.monotonic() - began)
                tick()
                if answer.is_success:
                    return True
                outcome.retry_after.append(answer.headers.get("retry-after"))
                if attempt + 1 < tries:
                    time.sleep(min(gap * 2**attempt, 5))
            return False

        def one(delivery: Delivery) -> None:
            outcome.ended(delivery, tries, accepted=not outcome.switched_off and accepted(delivery))

        list(pool.map(one, events))
    return outcome
