"""Webhook handlers to compare a generated FastAPI app with, on its server, its tables and its connections.

Served by `serving.py`, with the Python of a generated project.

plain: the writes of the app for such an event, one statement and one commit at a time.
bare: the signature, and one insert.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any

from app.billing.dialect import Insert, insert
from app.billing.events import EVENTS
from app.billing.projections import Event, parse_event
from app.billing.reactions import reactions_to_event
from app.billing.repository import PROJECTIONS
from app.billing.tables import access_states, customers, reactions, webhook_events
from app.database import Database
from fastapi import FastAPI, HTTPException, Request
from fastapi.concurrency import run_in_threadpool
from polar.webhooks import PolarWebhookVerificationError, validate_event
from sqlalchemy import Table, func, select

EVENT_TYPES = frozenset(EVENTS)
Write = tuple[Table, Mapping[str, Any]]
Store = Callable[[Database, Mapping[str, str], bytes, Any], None]


def create_plain() -> FastAPI:
    """Make the app of the plain handler."""
    return _create(_store_plainly)


def create_bare() -> FastAPI:
    """Make the app of the bare handler."""
    return _create(_store_barely)


def _create(store: Store) -> FastAPI:
    app = FastAPI()
    db, secret = Database.from_url(os.environ["DATABASE_URL"]), os.environ["POLAR_WEBHOOK_SECRET"]

    @app.get("/healthz")
    def healthz() -> dict[str, int]:
        with db.read() as connection:
            return {"events": connection.scalar(select(func.count()).select_from(webhook_events)) or 0}

    def receive(headers: Mapping[str, str], body: bytes) -> None:
        store(db, headers, body, validate_event(body, dict(headers), secret, EVENT_TYPES, lambda payload: payload))

    @app.post("/webhooks/polar", status_code=202)
    async def polar_webhook(request: Request) -> dict[str, bool]:
        try:
            await run_in_threadpool(receive, request.headers, await request.body())
        except PolarWebhookVerificationError as error:
            raise HTTPException(status_code=403) from error
        return {"received": True}

    return app


def _store_barely(db: Database, headers: Mapping[str, str], body: bytes, payload: Any) -> None:
    now = time.time_ns() // 1000
    customer_id = payload["data"]["customer_id"]
    with db.write() as connection:
        connection.execute(_BARE, _event_row(headers["webhook-id"], payload["type"], customer_id, body, now))


def _store_plainly(db: Database, headers: Mapping[str, str], body: bytes, payload: Any) -> None:
    now = time.time_ns() // 1000
    for table, row in _writes(parse_event(headers["webhook-id"], body, payload), now):
        with db.write() as connection:
            connection.execute(_upsert(table, tuple(row)), row)


def _writes(event: Event, now: int) -> Iterator[Write]:
    """The rows that the app writes for an event of a subscription or an order."""
    assert event.customer
    assert event.projection
    user_id = event.row["app_user_id"]
    yield webhook_events, _event_row(event.webhook_id, event.type, event.customer_id, event.body, now)
    yield customers, {"id": event.customer.id, "external_id": event.customer.external_id}
    version = {"version": event.version, "modified_us": event.modified_us, "webhook_id": event.webhook_id}
    yield PROJECTIONS[event.projection], event.row | version
    for reaction in reactions_to_event(event, user_id):
        yield (
            reactions,
            {
                "key": reaction.key,
                "reaction": reaction.name,
                "object_id": reaction.object_id,
                "user_id": reaction.user_id,
                "payload": reaction.payload_json(),
                "state": "pending",
                "next_attempt_us": now,
                "created_us": now,
            },
        )
    yield access_states, {"user_id": user_id, "check_us": now}


def _event_row(webhook_id: str, kind: str, customer_id: str | None, body: bytes, now: int) -> Mapping[str, Any]:
    return {
        "webhook_id": webhook_id,
        "type": kind,
        "state": "processed",
        "customer_id": customer_id,
        "body": body,
        "received_us": now,
        "processed_us": now,
    }


@cache
def _upsert(table: Table, names: tuple[str, ...]) -> Insert:
    (key,) = table.primary_key.columns
    statement = insert(table)
    if table is reactions:
        return statement.on_conflict_do_nothing(index_elements=[key.name])
    changes = {name: statement.excluded[name] for name in names if name != key.name}
    return statement.on_conflict_do_update(index_elements=[key.name], set_=changes)


_BARE = insert(webhook_events)
