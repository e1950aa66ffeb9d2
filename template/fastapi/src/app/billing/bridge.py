"""`python -m app.billing.bridge`: what the `billing` tool asks for, and only this app can do.

A request is a line of JSON on stdin, its answer one on stdout. No secret is in any answer.
"""

import os
import sys
from typing import Any, TextIO

STREAMS = (os.fdopen(os.dup(0), encoding="utf-8"), os.fdopen(os.dup(1), "w")) if __name__ == "__main__" else None
if STREAMS is not None:  # kept for the tool: what any other code prints goes to stderr
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)
    sys.stdout = sys.stderr

import asyncio
import inspect
import json
from contextlib import suppress
from dataclasses import asdict, replace
from decimal import Decimal
from functools import cached_property

import httpx
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from app import cli, main, migrate, settings
from app.auth.user import User
from app.billing import catalog, choices, dialect, events, inbox, polar_sdk, policy, policy_table, reconcile, tables
from app.billing.access import access_of
from app.billing.context import Billing
from app.billing.errors import BillingError
from app.billing.log import error_name
from app.billing.polar import PolarApiError, PolarNotFound
from app.billing.projections import parse_event
from app.billing.read import Json, Unreadable
from app.billing.require_access import not_found
from app.billing.time import DAY
from app.reactions import reactions as own_reactions


class Bridge:
    """The operations of the protocol, a method each. Where the settings are invalid, only some work."""

    @cached_property
    def _billing(self) -> Billing:
        return main.make_billing(settings.load_settings())

    @cached_property
    def _app(self) -> FastAPI:
        return main.create_app(billing=self._billing, background=False)

    def facts(self) -> Json:
        """Say what the project is, whatever state its settings and its database are in."""
        return {
            "runtime": "fastapi",
            "database": dialect.DIALECT.name.removesuffix("ql"),
            "api_version": polar_sdk.API_VERSION,
            "earliest_removal": polar_sdk.EARLIEST_REMOVAL,
            "premium_path": choices.PREMIUM_PATH,
            "grace_days": policy_table.PAST_DUE_GRACE // DAY,
            "catalogue": asdict(catalog.catalog),
            "events": events.EVENTS,
            "tables": {
                name: {"columns": table.columns.keys(), "indexes": [index.columns.keys() for index in table.indexes]}
                for name, table in tables.metadata.tables.items()
            },
            **settings.describe(),
        }

    def migrations(self) -> Json:
        try:
            with self._billing.database.read() as connection:
                return {"answers": True, "current": migrate.is_current(connection)}
        except (SQLAlchemyError, OSError):
            return {"answers": False, "current": False}

    def migrate(self) -> Json:
        migrate.upgrade(self._billing.settings.database_url)
        return {}

    def routes(self) -> list[Json]:
        found = [route for route in iter_route_contexts(self._app.routes) if route.endpoint is not not_found]
        return [{"method": method, "path": route.path} for route in found for method in sorted(route.methods or ())]

    def request(self, method: str, path: str, headers: dict[str, str], body: str | None, user: Json | None) -> Json:
        """Send a request through the app, in this process; with a user, everybody is signed in as that one."""
        signed_in: Json = {"authenticate": lambda _request: User(user["id"], user.get("email"))} if user else {}
        self._app.state.billing = replace(self._billing, **signed_in)
        response = asyncio.run(_send(self._app, method, path, headers, (body or "").encode()))
        return {"status": response.status_code, "headers": dict(response.headers), "body": response.text}

    def sql(self, statements: list[Json]) -> list[list[Json]]:
        """Run statements in one transaction, and return the rows of each. Where all of them read, it cannot write."""
        database, rows = self._billing.database, []
        reads = all(each["sql"].lstrip()[:6].upper() == "SELECT" for each in statements)
        with database.read() if reads else database.write() as connection:
            for each in statements:
                result = connection.execute(text(each["sql"]), each.get("values") or {})
                rows.append([dict(row) for row in result.mappings()] if result.returns_rows else [])
        return rows

    def replay(self, webhook_id: str, reactions: bool) -> Json:
        handlers = own_reactions if reactions else None
        return {"outcome": inbox.replay(self._billing.database, webhook_id, self._billing.clock(), handlers)}

    def reconcile(self, customer: str) -> Json:
        polar = self._billing.connected_polar()
        before = polar.calls
        report = reconcile.reconcile_customer(self._billing.database, polar, customer, self._billing.clock())
        return {"outcome": report.outcome, "rows": report.written, "calls": polar.calls - before}

    def drift(self, customer: str) -> Json:
        """Say what reconciling would write, without personal data."""
        polar = self._billing.connected_polar()
        before, hidden = polar.calls, {"here": "(personal)", "polar": "(personal)"}
        found = reconcile.drift_of(self._billing.database, polar, customer)
        shown = [asdict(each) | (hidden if each.column in ("email", "name") else {}) for each in found or []]
        return {"differences": None if found is None else shown, "calls": polar.calls - before}

    def decide(self, user: str, at: int | None) -> Json:
        return access_of(self._billing.database, user, self._billing.clock() if at is None else at).to_json()

    def standing(self, kind: str, held: Json, at: int) -> Json:
        if kind == "order":
            return {"access": policy.order_standing(policy.HeldOrder(**held)).open}
        return {"access": policy.subscription_standing(policy.HeldSubscription(**held), at).open}

    def read_event(self, type: str, data: Json) -> Json:
        """Read an event as the inbox does, and write nothing."""
        problem = None
        try:
            parse_event("", b"", {"type": type, "timestamp": "2026-01-01T00:00:00Z", "data": data})
        except Exception as error:  # whatever the code of the project does
            problem = error_name(error)
        return {"projection": events.EVENTS.get(type), "problem": problem}


