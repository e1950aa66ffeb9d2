"""Lives of a few customers, made of short actions that Hypothesis draws: what Polar sends, and what Polar has then.

Deletions, external ids used again, customers without one and late links come often: there state goes wrong.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st

from tests.catalogues import CATALOGUES, identifier
from tests.support import events
from tests.support.polar_runtime import instant

Json = dict[str, Any]
Delivery = tuple[str, str]
Action = tuple[str, int, int]

START = dt.datetime(2026, 11, 1, 12, tzinfo=dt.UTC)
# Later than anything that is sent, and within every paid period.
NOW_US = int((START + dt.timedelta(days=10)).timestamp()) * 1_000_000
SLOTS = 3
USERS = ("ada", "user/2 é+%", "grace")
STATUSES = ("past_due", "canceled", "active", "paused", "trialing", "unpaid")


@dataclass
class Life:
    """A customer from its creation to its deletion, with what it bought."""

    made: events.Customer
    customer: Json
    subscriptions: list[Json] = field(default_factory=list)
    orders: list[Json] = field(default_factory=list)
    grants: list[Json] = field(default_factory=list)
    checkouts: list[Json] = field(default_factory=list)
    guest: Json | None = None

    @property
    def user(self) -> str | None:
        external_id: str | None = self.customer["external_id"]
        return external_id


class World:
    """Plays actions; `deliveries` are in Polar's order, `truth` is what its API answers afterwards."""

    def __init__(self, actions: list[Action], namespace: str = "", *, ties: bool = False) -> None:
        self.namespace = namespace
        self.deliveries: list[Delivery] = []
        self.truth: dict[str, Json | None] = {}
        self.users = [f"{namespace}{name}" for user in USERS for name in (user, f"{user}-guest")]
        self._ties = ties
        self._seconds = 0
        self._lives: dict[int, Life] = {}
        self._count = 0
        shop = CATALOGUES["shop"]()
        self._recurring = [product for product in shop if product["is_recurring"]]
        self._once = [product for product in shop if not product["is_recurring"]]
        self._benefits = [benefit for product in shop for benefit in product["benefits"]]
        for name, slot, variation in actions:
            self._play(name, slot, variation)
        self.truth |= {life.customer["id"]: _as_polar_answers(life) for life in self._lives.values()}

    def _play(self, name: str, slot: int, variation: int) -> None:
        life = self._lives.get(slot)
        if life is None:
            self._create(slot, variation)
        elif name != "create":
            ACTIONS[name](self, life, variation)
            if name == "delete":
                del self._lives[slot]

    def ids(self) -> list[str]:
        """The ids of all customers and of what they bought, in the order of their creation."""
        bodies = [json.loads(body)["data"] for _, body in self.deliveries]
        return list(dict.fromkeys(data["id"] for data in bodies))

    # What happens to a customer

    def _create(self, slot: int, variation: int) -> None:
        self._count += 1
        name = f"{self.namespace}/{slot}/{self._count}"
        made = events.Customer(self._free_user(variation), self._now(), name=name)
        life = self._lives[slot] = Life(made, made.customer())
        if variation % 2:
            self._send("member.created", made.member())
        self._send("customer.created", life.customer)

    def link(self, life: Life, variation: int) -> None:
        """Give the customer an external id if it has none, or another name."""
        if life.user is None:
            life.customer["external_id"] = self._free_user(variation)
        else:
            life.customer["name"] = f"Name {variation}"
        life.customer["modified_at"] = self._stamp(variation)
        self._send("customer.updated", life.customer)

    def add_guest(self, life: Life, variation: int) -> None:
        """Let another user in as a member."""
        if life.guest is None:
            life.guest = life.made.member(f"{self.namespace}{USERS[variation % len(USERS)]}-guest")
            self._send("member.created", life.guest)

    def subscribe(self, life: Life, variation: int) -> None:
        """Buy a subscription: it, its order and its benefit come as events of their own."""
        number = len(life.subscriptions) + 1
        product = self._recurring[variation % len(self._recurring)]
        metadata = self._metadata(variation)
        bought = life.made.subscription(product, number, metadata=metadata, created_at=self._stamp(0))
        paid = life.made.order(
            product, 100 + number, subscription_id=bought["id"], metadata=metadata, created_at=self._stamp(0)
        )
        life.subscriptions.append(bought)
        life.orders.append(paid)
        self._send_about(life, "subscription.created", bought)
        self._send_about(life, "subscription.active", bought)
        self._send_about(life, "order.paid", paid)
        self.grant(life, variation)

    def change_status(self, life: Life, variation: int) -> None:
        """Let a subscription fail, end, pause or recover."""
        if not life.subscriptions:
            return
        subscription = life.subscriptions[variation % len(life.subscriptions)]
        status = STATUSES[variation % len(STATUSES)]
        subscription.update(
            status=status,
            past_due_at=self._stamp(0) if status == "past_due" else None,
            ended_at=self._stamp(0) if status == "canceled" else None,
            cancel_at_period_end=variation % 5 == 0,
            modified_at=self._stamp(variation),
        )
        self._send_about(life, "subscription.updated", subscription)
        self._state_changed(life)

    def buy_once(self, life: Life, variation: int) -> None:
        """Buy something once; the payment may not have come yet."""
        product, number = self._once[variation % len(self._once)], len(life.orders) + 1
        status = "pending" if variation % 3 == 0 else "paid"
        bought = life.made.order(
            product, number, status=status, metadata=self._metadata(variation), created_at=self._stamp(0)
        )
        life.orders.append(bought)
        self._send_about(life, "order.created", bought)

    def refund(self, life: Life, variation: int) -> None:
        """Give money back: some, or all."""
        if not life.orders:
            return
        order = life.orders[variation % len(life.orders)]
        whole = variation % 2 == 0
        amount = order["total_amount"] if whole else 1
        order.update(
            status="refunded" if whole else "partially_refunded",
            refunded_amount=amount,
            modified_at=self._stamp(variation),
        )
        self._send_about(life, "order.refunded", order)

    def grant(self, life: Life, variation: int) -> None:
        """Grant a benefit, to the customer or to its guest."""
        benefit, number = self._benefits[variation % len(self._benefits)], len(life.grants) + 1
        member = life.guest if variation % 3 == 1 else None
        granted = life.made.grant(
            benefit, number, member_id=member["id"] if member else None, member=member, created_at=self._stamp(0)
        )
        life.grants.append(granted)
        self._send_about(life, "benefit_grant.created", granted)
        self._state_changed(life)

    def turn_grant(self, life: Life, variation: int) -> None:
        """Take a benefit away, or give it back."""
        if not life.grants:
            return
        grant = life.grants[variation % len(life.grants)]
        _turn(grant, not grant["is_granted"], self._stamp(0))
        self._send_about(life, "benefit_grant.updated", grant)

    def check_out(self, life: Life, variation: int) -> None:
        """Start a checkout that our server made, or end the last one."""
        if not life.checkouts or variation % 2 == 0:
            user = f"{self.namespace}{USERS[variation % len(USERS)]}"
            checkout = {
                "id": identifier("checkout", life.customer["id"], len(life.checkouts)),
                "created_at": self._stamp(0),
                "modified_at": None,
                "status": "open",
                "customer_id": None,
                "product_id": self._recurring[0]["id"],
                "subscription_id": None,
                "expires_at": instant(START + dt.timedelta(days=30)),
                "metadata": {"app_user_id": user},
            }
            life.checkouts.append(checkout)
            self._send("checkout.created", checkout)
        else:
            life.checkouts[-1].update(status="succeeded", customer_id=life.customer["id"])
            self._send("checkout.updated", life.checkouts[-1])

    def delete(self, life: Life, variation: int) -> None:
        """Delete the customer: plainly, with an external id of null from then on, or with its data replaced."""
        stamp = self._stamp(0)
        self._send("member.deleted", life.made.member())
        changes: Json = {"external_id": None} if variation % 2 else {"email": "gone@anonymized.polar.sh"}
        life.customer.update(deleted_at=stamp, modified_at=stamp, **changes)
        self.truth[life.customer["id"]] = None
        self._send("customer.deleted", life.customer)
        self._state_changed(life)
        for subscription in life.subscriptions:
            subscription.update(status="canceled", ended_at=stamp, modified_at=stamp)
            self._send_about(life, "subscription.revoked", subscription)
        for grant in life.grants:
            _turn(grant, False, stamp)
            self._send_about(life, "benefit_grant.revoked", grant)
        self._state_changed(life)

    # How it is told

    def _state_changed(self, life: Life) -> None:
        self._send("customer.state_changed", _state(life))

    def _send_about(self, life: Life, kind: str, item: Json) -> None:
        self._send(kind, item | {"customer": life.customer})

    def _send(self, kind: str, data: Json) -> None:
        number = len(self.deliveries)
        if not self._ties or number % 3:
            self._seconds += 1
        webhook_id = identifier("delivery", self.namespace, number)
        self.deliveries.append((webhook_id, events.event(kind, self._now(), data).decode()))

    def _now(self) -> dt.datetime:
        return START + dt.timedelta(seconds=self._seconds)

    def _stamp(self, back: int) -> str:
        """Now, or a little earlier: `modified_at` does go backwards at Polar."""
        return instant(self._now() - dt.timedelta(seconds=back))

    def _metadata(self, variation: int) -> Json:
        owned = variation % 4 == 3
        return {"app_user_id": f"{self.namespace}{USERS[variation % len(USERS)]}"} if owned else {}

    def _free_user(self, variation: int) -> str | None:
        """A user id that no living customer has; none for every fourth."""
        taken = {life.user for life in self._lives.values()}
        free = [f"{self.namespace}{user}" for user in USERS if f"{self.namespace}{user}" not in taken]
        return None if variation % 4 == 0 or not free else free[variation % len(free)]


