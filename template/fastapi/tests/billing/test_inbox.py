"""Every verified delivery is stored, applied once, and never blocks the next."""

import json
from collections.abc import Callable, Generator
from contextlib import contextmanager

import pytest
from sqlalchemy import Connection, text

from app.billing import compare_access, repository
from app.billing.background import Background, run_background
from app.billing.dialect import Step
from app.billing.events import EVENTS
from app.billing.inbox import Outcome, receive, replay, retry_failed, store_and_apply
from app.billing.projections import Event
from app.billing.time import HOUR, MINUTE, SECOND
from app.database import Database
from tests.support import deliveries
from tests.support.deliveries import CATALOG, NOW, Json, apply, customer, decision_for, event, rows_of, subscription
from tests.support.sign import SECRET, signed

DATA: dict[str, Callable[[], Json]] = {
    "checkout": deliveries.checkout,
    "customer": customer,
    "customer_state": deliveries.state,
    "member": deliveries.member,
    "order": deliveries.order,
    "subscription": subscription,
    "benefit_grant": deliveries.grant,
}
TABLES = {name: f"billing_{name}s" for name in DATA}
INBOX = "billing_webhook_events"


def stored(database: Database) -> Json:
    """Return the only row of the inbox."""
    (row,) = rows_of(database, INBOX)
    return row


@pytest.mark.parametrize("kind", EVENTS)
def test_every_type_of_event(database: Database, kind: str) -> None:
    projection = EVENTS[kind]
    data = DATA[projection]() if projection else {"id": "x1", "customer_id": "c1"}
    webhook_id, body = event(kind, data)
    outcome = receive(database, [SECRET], signed(webhook_id, body), body, NOW, {})
    assert outcome == ("processed" if projection else "ignored")
    assert stored(database)["state"] == outcome
    if projection:
        (row,) = rows_of(database, TABLES[projection])
        assert (row["version"], row["webhook_id"]) == (NOW, webhook_id)


def test_a_type_that_is_too_new_is_kept_for_later(database: Database) -> None:
    webhook_id, body = event("dispute.created", {"id": "d1"})
    assert receive(database, [SECRET], signed(webhook_id, body), body, NOW, {}) is Outcome.IGNORED
    assert stored(database)["body"] == body
    assert stored(database)["type"] == "dispute.created"


def test_a_body_without_api_version_is_read(database: Database) -> None:
    webhook_id, body = event("customer.created", customer())
    payload = json.loads(body)
    del payload["api_version"]
    assert apply(database, (webhook_id, json.dumps(payload).encode())) == [Outcome.PROCESSED]


@pytest.mark.parametrize(("kind", "first"), [("subscription.active", "processed"), ("refund.created", "ignored")])
def test_a_repeat_changes_nothing(database: Database, kind: str, first: str) -> None:
    delivered = event(kind, subscription())
    assert apply(database, delivered) == [first]
    before = rows_of(database, INBOX)
    assert apply(database, delivered, delivered, now=NOW + HOUR) == [Outcome.REPEAT, Outcome.REPEAT]
    assert rows_of(database, INBOX) == before


def test_only_what_is_used_is_needed(database: Database) -> None:
    bare = {"id": "s1", "customer_id": "c1", "status": "brand_new_status", "amount": 10**30, "seats": True}
    assert apply(database, event("subscription.updated", bare)) == [Outcome.PROCESSED]
    (row,) = rows_of(database, "billing_subscriptions")
    assert (row["status"], row["amount"], row["seats"]) == ("brand_new_status", None, None)


def test_texts_that_no_database_takes_are_cut(database: Database) -> None:
    odd = customer(name="A\x00da \ud800!", email="a\x00@example.com")
    assert apply(database, event("customer.created", odd)) == [Outcome.PROCESSED]
    (row,) = rows_of(database, "billing_customers")
    assert (row["name"], row["email"]) == ("Ada !", "a@example.com")


POISON = [
    b"not json",
    b"[]",
    b"null",
    b"[" * 50_000,
    b'{"type":"subscription.updated"}',
    b'{"type":"subscription.updated","data":[]}',
    event("subscription.updated", {"id": "s1", "status": "active"})[1],
    event("subscription.updated", {"customer_id": "c1", "status": "active"})[1],
    event("customer.state_changed", customer())[1],
    event("benefit_grant.created", deliveries.grant() | {"benefit_id": None})[1],
    event("order.paid", deliveries.order())[1].replace(b'"timestamp"', b'"stamp"'),
]


@pytest.mark.parametrize("end", ["yesterday", "1699999999", 1699999999, True, "2026-11-01", "2026-11-01T00:00:00"])
def test_a_malformed_end_of_a_period_is_no_access_without_end(database: Database, end: object) -> None:
    apply(database, event("subscription.active", subscription()))
    before = decision_for(database)
    odd = event("subscription.updated", subscription(current_period_end=end), second=1)
    assert apply(database, odd) == [Outcome.FAILED]
    assert decision_for(database) == before


@pytest.mark.parametrize("body", POISON, ids=range(len(POISON)))
def test_poison_is_kept_and_blocks_nothing(database: Database, body: bytes) -> None:
    assert receive(database, [SECRET], signed("poison", body), body, NOW, {}) in {Outcome.FAILED, Outcome.IGNORED}
    assert stored(database)["body"] == body
    assert apply(database, event("subscription.active", subscription())) == [Outcome.PROCESSED]
    assert decision_for(database).access


