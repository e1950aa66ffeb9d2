"""A story: deliveries about one customer, one after the other, and what its user has after each."""

from __future__ import annotations

import datetime as dt
from typing import Any

from tests.parity.step import (
    NOW,
    PREMIUM,
    Json,
    Step,
    deliver,
    get,
)
from tests.support.events import Customer, event


class Story:
    """Deliveries about one customer, each some seconds after the one before, and what its user has then."""

    def __init__(self, user: str, days_ago: float, name: str = "", **fields: Any) -> None:
        self.buyer = Customer(user, NOW - dt.timedelta(days=days_ago), name, fields)
        self.user = user
        self.seconds = 0
        self.steps: list[Step] = []

    def tell(self, name: str, kind: str, data: Json, outcome: str = "processed", at: float | None = None) -> Story:
        """The next event, or one stamped `at` seconds."""
        self.seconds += 10
        stamp = self.buyer.start + dt.timedelta(seconds=self.seconds if at is None else at)
        self.steps.append(deliver(f"{self.user}: {name}", event(kind, stamp, data), outcome))
        return self

    def then(self, reason: str, access: bool = False, **expected: Any) -> Story:
        """What the user's account and the premium route say after the last event."""
        name, paths = self.steps[-1].name, {"access.access": access, "access.reason": reason, **expected}
        hello = {"message": f"Hello {self.user}, thank you for subscribing."} if access else {"error": "no_access"}
        self.steps += [
            get(f"{name} (account)", "/billing/account", self.user, expected=paths),
            get(f"{name} (premium)", f"{PREMIUM}/hello", self.user, 200 if access else 403, expected=hello),
        ]
        return self
