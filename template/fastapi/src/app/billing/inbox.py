"""The webhook inbox: verify, store and apply in one transaction.

What is verified is never refused: an event that cannot be applied is kept and tried again, because Polar switches an
endpoint off when ten events in a row fail.
"""

import json
import logging
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from polar.webhooks import (
    PolarWebhookError,
    PolarWebhookVerificationError,
    validate_event,
)
from sqlalchemy import Connection

from app.billing import repository
from app.billing.compare_access import settle_access
from app.billing.dialect import DriverError
from app.billing.events import EVENTS
from app.billing.log import error_name, log_line
from app.billing.projections import Event, mentioned_customer, parse_event
from app.billing.reactions import Handlers, Reaction, reactions_to_event
from app.billing.read import mapping, text
from app.billing.repository import Repeated
from app.billing.time import HOUR, SECOND
from app.database import Database

EVENT_TYPES = frozenset(EVENTS)
MAX_ATTEMPTS = 10
MAX_ERROR_LENGTH = 500
TOLERANCE_SECONDS = 5 * 60  # the SDK's


class Outcome(StrEnum):
    """What became of a delivery. All but `refused` (401) and `unavailable` (503) are answered 202."""

    PROCESSED = "processed"
    IGNORED = "ignored"
    FAILED = "failed"
    REPEAT = "repeat"
    REFUSED = "refused"
    UNAVAILABLE = "unavailable"


def may_be_signed(headers: Mapping[str, str]) -> bool:
    """Whether headers look like a signature of now: all that can be known before the body is read."""
    try:
        age = time.time() - float(headers.get("webhook-timestamp", ""))
    except ValueError:
        age = math.inf
    named = headers.get("webhook-id") and "," in headers.get("webhook-signature", "")
    if named and abs(age) <= TOLERANCE_SECONDS:
        return True
    _log(Outcome.REFUSED, "", {}, time.perf_counter())
    return False


def receive(
    db: Database, secrets: Sequence[str], headers: Mapping[str, str], body: bytes, now: int, reactions: Handlers
) -> Outcome:
    """Verify a delivery, store it and apply it."""
    started = time.perf_counter()
    webhook_id = {name.lower(): value for name, value in headers.items()}.get("webhook-id", "")
    signed = next((signed for secret in secrets if (signed := _open(secret, headers, body))), None)
    if signed is None:
        _log(Outcome.REFUSED, "", {}, started)
        return Outcome.REFUSED
    outcome = _store_and_apply(db, webhook_id, body, signed.payload, now, reactions)
    payload = _payload_or_empty(body) if signed.payload is None else signed.payload
    _log(outcome, webhook_id, payload, started)
    return outcome


def store_and_apply(db: Database, webhook_id: str, body: bytes, now: int, reactions: Handlers) -> Outcome:
    """Store a verified event and apply it."""
    return _store_and_apply(db, webhook_id, body, None, now, reactions)


def apply_event(connection: Connection, event: Event, now: int, reactions: Handlers, *, again: bool = False) -> Outcome:
    """Apply an event within a transaction. Raises Repeated for a repeat, unless it is to be applied `again`."""
    outcome = Outcome.PROCESSED if event.projection else Outcome.IGNORED
    wanted = _wanted(event, event.row.get("app_user_id"), reactions)
    is_gone = repository.apply_event(connection, event, outcome.value, now, wanted, again=again)
    if event.customer_id and event.projection in {"customer", "member"}:
        users = repository.users_of_customer(connection, event.customer_id)
        repository.check_access_of(connection, users, now)
    if event.customer_id and (is_gone or event.customer is None):
        repository.forget_deleted_customer(connection, event.customer_id)
    if event.customer_id and event.projection == "member":
        repository.forget_erased_members(connection, event.customer_id)
    return outcome