ACTIONS: dict[str, Callable[[World, Life, int], None]] = {
    "subscribe": World.subscribe,
    "change_status": World.change_status,
    "delete": World.delete,
    "link": World.link,
    "add_guest": World.add_guest,
    "buy_once": World.buy_once,
    "refund": World.refund,
    "grant": World.grant,
    "turn_grant": World.turn_grant,
    "check_out": World.check_out,
}


def _turn(grant: Json, granted: bool, stamp: str) -> None:
    grant.update(is_granted=granted, is_revoked=not granted, revoked_at=None if granted else stamp, modified_at=stamp)


def _state(life: Life) -> Json:
    return life.customer | {
        "active_subscriptions": [s for s in life.subscriptions if s["status"] in ("active", "trialing")],
        "granted_benefits": [g for g in life.grants if g["is_granted"]],
        "active_meters": [],
    }


def _as_polar_answers(life: Life) -> Json:
    """What the API answers about a customer that exists."""
    lists = {"subscriptions": life.subscriptions, "orders": life.orders, "grants": life.grants}
    current = {name: [item | {"customer": life.customer} for item in items] for name, items in lists.items()}
    return {"state": _state(life), **current}


def actions() -> st.SearchStrategy[list[Action]]:
    """Short lives of up to three customers."""
    action = st.tuples(st.sampled_from(sorted(ACTIONS)), st.integers(0, SLOTS - 1), st.integers(0, 11))
    return st.lists(action, min_size=2, max_size=14)


@dataclass(frozen=True)
class Disturbance:
    """How deliveries arrive: in what order, which of them again, which never."""

    keys: list[int]
    repeated: list[int]
    dropped: list[int]

    def arrange(self, deliveries: list[Delivery]) -> list[Delivery]:
        """All of them in another order, some again."""
        if not deliveries:
            return []
        count = len(deliveries)
        mixed = deliveries + [deliveries[index % count] for index in self.repeated]
        places = [(self.keys[index % len(self.keys)] * (index + 7919)) % 1009 for index in range(len(mixed))]
        return [
            sent for _, _, sent in sorted(zip(places, range(len(mixed)), mixed, strict=True), key=lambda it: it[:2])
        ]

    def lose(self, deliveries: list[Delivery]) -> list[Delivery]:
        """Those that arrive at all."""
        lost = {index % max(len(deliveries), 1) for index in self.dropped}
        return [sent for index, sent in enumerate(deliveries) if index not in lost]


def disturbances() -> st.SearchStrategy[Disturbance]:
    """Any order, a few repeats, a few losses."""
    some = st.lists(st.integers(0, 200), max_size=12)
    keys = st.lists(st.integers(1, 1008), min_size=1, max_size=9)
    return st.builds(Disturbance, keys, some, some)
