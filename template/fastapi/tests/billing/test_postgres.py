"""What only Postgres does: transactions that wait for each other, and a database that goes silent."""

import random
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial

import pytest
from sqlalchemy import text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import OperationalError

from app import database as database_module
from app.billing import repository
from app.billing.inbox import store_and_apply
from app.billing.reactions import Handlers
from app.billing.retention import clean_up
from app.billing.time import to_iso
from app.database import Database
from tests.support.deliveries import NOW, customer, event, member, order, rows_of, subscription

WEBHOOKS = "billing_webhook_events"


def test_a_member_who_comes_while_an_event_waits_for_the_lock_is_looked_at(database: Database) -> None:
    store_and_apply(database, *event("customer.created", customer()), NOW, {})
    came = {"id": "m1", "customer_id": "c1", "user": "newcomer"}
    with ThreadPoolExecutor(1) as threads:
        with database.write() as connection:
            repository.lock_customer(connection, customer()["id"])
            waiting = threads.submit(store_and_apply, database, *event("subscription.created", subscription()), NOW, {})
            waits = text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
            until = time.monotonic() + 5
            while time.monotonic() < until:
                with database.read() as other:
                    if other.scalar(waits):
                        break
                time.sleep(0.02)
            statement = "INSERT INTO billing_members (id, customer_id, external_id) VALUES (:id, :customer_id, :user)"
            connection.execute(text(statement), came)
        assert waiting.result() == "processed"
    looked_at = {row["user_id"] for row in rows_of(database, "billing_access") if row["check_us"] is not None}
    assert "newcomer" in looked_at


def test_deletions_race_other_events_and_no_body_stays(database: Database) -> None:
    events = []
    for number in range(40):
        buyer = customer(f"c{number}", f"user_{number}")
        gone = customer(f"c{number}", None, deleted_at=to_iso(NOW))
        events += [
            event("customer.created", buyer, 0),
            event("subscription.updated", subscription(subscription_id=f"s{number}", buyer=buyer), 1),
            event("order.updated", order(order_id=f"o{number}", buyer=buyer), 2),
            event("member.updated", member(f"m{number}", f"user_{number}", f"c{number}"), 3),
            event("customer.deleted", gone, 4),
        ]
    random.Random(3).shuffle(events)
    with ThreadPoolExecutor(16) as threads:
        outcomes = set(threads.map(lambda one: store_and_apply(database, one[0], one[1], NOW, {}).value, events))
    assert outcomes == {"processed"}
    assert {row["body"] for row in rows_of(database, WEBHOOKS)} == {None}
    assert {row["email"] for row in rows_of(database, "billing_customers")} == {None}
    assert {row["email"] for row in rows_of(database, "billing_members")} == {None}


def test_retention_empties_what_came_beside_a_deletion(database: Database) -> None:
    store_and_apply(database, *event("customer.deleted", customer(deleted_at=to_iso(NOW))), NOW, {})
    with database.write() as connection:
        statement = "UPDATE billing_webhook_events SET body = 'personal', state = 'dead'"
        connection.execute(text(statement))
    clean_up(database, 90, NOW)
    assert {row["body"] for row in rows_of(database, WEBHOOKS)} == {None}


class SilentProxy:
    """Passes bytes on to a server, until it swallows them."""

    def __init__(self, url: str) -> None:
        self._url = make_url(url)
        self.silent = threading.Event()
        self._server = socket.create_server(("127.0.0.1", 0))
        self.url = self._url.difference_update_query(["host"]).set(host="127.0.0.1", port=self._server.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def _target(self) -> socket.socket:
        folder = self._url.query.get("host")
        if folder is None:
            return socket.create_connection((self._url.host or "127.0.0.1", self._url.port or 5432))
        found = socket.socket(socket.AF_UNIX)
        found.connect(f"{folder}/.s.PGSQL.{self._url.port or 5432}")
        return found

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, target = self._server.accept()[0], self._target()
                for source, sink in ((client, target), (target, client)):
                    threading.Thread(target=self._pass_on, args=(source, sink), daemon=True).start()

    def _pass_on(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError), source, sink:
            while piece := source.recv(65536):
                while self.silent.is_set():
                    time.sleep(0.05)
                sink.sendall(piece)

    def close(self) -> None:
        self._server.close()


def test_a_silent_database_is_given_up_and_used_again(
    database: Database, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database_module, "STATEMENT_SECONDS", 0.5)
    proxy = SilentProxy(database_url)
    through = Database.from_url(proxy.url.render_as_string(hide_password=False))
    webhook_id, body = event("customer.created", customer())
    ask = partial(store_and_apply, through, webhook_id, body, NOW, Handlers())
    assert ask() == "processed"
    proxy.silent.set()
    began = time.monotonic()
    with pytest.raises(OperationalError), through.read() as connection:
        connection.scalar(text("SELECT 1"))
    assert time.monotonic() - began < 5
    proxy.silent.clear()
    assert ask() == "repeat"
    through.close()
    proxy.close()
