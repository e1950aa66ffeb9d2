"""What your own code can react to.

Keys come from the state, not from the event: a transition fires once, even where its own event was lost, came twice or
came late. Handlers run at least once, in the background; the key tells a repeat.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypedDict, cast

from app.billing.catalog import catalog
from app.billing.policy import Decision
from app.billing.projections import Event, Row
from app.billing.shapes import OrderJson, SubscriptionJson, order_shape, subscription_shape

_encode = json.JSONEncoder(separators=(",", ":")).encode

STARTED = frozenset({"active", "trialing"})
ENDED = frozenset({"canceled", "unpaid"})
PAID = frozenset({"paid", "partially_refunded", "refunded"})
REFUNDED = frozenset({"partially_refunded", "refunded"})


class SubscriptionPayload(SubscriptionJson):
    """A subscription, and whose it is; `user_id` is None while the customer is not linked to a user."""

    user_id: str | None
    customer_id: str


class OrderPayload(OrderJson):
    """An order, and whose it is; `user_id` is None while the customer is not linked to a user."""

    user_id: str | None
    customer_id: str


class AccessPayload(TypedDict):
    """What a user may use now, as GET /billing/access says it."""

    user_id: str
    access: bool
    reason: str
    until: str | None
    products: list[dict[str, str | None]]
    benefits: list[dict[str, str | None]]


@dataclass(frozen=True)
class Delivery:
    """One attempt at a reaction. Pass the key on as idempotency key: it is the same in every attempt.

    `email()` looks up the e-mail address of the customer, or None: it is not in the payload, since that is kept longer.
    """

    key: str
    attempt: int
    email: Callable[[], str | None] = field(default=lambda: None, compare=False)


class Handlers(TypedDict, total=False):
    """One handler for each reaction; a reaction without one is not written."""

    access_granted: Callable[[AccessPayload, Delivery], None]
    access_ended: Callable[[AccessPayload, Delivery], None]
    subscription_started: Callable[[SubscriptionPayload, Delivery], None]
    subscription_cancellation_scheduled: Callable[[SubscriptionPayload, Delivery], None]
    subscription_ended: Callable[[SubscriptionPayload, Delivery], None]
    payment_failed: Callable[[SubscriptionPayload, Delivery], None]
    order_paid: Callable[[OrderPayload, Delivery], None]
    order_refunded: Callable[[OrderPayload, Delivery], None]


@dataclass(frozen=True)
class Reaction:
    """A reaction to be written to the outbox; its payload is what handlers get beside the user's id."""

    name: str
    object_id: str
    transition: str | None
    user_id: str | None
    payload: Mapping[str, Any]

    @property
    def key(self) -> str:
        """Return what tells this transition from every other."""
        return ":".join(part for part in (self.name, self.object_id, self.transition) if part is not None)

    def payload_json(self) -> str:
        """Return the payload as it is stored."""
        return _encode(self.payload)


def handler_of(handlers: Handlers, name: str) -> Callable[[Any, Delivery], None] | None:
    """Return the handler of a reaction."""
    return cast(Mapping[str, Callable[[Any, Delivery], None]], handlers).get(name)


def reactions_to_event(event: Event, user_id: str | None) -> list[Reaction]:
    """Return the reactions that an applied event calls for."""
    if event.projection == "subscription":
        return reactions_to_subscription(event.row, user_id)
    if event.projection == "order":
        return reactions_to_order(event.row, user_id)
    return []


def reactions_to_subscription(row: Row, user_id: str | None) -> list[Reaction]:
    """Return the reactions that the state of a subscription calls for."""
    payload = {"customer_id": row["customer_id"], **subscription_shape(row, catalog)}
    return [Reaction(name, row["id"], moment, user_id, payload) for name, moment in _subscription_transitions(row)]


def reactions_to_order(row: Row, user_id: str | None) -> list[Reaction]:
    """Return the reactions that the state of an order calls for."""
    payload = {"customer_id": row["customer_id"], **order_shape(row, catalog)}
    return [Reaction(name, row["id"], moment, user_id, payload) for name, moment in _order_transitions(row)]


def reaction_to_access(user_id: str, decision: Decision, changes: int) -> Reaction:
    """Return the reaction to a change of access; `changes` counts them."""
    name = "access_granted" if decision.access else "access_ended"
    return Reaction(name, user_id, str(changes), user_id, decision.to_json())


def _subscription_transitions(row: Row) -> Iterator[tuple[str, str | None]]:
    status = row["status"]
    if status in STARTED:
        yield "subscription_started", None
    if status == "past_due":
        yield "payment_failed", str(row["past_due_us"] or row["current_period_start_us"] or 0)
    if row["cancel_at_period_end"] and row["ended_us"] is None:
        yield "subscription_cancellation_scheduled", str(row["canceled_us"] or 0)
    if status in ENDED and row["ended_us"] is not None:
        yield "subscription_ended", str(row["ended_us"])


def _order_transitions(row: Row) -> Iterator[tuple[str, str | None]]:
    if row["status"] in PAID:
        yield "order_paid", None
    if row["status"] in REFUNDED:
        yield "order_refunded", str(row["refunded_amount"])
