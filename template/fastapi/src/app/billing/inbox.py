"""The webhook inbox: verify, store and apply in one transaction.

What is verified is never refused: an event that cannot be applied is kept and tried again, because Polar switches an
endpoint off when ten events in a row fail.
"""

import json
import logging
import time
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any

from polar.webhooks import (
    PolarWebhookError,
    PolarWebhookUnknownTypeError,
    PolarWebhookVerificationError,
    validate_event,
)
from sqlalchemy import Connection

from app.billing import repository
from app.billing.events import EVENTS
from app.billing.log import error_name, log_line
from app.billing.projections import Event, mentioned_customer, parse_event
from app.billing.reactions import Handlers, reactions_to_event
from app.billing.read import mapping, text
from app.billing.time import HOUR, SECOND
from app.database import Database
from app.reactions import reactions as own_reactions

EVENT_TYPES = frozenset(EVENTS)
MAX_ATTEMPTS = 10
MAX_ERROR_LENGTH = 500


class Outcome(StrEnum):
    """What became of a delivery. All but `refused` (401) and `unavailable` (503) are answered 202."""

    PROCESSED = "processed"
    IGNORED = "ignored"
    FAILED = "failed"
    REPEAT = "repeat"
    REFUSED = "refused"
    UNAVAILABLE = "unavailable"


def receive(
    db: Database,
    secrets: Sequence[str],
    headers: Mapping[str, str],
    body: bytes,
    now: int,
    reactions: Handlers = own_reactions,
) -> Outcome:
    """Verify a delivery, store it and apply it."""
    started = time.perf_counter()
    webhook_id = {name.lower(): value for name, value in headers.items()}.get("webhook-id", "")
    if not verify(secrets, headers, body):
        _log(Outcome.REFUSED, "", {}, started)
        return Outcome.REFUSED
    outcome = store_and_apply(db, webhook_id, body, now, reactions)
    _log(outcome, webhook_id, _payload_or_empty(body), started)
    return outcome


def verify(secrets: Sequence[str], headers: Mapping[str, str], body: bytes) -> bool:
    """Whether Polar signed this, with any of the secrets, not long ago. The SDK knows both of Polar's key schemes."""
    return any(_verified(secret, headers, body) for secret in secrets)


def store_and_apply(
    db: Database, webhook_id: str, body: bytes, now: int, reactions: Handlers = own_reactions, *, again: bool = False
) -> Outcome:
    """Store a verified event and apply it. With `again` one that was applied or ignored before is applied once more."""
    event: Event | None = None
    try:
        event = parse_event(webhook_id, body, json.loads(body))
        with db.write() as connection:
            return apply_event(connection, event, now, reactions, again=again)
    except Exception as error:
        return _store_failed(db, event or _unread(webhook_id, body), error, now)


def apply_event(
    connection: Connection, event: Event, now: int, reactions: Handlers = own_reactions, *, again: bool = False
) -> Outcome:
    """Apply an event within a transaction; a repeat changes nothing."""
    outcome = Outcome.PROCESSED if event.projection else Outcome.IGNORED
    if event.customer_id:
        repository.lock_customer(connection, event.customer_id)
    if not repository.store_event(connection, event, outcome.value, now, again=again):
        return Outcome.REPEAT
    if event.projection:
        _project(connection, event, now, reactions)
    if event.customer_id:
        repository.forget_deleted_customer(connection, event.customer_id)
    return outcome


def replay(db: Database, webhook_id: str, now: int, reactions: Handlers | None = None) -> Outcome | None:
    """Apply a stored event once more, without reactions unless given. None: unknown, or its body was emptied."""
    with db.read() as connection:
        stored = repository.stored_event(connection, webhook_id)
    if stored is None or stored.body is None:
        return None
    return store_and_apply(db, webhook_id, stored.body, now, reactions or {}, again=True)


def retry_failed(db: Database, now: int, limit: int, reactions: Handlers = own_reactions) -> int:
    """Try failed events again that are due. Each is leased for a minute, so that no two processes try the same."""
    for count in range(limit):
        with db.write() as connection:
            failed = repository.claim_failed_event(connection, now, now + 60 * SECOND)
        if failed is None:
            return count
        outcome = store_and_apply(db, failed.webhook_id, failed.body or b"", now, reactions)
        log_line("webhook_retry", webhook_id=failed.webhook_id, outcome=outcome.value)
    return limit