def replay(db: Database, webhook_id: str, now: int, reactions: Handlers | None = None) -> Outcome | None:
    """Apply a stored event once more, without reactions unless given. None: its body was emptied, or it is unknown.

    One that was applied before and cannot be now stays as it was.
    """
    with db.read() as connection:
        stored = repository.stored_event(connection, webhook_id)
    if stored is None or stored.body is None:
        return None
    event: Event | None = None
    try:
        event = parse_event(webhook_id, stored.body, json.loads(stored.body))
        with db.write() as connection:
            return _apply_again(connection, event, now, reactions)
    except Exception as error:
        outcome = _store_failed(db, event or _unread(webhook_id, stored.body), error, now)
        return Outcome.FAILED if outcome is Outcome.REPEAT else outcome


def retry_failed(db: Database, now: int, limit: int, reactions: Handlers) -> int:
    """Try failed events again that are due. Each is leased for a minute, so that no two processes try the same."""
    for count in range(limit):
        with db.write() as connection:
            failed = repository.claim_failed_event(connection, now, now + 60 * SECOND)
        if failed is None:
            return count
        outcome = store_and_apply(db, failed.webhook_id, failed.body or b"", now, reactions)
        log_line("webhook_retry", webhook_id=failed.webhook_id, outcome=outcome.value)
    return limit


def back_off(attempts: int) -> int:
    """Return how long to wait after this many attempts: 30 s, doubled each time, an hour at most."""
    return min(30 * SECOND << min(attempts - 1, 20), HOUR)


@dataclass(frozen=True)
class _Signed:
    """A body that Polar signed; the payload is None where it is of a type unknown to us, or no JSON."""

    payload: dict[str, Any] | None


def _open(secret: str, headers: Mapping[str, str], body: bytes) -> _Signed | None:
    """Return what Polar signed with this secret not long ago. The SDK knows both of Polar's key schemes."""
    try:
        body.decode()
        return validate_event(body, dict(headers), secret, EVENT_TYPES, _Signed)
    except (UnicodeDecodeError, PolarWebhookVerificationError):
        return None
    except (PolarWebhookError, RecursionError):
        return _Signed(None)  # raised after the signature was found right


def _store_and_apply(
    db: Database,
    webhook_id: str,
    body: bytes,
    payload: dict[str, Any] | None,
    now: int,
    reactions: Handlers,
) -> Outcome:
    event: Event | None = None
    try:
        event = parse_event(webhook_id, body, json.loads(body) if payload is None else payload)
        with db.write() as connection:
            return apply_event(connection, event, now, reactions)
    except Repeated:
        return Outcome.REPEAT
    except Exception as error:
        return _store_failed(db, event or _unread(webhook_id, body), error, now)


def _wanted(event: Event, user_id: str | None, handlers: Handlers) -> list[Reaction]:
    return [reaction for reaction in reactions_to_event(event, user_id) if reaction.name in handlers]


def _apply_again(connection: Connection, event: Event, now: int, reactions: Handlers | None) -> Outcome:
    """Apply an event once more. Without reactions its users' access is settled here, unless events of others wait."""
    if event.customer_id is None:
        return apply_event(connection, event, now, reactions or {}, again=True)
    repository.lock_customer(connection, event.customer_id)
    # Those whom it names too: the customer may be unknown until it is applied.
    named = {event.row.get("app_user_id"), *(who.external_id for who in (event.customer, event.member) if who)}
    users = repository.users_of_customer(connection, event.customer_id) | {user for user in named if user}
    waiting = repository.users_to_check(connection, users, now)
    outcome = apply_event(connection, event, now, reactions or {}, again=True)
    if reactions is None:
        settle_access(connection, repository.users_of_customer(connection, event.customer_id) - waiting, now, {})
    elif event.projection and repository.is_newest(connection, event):
        # It may be what the row shows already, and then moved nothing; a key that was written is not written again.
        user_id = event.row.get("app_user_id") or repository.external_id_of(connection, event.customer_id)
        repository.add_reactions(connection, _wanted(event, user_id, reactions), now)
    return outcome


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
    if isinstance(error, DriverError):
        return type(error).__name__
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