# An optional feature adds its operations: functions of the bridge and the arguments.
OPERATIONS: dict[str, Any] = {name: each for name, each in vars(Bridge).items() if name[0] != "_"}


def serve(requests: TextIO, answers: TextIO) -> None:
    """Answer one request after the other, until the tool closes its end."""
    bridge = Bridge()
    cli.load_environment()
    with suppress(BrokenPipeError), requests, answers:
        print(json.dumps({"bridge": 1, "runtime": "fastapi"}), file=answers, flush=True)
        for line in requests:
            print(json.dumps(_answer(bridge, line), default=_plain), file=answers, flush=True)


def _answer(bridge: Bridge, line: str) -> Json:
    number: object = None
    try:
        asked = json.loads(line)
        number = asked.pop("id")
        operation = OPERATIONS[asked.pop("op")]
        inspect.signature(operation).bind(bridge, **asked)
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError):
        return {"id": number, "error": {"kind": "bad_request", "message": "There is no such operation."}}
    try:
        return {"id": number, "result": operation(bridge, **asked)}
    except Exception as error:
        return {"id": number, "error": _problem(error)}


def _problem(error: Exception) -> Json:
    """Describe an error, without the message of a driver: it may repeat values."""
    if isinstance(error, PolarApiError):
        return {"kind": "gone" if isinstance(error, PolarNotFound) else "polar", "message": str(error), **vars(error)}
    for kind, said in {"settings": settings.SettingsError, "unreadable": Unreadable, "demo": BillingError}.items():
        if isinstance(error, said):
            return {"kind": kind, "message": str(error)}
    if isinstance(error, SQLAlchemyError | dialect.DriverError | OSError):
        return {"kind": "store", "message": f"The database refused: {type(getattr(error, 'orig', error)).__name__}."}
    return {"kind": "internal", "message": type(error).__name__}


async def _send(app: FastAPI, method: str, path: str, headers: dict[str, str], body: bytes) -> httpx.Response:
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        return await client.request(method, path, headers=headers, content=body)


def _plain(value: object) -> object:
    """Return what JSON has no form for: a body as text, a sum as a number, an instant as ISO text."""
    if isinstance(value, Decimal):
        return int(value) if value == int(value) else float(value)
    return bytes(value).decode(errors="replace") if isinstance(value, bytes | memoryview) else str(value)


if STREAMS is not None:
    serve(*STREAMS)