def retry_all(db: Database, now: int, reactions: Handlers = own_reactions) -> dict[str, Outcome]:
    """Try all events again that could not be applied, due or not, dead ones too: once their cause is gone."""
    with db.read() as connection:
        waiting = repository.unapplied_events(connection)
    outcomes = {}
    for webhook_id in waiting:
        with db.read() as connection:
            stored = repository.stored_event(connection, webhook_id)
        if stored is not None:
            outcomes[webhook_id] = store_and_apply(db, webhook_id, stored.body or b"", now, reactions)
    return outcomes


def back_off(attempts: int) -> int:
    """Return how long to wait after this many attempts: 30 s, doubled each time, an hour at most."""
    return min(30 * SECOND << min(attempts - 1, 20), HOUR)


def _verified(secret: str, headers: Mapping[str, str], body: bytes) -> bool:
    try:
        body.decode()
        validate_event(body, dict(headers), secret, EVENT_TYPES, lambda payload: payload)
    except PolarWebhookUnknownTypeError:
        return True  # raised after the signature was found right
    except (UnicodeDecodeError, PolarWebhookVerificationError):
        return False
    except (PolarWebhookError, RecursionError):
        return True  # signed, but no JSON
    return True


def _project(connection: Connection, event: Event, now: int, reactions: Handlers) -> None:
    if event.customer:
        repository.identify_customer(connection, event.customer)
    if event.member:
        repository.identify_member(connection, event.member)
    moved = repository.upsert_projection(connection, event)
    if moved and event.projection in {"subscription", "order"}:
        user_id = event.row["app_user_id"] or repository.external_id_of(connection, event.row["customer_id"])
        wanted = [reaction for reaction in reactions_to_event(event, user_id) if reaction.name in reactions]
        repository.add_reactions(connection, wanted, now)
    if event.projection not in {"checkout", "customer_state"}:
        repository.check_access_of(connection, repository.users_of_event(connection, event), now)


def _store_failed(db: Database, event: Event, error: Exception, now: int) -> Outcome:
    """Keep what could not be applied, as it came."""
    failure = {
        "webhook_id": event.webhook_id,
        "type": event.type,
        "version": event.version,
        "customer_id": event.customer_id,
        "body": event.body,
        "error": _describe(error),
    }
    try:
        with db.write() as connection:
            attempts = repository.store_failure(connection, failure, now)
            if attempts is None:
                return Outcome.REPEAT
            dead = attempts >= MAX_ATTEMPTS
            again_at = None if dead else now + back_off(attempts)
            repository.schedule_event(connection, event.webhook_id, "dead" if dead else "failed", again_at)
    except Exception as second:
        log_line("webhook_store_failed", level=logging.ERROR, webhook_id=event.webhook_id, error=error_name(second))
        return Outcome.UNAVAILABLE
    log_line("webhook_failed", level=logging.ERROR, webhook_id=event.webhook_id, error=error_name(error), dead=dead)
    return Outcome.FAILED


def _describe(error: Exception) -> str:
    """Name an error without the data that a database's message would repeat."""
    cause = getattr(error, "orig", None)
    if cause is not None:
        return f"{type(error).__name__}: {type(cause).__name__}"
    return f"{type(error).__name__}: {error}"[:MAX_ERROR_LENGTH]


def _unread(webhook_id: str, body: bytes) -> Event:
    payload = _payload_or_empty(body)
    kind = text(payload, "type") or ""
    customer_id = mentioned_customer(kind, mapping(payload, "data"))
    return Event(webhook_id=webhook_id, type=kind, body=body, customer_id=customer_id)


def _payload_or_empty(body: bytes) -> dict[str, Any]:
    try:
        payload = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return payload if isinstance(payload, dict) else {}


def _log(outcome: Outcome, webhook_id: str, payload: dict[str, Any], started: float) -> None:
    kind = text(payload, "type") or ""
    log_line(
        "webhook",
        level=logging.ERROR if outcome == Outcome.UNAVAILABLE else logging.INFO,
        webhook_id=webhook_id,
        type=kind,
        outcome=outcome.value,
        duration_ms=round((time.perf_counter() - started) * 1000, 2),
        customer_id=mentioned_customer(kind, mapping(payload, "data")),
    )