def test_a_failed_event_is_tried_ten_times_with_growing_pauses(database: Database) -> None:
    apply(database, ("poison", b"{"))
    assert stored(database)["next_attempt_us"] == NOW + 30 * SECOND
    pauses, now = [], NOW
    while stored(database)["state"] == "failed":
        due = stored(database)["next_attempt_us"]
        pauses.append((due - now) // SECOND)
        assert retry_failed(database, due - 1, 10, {}) == 0
        now = due
        assert retry_failed(database, now, 10, {}) == 1
    assert pauses == [30, 60, 120, 240, 480, 960, 1920, 3600, 3600]
    row = stored(database)
    assert (row["state"], row["attempts"], row["next_attempt_us"], row["body"]) == ("dead", 10, None, b"{")
    assert retry_failed(database, now + 90 * HOUR, 10, {}) == 0


def broken(monkeypatch: pytest.MonkeyPatch, name: str = "upsert_projection") -> None:
    """Let a statement fail."""

    def fail(_event: Event) -> Step:
        return Step("moved", ("", ""), 'DELETE FROM "c1@example.com" RETURNING 1', [])

    monkeypatch.setattr(repository, name, fail)


def test_what_the_database_refuses_is_rolled_back_and_stored_raw(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    delivered = event("subscription.active", subscription())
    with monkeypatch.context() as patched:
        broken(patched)
        assert apply(database, delivered) == [Outcome.FAILED]
    assert rows_of(database, "billing_customers") == []  # identified before the failure, and rolled back
    row = stored(database)
    assert (row["state"], row["attempts"], row["body"], row["customer_id"]) == ("failed", 1, delivered[1], "c1")
    run_background(Background(database, None, {}), NOW + MINUTE)
    assert stored(database)["state"] == "processed"
    assert stored(database)["error"] is None
    assert decision_for(database).access


@pytest.mark.parametrize("state", ["failed", "dead"])
def test_a_repeat_of_a_failed_event_is_processed_again(
    database: Database, monkeypatch: pytest.MonkeyPatch, state: str
) -> None:
    delivered = event("subscription.active", subscription())
    with monkeypatch.context() as patched:
        broken(patched)
        apply(database, *[delivered] * (10 if state == "dead" else 1))
    assert stored(database)["state"] == state
    assert apply(database, delivered) == [Outcome.PROCESSED]
    assert decision_for(database).access


def test_an_error_text_repeats_no_data(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    broken(monkeypatch)
    apply(database, event("subscription.active", subscription()))
    assert "example.com" not in stored(database)["error"]


def test_when_nothing_can_be_stored_polar_must_send_it_again(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    @contextmanager
    def unreachable() -> Generator[Connection]:
        raise OSError("gone")
        yield

    delivered = event("subscription.active", subscription())
    with monkeypatch.context() as patched:
        patched.setattr(database, "write", unreachable)
        assert store_and_apply(database, *delivered, NOW, {}) is Outcome.UNAVAILABLE
    assert apply(database, delivered) == [Outcome.PROCESSED]


def test_replay_applies_a_stored_event_again(database: Database) -> None:
    webhook_id, body = event("subscription.active", subscription())
    apply(database, (webhook_id, body))
    with database.write() as connection:
        connection.execute(text("DELETE FROM billing_subscriptions"))
    assert replay(database, webhook_id, NOW) is Outcome.PROCESSED
    assert decision_for(database).access
    assert replay(database, "unknown", NOW) is None
    assert rows_of(database, "billing_reactions") == []


def test_replay_tells_nobody_of_access_also_not_later(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compare_access, "own_catalog", CATALOG)
    webhook_id, _ = delivered = event("subscription.active", subscription())
    apply(database, delivered)
    with database.write() as connection:
        connection.execute(text("DELETE FROM billing_access"))
    replay(database, webhook_id, NOW)
    (access,) = rows_of(database, "billing_access")
    assert (access["access"], access["changes"], access["check_us"] > NOW) == (True, 1, True)


def test_replay_leaves_users_whom_an_event_waits_for(database: Database) -> None:
    webhook_id, _ = delivered = event("subscription.active", subscription())
    apply(database, delivered)
    replay(database, webhook_id, NOW)
    (access,) = rows_of(database, "billing_access")
    assert (access["access"], access["check_us"]) == (False, NOW)


def test_replay_with_reactions_writes_those_that_were_not_written(database: Database) -> None:
    webhook_id, _ = delivered = event("order.paid", deliveries.order())
    apply(database, delivered)
    for _ in range(2):
        replay(database, webhook_id, NOW, {"order_paid": lambda payload, delivery: None})
        assert [row["key"] for row in rows_of(database, "billing_reactions")] == ["order_paid:o1"]


def test_what_was_applied_and_cannot_be_replayed_stays_as_it_was(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    webhook_id, _ = delivered = event("subscription.active", subscription())
    apply(database, delivered)
    before = stored(database)
    monkeypatch.setattr(repository, "apply_event", None)
    assert replay(database, webhook_id, NOW) is Outcome.FAILED
    assert stored(database) == before
