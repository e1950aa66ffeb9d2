"""Mixed histories of made-up customers: every event once, and what the app has to say of its user at the end."""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.catalogues import identifier, shop
from tests.support import deliveries
from tests.support.events import Customer, Json, event

FREE, MONTHLY, YEARLY, LIFETIME, _ANY, _TEAM = shop()
BENEFITS = MONTHLY["benefits"]
# Far from every boundary of the policy, so that two runs minutes apart have to agree.
_AGE = dt.timedelta(days=3)


@dataclass(frozen=True)
class Delivery:
    """A body and the id it is delivered under, however often."""

    webhook_id: str
    body: bytes


@dataclass
class End:
    """What is left of a user at the end, by the newest snapshot of each object."""

    access: bool = False
    subscriptions: dict[str, str] = field(default_factory=dict)
    orders: dict[str, tuple[str, int]] = field(default_factory=dict)
    benefits: set[str] = field(default_factory=set)


class Life:
    """One customer's events, a minute apart; each step tells Polar's next snapshot and keeps what it leaves."""

    def __init__(self, user: str, chance: random.Random, now: dt.datetime) -> None:
        self.user, self.chance = user, chance
        self.buyer = Customer(user, now - _AGE)
        self.events: list[Delivery] = []
        self.end = End()
        self._made = 0

    def tell(self, kind: str, data: Json) -> None:
        """The next event."""
        number = len(self.events)
        stamp = self.buyer.start + dt.timedelta(minutes=number)
        self.events.append(Delivery(f"wh_{identifier(self.user, number)}", event(kind, stamp, data)))

    def subscribe(self) -> None:
        """A subscription that goes through some of its states."""
        product = self.chance.choice((FREE, MONTHLY, YEARLY))
        base = self.buyer.subscription(product, self._next())
        self.tell("subscription.created", {**base, "status": "incomplete"})
        self.tell("subscription.active", base)
        status, steps = "active", self.chance.randrange(4)
        for _ in range(steps):
            kind, changes = self.chance.choice(self._turns())
            status = changes.get("status", "active")
            self.tell(kind, {**base, **changes})
        self.end.subscriptions[base["id"]] = status
        self.end.access |= product is not FREE and status in ("active", "trialing", "past_due")

    def _turns(self) -> list[tuple[str, Json]]:
        """What can happen to a subscription next; all within every grace and period."""
        at = self.buyer.at
        leaving = {"cancel_at_period_end": True, "canceled_at": at(1), "ends_at": at(30)}
        gone = {"status": "canceled", "canceled_at": at(1), "ended_at": at(1), "ends_at": at(1)}
        return [
            ("subscription.updated", {"amount": self.chance.randrange(1, 9999)}),
            ("subscription.canceled", leaving),
            ("subscription.uncanceled", {}),
            ("subscription.past_due", {"status": "past_due", "past_due_at": at(2.9)}),
            ("subscription.updated", {"status": "trialing", "trial_end": at(30)}),
            ("subscription.paused", {"status": "paused", "paused_at": at(2)}),
            ("subscription.revoked", gone),
        ]

    def buy(self) -> None:
        """A one-time purchase, perhaps refunded in part or whole."""
        order = self.buyer.order(LIFETIME, self._next())
        steps = (
            ("order.created", {"status": "pending", "paid": False}),
            ("order.paid", {}),
            ("order.updated", {"status": "partially_refunded", "refunded_amount": 100}),
            ("order.refunded", {"status": "refunded", "refunded_amount": order["total_amount"]}),
        )
        last: Json = order
        for kind, changes in steps[: self.chance.randint(1, 4)]:
            last = {**order, **changes}
            self.tell(kind, last)
            if kind == "order.refunded":
                self.tell("refund.created", {"id": identifier("refund", order["id"]), "order_id": order["id"]})
        self.end.orders[order["id"]] = (last["status"], last["refunded_amount"])
        self.end.access |= last["status"] in ("paid", "partially_refunded")

    def gain(self) -> None:
        """A benefit, perhaps taken away again."""
        benefit = self.chance.choice(BENEFITS)
        grant = self.buyer.grant(benefit, self._next())
        self.tell("benefit_grant.created", grant)
        if self.chance.random() < 0.4:
            taken = {"is_granted": False, "is_revoked": True, "granted_at": None, "revoked_at": self.buyer.at(2)}
            self.tell("benefit_grant.revoked", {**grant, **taken})
        else:
            self.end.benefits.add(benefit["id"])

    def change(self) -> None:
        """News of the customer alone."""
        self.tell("customer.updated", self.buyer.customer(billing_name=f"Buyer {self.chance.randrange(99)}"))

    def vanish(self) -> None:
        """Deleted at Polar: nothing of it is left to its user."""
        self.tell("customer.deleted", self.buyer.customer(external_id=None, deleted_at=self.buyer.at(2.95)))
        self.end = End()

    def _next(self) -> int:
        self._made += 1
        return self._made


@dataclass(frozen=True)
class Mixture:
    """Lives of several users, their deliveries in one order with some of them repeated."""

    lives: tuple[Life, ...]
    deliveries: tuple[Delivery, ...]

    @property
    def users(self) -> list[str]:
        """All users, in order."""
        return [life.user for life in self.lives]


def mixture(name: str, count: int, seed: int) -> Mixture:
    """About `count` deliveries of as many users as that takes, shuffled; a tenth come twice."""
    chance = random.Random(f"{name}/{seed}")
    now = dt.datetime.now(dt.UTC)
    lives: list[Life] = []
    while sum(len(life.events) for life in lives) < count * 0.9:
        lives.append(_life(f"{name}-{seed}-{len(lives)}", chance, now))
    told = [delivery for life in lives for delivery in life.events]
    told += chance.sample(told, max(0, count - len(told)))
    chance.shuffle(told)
    return Mixture(tuple(lives), tuple(told))


def _life(user: str, chance: random.Random, now: dt.datetime) -> Life:
    life = Life(user, chance, now)
    life.tell("customer.created", life.buyer.customer())
    life.tell("member.created", life.buyer.member())
    for step in chance.choices((life.subscribe, life.buy, life.gain, life.change), k=chance.randint(2, 6)):
        step()
    if chance.random() < 0.1:
        life.vanish()
    return life


Told = dict[str, tuple[Any, Any]]


def told(base: str, users: Iterable[str], secret: str, **claims: object) -> Told:
    """What `/billing/access` and `/billing/account` say of each user: nothing left out."""
    found = {}
    with httpx.Client(base_url=base, timeout=20) as client:
        for user in users:
            signed = deliveries.bearer(user, secret, **claims)
            both = [client.get(f"/billing/{name}", headers=signed) for name in ("access", "account")]
            found[user] = (both[0].raise_for_status().json(), both[1].raise_for_status().json())
    return found


def wrong(mixture: Mixture, found: Told) -> dict[str, str]:
    """Where a user has not what their life left them."""
    problems = {}
    for life in mixture.lives:
        access, account = found[life.user]
        is_now = End(
            access["access"],
            {each["id"]: each["status"] for each in account["subscriptions"]},
            {each["id"]: (each["status"], each["refunded_amount"]) for each in account["orders"]},
            {each["id"] for each in access["benefits"]},
        )
        if is_now != life.end or account["access"] != access:
            problems[life.user] = f"is {is_now}, should be {life.end}"
    return problems
