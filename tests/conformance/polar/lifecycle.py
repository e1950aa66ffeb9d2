"""A Polar with lives in it: scenarios change its objects, its API shows them, and its events tell of them.

What plays a scenario, and the scenarios, are the ones of `simulate`.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from copier_polar.simulation.lifecycle import Event, Fixed, Lifecycle, kind_of
from copier_polar.simulation.scenarios import Step, first_objects
from tests.catalogues import ORGANIZATION_ID, identifier
from tests.polar_server import Answer
from tests.support.polar_runtime import GONE, Call, PolarRuntime

Json = dict[str, Any]
# Long enough ago that an instant of the life is past when an app is asked.
_AGO = dt.timedelta(minutes=1)


def roles(products: Sequence[Json]) -> dict[str, Json]:
    """The products that scenarios speak of, out of a catalogue."""

    def first(*, recurring: bool, free: bool, after: int = 0) -> Json:
        def fits(product: Json) -> bool:
            amounts = [price.get("price_amount") for price in product["prices"]]
            fixed = all(price["amount_type"] == "fixed" for price in product["prices"])
            return fixed and product["is_recurring"] is recurring and (sum(amounts) == 0) is free

        return [product for product in products if fits(product)][after]

    return {
        "plan": first(recurring=True, free=False),
        "other_plan": first(recurring=True, free=False, after=1),
        "once": first(recurring=False, free=False),
        "free_plan": first(recurring=True, free=True),
    }


@dataclass
class Life:
    """One user's life at Polar."""

    user: str
    polar: Polar
    play: Lifecycle
    told: list[Event] = field(default_factory=list)

    def live(self, step: Step) -> list[Event]:
        """Let a step happen: the events that tell of it, and what the API says from then on."""
        events = [event for line in step.lines for event in self.play.play(line)]
        self.polar.keep(self)
        self.told += events
        return events

    def adopt(self, name: str, found: Json) -> None:
        """Go on with an object that Polar has already, as the customer an app made."""
        kind = self.play.objects[kind_of(name)]
        self.play.state[name] = {**kind, **{key: Fixed(value) for key, value in found.items()}}


class Polar(PolarRuntime):
    """The stand-in's API over the lives that are lived at it."""

    def __init__(self, products: Sequence[Json], **options: Any) -> None:
        super().__init__(products, **options)
        self.roles = roles(products)
        self.lives: dict[str, tuple[Life, str]] = {}

    def begin(self, user: str) -> Life:
        """A life in which nothing has happened yet."""
        names = {
            "user": user,
            "email": f"{identifier(user)[:8]}@example.com",
            "organization": {"id": ORGANIZATION_ID},
            **self.roles,
        }
        return Life(user, self, Lifecycle(first_objects(), names, self.api_version, self.now() - _AGO))

    def keep(self, life: Life) -> None:
        """Answer as the life stands now."""
        kinds = {
            "customer": self.customers,
            "checkout": self.checkouts,
            "subscription": self.subscriptions,
            "order": self.orders,
            "benefit_grant": self.grants,
        }
        with self._lock:
            for name in life.play.state:
                kind = kind_of(name)
                if kind in kinds:
                    found = life.play.snapshot(name)
                    kinds[kind][found["id"]] = found
                    if kind == "customer":
                        self.lives[found["id"]] = (life, name)

    def is_known(self, call: Call) -> bool:
        """Whether a request is about a customer of one of the lives."""
        return any(customer in call.path or customer in call.query.get("customer_id", []) for customer in self.lives)

    def _state(self, customer_id: str) -> Answer:
        if customer_id not in self.lives:
            return super()._state(customer_id)
        life, name = self.lives[customer_id]
        return GONE if self._customer(id=customer_id) is None else Answer(200, life.play.customer_state(name))
