"""Runs reactions: leased, so that one process at a time tries each; again after a failure, with growing pauses."""

import json
import logging
import time
from functools import partial

from app.billing import records, repository
from app.billing.inbox import MAX_ATTEMPTS, back_off
from app.billing.log import error_name, log_line
from app.billing.reactions import Delivery, Handlers, handler_of
from app.billing.read import Json
from app.billing.time import MINUTE
from app.database import Database

LEASE = MINUTE
MAX_ERROR_LENGTH = 500


def run_reactions(db: Database, handlers: Handlers, now: int, limit: int) -> int:
    """Run reactions that are due; a handler that fails touches nothing but its own row."""
    started = time.monotonic_ns()
    for count in range(limit):
        moment = now + (time.monotonic_ns() - started) // 1000  # handlers take time, and a lease counts from its claim
        with db.write() as connection:
            claimed = repository.claim_reaction(connection, moment, moment + LEASE)
        if claimed is None:
            return count
        payload = {**json.loads(claimed.payload), "user_id": claimed.user_id}
        delivery = Delivery(claimed.key, claimed.attempts, partial(_email, db, payload))
        error = _run(handlers, claimed.reaction, payload, delivery)
        with db.write() as connection:
            values = _done(moment) if error is None else _failed(error, claimed.attempts, moment)
            repository.finish_reaction(connection, claimed.key, claimed.attempts, values)
    return limit


def _run(handlers: Handlers, name: str, payload: Json, delivery: Delivery) -> str | None:
    """Run the handler and return what went wrong."""
    handler = handler_of(handlers, name)
    if handler is None:
        return None  # removed since: nobody wants to know
    if delivery.attempt > MAX_ATTEMPTS:
        return "ended ten times with its process"
    try:
        handler(payload, delivery)
    except Exception as error:
        log_line(
            "reaction_failed", level=logging.ERROR, key=delivery.key, attempt=delivery.attempt, error=error_name(error)
        )
        return f"{type(error).__name__}: {error}"[:MAX_ERROR_LENGTH].replace("\x00", "")
    return None


def _email(db: Database, payload: Json) -> str | None:
    with db.read() as connection:
        return records.email_of(connection, payload.get("customer_id"), payload.get("user_id"))


def _done(moment: int) -> dict[str, object]:
    return {"state": "done", "done_us": moment, "next_attempt_us": None, "error": None}


def _failed(error: str, attempts: int, moment: int) -> dict[str, object]:
    dead = attempts >= MAX_ATTEMPTS
    return {
        "state": "dead" if dead else "pending",
        "next_attempt_us": None if dead else moment + back_off(attempts),
        "error": error,
    }
