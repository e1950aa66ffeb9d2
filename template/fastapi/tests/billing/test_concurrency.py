"""Several threads and several processes at once: nothing lost, nothing twice."""

import multiprocessing
import random
from collections import Counter
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial

import pytest

from app.billing import repository
from app.billing.background import Background, run_background
from app.billing.inbox import retry_failed, store_and_apply
from app.billing.outbox import run_reactions
from app.billing.reactions import Handlers
from app.billing.time import MINUTE, to_iso
from app.database import Database
from tests.support.deliveries import (
    NOW,
    Delivered,
    apply,
    customer,
    decision_for,
    event,
    grant,
    member,
    order,
    rows_of,
    subscription,
)

WEBHOOKS = "billing_webhook_events"
HANDLERS: Handlers = {
    "subscription_started": lambda payload, delivery: None,
    "order_paid": lambda payload, delivery: None,
    "access_granted": lambda payload, delivery: None,
}


def busy_history() -> list[Delivered]:
    """Return events of few objects, so that they meet; each twice, and in no order."""
    events = []
    for second in range(20):
        for number in range(3):
            buyer = customer(f"c{number}", f"user_{number}")
            events += [
                event("subscription.updated", subscription("pro", f"s{number}", buyer, amount=second), second),
                event("order.updated", order(order_id=f"o{number}", buyer=buyer, total_amount=second), second),
                event("benefit_grant.updated", grant(grant_id=f"g{number}", buyer=buyer, member_id="m0"), second),
                event("member.updated", member("m0", "user_0", "c0", name=str(second)), second + number / 10),
            ]
    events = events * 2
    random.Random(1).shuffle(events)
    return events


def deliver(url: str, events: list[Delivered]) -> list[str]:
    """Apply events in a process of its own."""
    database = Database.from_url(url)
    try:
        return [store_and_apply(database, *delivered, NOW, HANDLERS).value for delivered in events]
    finally:
        database.close()


def deliver_at_once(database: Database, events: list[Delivered], handlers: Handlers) -> list[str]:
    """Apply events from eight threads."""

    def one(delivered: Delivered) -> str:
        webhook_id, body = delivered
        return store_and_apply(database, webhook_id, body, NOW, handlers).value

    with ThreadPoolExecutor(8) as pool:
        return list(pool.map(one, events))


def check(database: Database, outcomes: list[str], events: list[Delivered]) -> None:
    assert Counter(outcomes) == {"processed": len(events) // 2, "repeat": len(events) // 2}
    assert {row["state"] for row in rows_of(database, WEBHOOKS)} == {"processed"}
    assert [row["amount"] for row in rows_of(database, "billing_subscriptions")] == [19] * 3
    assert [row["amount"] for row in rows_of(database, "billing_orders")] == [19] * 3
    assert rows_of(database, "billing_members")[0]["name"] == "19"
    assert len(rows_of(database, "billing_reactions")) == 6


def test_threads_deliver_the_same_and_different_events(database: Database) -> None:
    events = busy_history()
    check(database, deliver_at_once(database, events, HANDLERS), events)


def test_processes_deliver_the_same_and_different_events(database: Database, database_url: str) -> None:
    events = busy_history()
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(2, mp_context=spawn) as pool:
        parts = pool.map(partial(deliver, database_url), [events[::2], events[1::2]])
        outcomes = [outcome for part in parts for outcome in part]
    check(database, outcomes, events)


def test_deletions_meet_other_events_of_the_customer(database: Database) -> None:
    deleted = customer(deleted_at=to_iso(NOW), external_id=None)
    events = [event("subscription.updated", subscription(amount=n), n) for n in range(20)]
    events += [event("customer.deleted", deleted, n) for n in range(10)]
    events += [event("member.updated", member(), n) for n in range(10)]
    assert set(deliver_at_once(database, events, {})) == {"processed"}
    assert not decision_for(database).access
    assert {row["body"] for row in rows_of(database, WEBHOOKS)} == {None}
    assert rows_of(database, "billing_members")[0]["email"] is None


def test_each_reaction_is_run_by_one(database: Database) -> None:
    ran: list[str] = []
    handlers: Handlers = {"order_paid": lambda payload, delivery: ran.append(delivery.key)}
    apply(database, *[event("order.paid", order(order_id=f"o{n}")) for n in range(20)], reactions=handlers)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: run_reactions(database, handlers, NOW, 100), range(4)))
    assert Counter(ran) == {f"order_paid:o{n}": 1 for n in range(20)}


def test_each_failed_event_is_retried_by_one(database: Database) -> None:
    apply(database, *[(f"poison{n}", b"{") for n in range(10)])
    with ThreadPoolExecutor(4) as pool:
        tried = list(pool.map(lambda _: retry_failed(database, NOW + MINUTE, 100, {}), range(4)))
    assert sum(tried) == 10
    assert {row["attempts"] for row in rows_of(database, WEBHOOKS)} == {2}


def test_what_one_has_claimed_the_next_does_not_get(database: Database) -> None:
    apply(database, ("poison", b"{"), event("order.paid", order()), reactions=HANDLERS)
    for claim in (repository.claim_failed_event, partial(repository.claim_reaction, max_attempts=10)):
        claimed = []
        for _ in range(2):
            with database.write() as connection:
                claimed.append(claim(connection, NOW + MINUTE, NOW + 2 * MINUTE))
        assert [row is None for row in claimed] == [False, True]


@pytest.mark.parametrize("workers", [4])
def test_background_work_of_several_processes(database: Database, workers: int) -> None:
    buyers = [customer(f"c{n}", f"user_{n}") for n in range(8)]
    apply(database, *[event("order.paid", order(order_id=f"o{n}", buyer=b)) for n, b in enumerate(buyers)])
    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(lambda _: run_background(Background(database, None, HANDLERS), NOW + MINUTE), range(workers)))
    assert all(row["check_us"] is None for row in rows_of(database, "billing_access"))
