"""A bridge without a project: a real SQLite database, facts made from a catalogue, and answers that a test scripts.

In process it stands in for `copier_polar.bridge.Bridge`. As a process, `python -m tests.tool.fake_bridge FOLDER
[MISBEHAVIOUR]`, it speaks the protocol over stdin and stdout, as well or as badly as that says.
"""

from __future__ import annotations

import json
import os
import re
import signal
import sqlite3
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import closing
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

from copier_polar.bridge import PROTOCOL, Bridge, read_answer
from tests.catalogues import CATALOGUES, organization

Json = dict[str, Any]

REPOSITORY = Path(__file__).resolve().parents[2]
MIGRATIONS = sorted((REPOSITORY / "template" / "worker" / "migrations").glob("*.sql"))
EVENTS = dict(
    re.findall(
        r'^  "([a-z_.]+)": "?([a-z_]+)"?,$',
        (REPOSITORY / "template" / "common" / "events.jinja").read_text(),
        re.MULTILINE,
    )
)
DATABASE = "store.sqlite3"
FACTS = "facts.json"  # what the process says of its project
ASKED = "asked"  # there once the process was asked to replay
SLOW = "slow"  # it takes its time to replay: no misbehaviour
MISBEHAVIOURS = (
    "dies at start",
    "dies in the middle",
    "is killed",
    "hangs at start",
    "hangs",
    "nonsense",
    "prints before the hello",
    "prints in the middle",
    "other version",
    "no version",
    "other runtime",
    "without end",
    "other id",
    "no result",
    "incomplete facts",
    "internal error",
)


class Failure(Exception):
    """An error of the protocol that a scripted answer raises."""

    def __init__(self, kind: str, message: str, **more: Any) -> None:
        super().__init__(message)
        self.error = {"kind": kind, "message": message, **more}


def rate_limited(retry_after: float | None = 1) -> Failure:
    """Polar has the app wait."""
    return Failure("polar", "Polar answered 429 RateLimited", status=429, error="RateLimited", retry_after=retry_after)


def broken() -> Failure:
    """Polar has a fault of its own."""
    return Failure("polar", "Polar answered 500 InternalServerError", status=500, error="InternalServerError")


class FakeBridge(Bridge):
    """The bridge in process; everything that is public may be changed by a test.

    `scripts` has what answers an operation: a function of its arguments, which returns the result or raises Failure.
    `calls` has what was asked, as operation and arguments.
    """

    def __init__(self, folder: Path, facts: Json | None = None, *, migrated: bool = True) -> None:
        self.database = folder / DATABASE
        self.facts = facts or make_facts()
        self.runtime = self.facts["runtime"]
        self.calls: list[tuple[str, Json]] = []
        self.closed = False
        self.scripts: dict[str, Callable[..., Any]] = {
            "facts": lambda: self.facts,
            "migrations": self._migrations,
            "migrate": self._migrate,
            "sql": self._sql,
            "replay": lambda webhook_id, reactions: {"outcome": "processed"},
            "reconcile": lambda customer: {"outcome": "equal", "rows": 0, "calls": 4},
            "drift": lambda customer: {"differences": [], "calls": 4},
        }
        if migrated and not self.database.exists():
            self._migrate()

    def call(self, operation: str, *, seconds: float | None = None, **arguments: Any) -> Any:
        self.calls.append((operation, arguments))
        sent = json.dumps(arguments, ensure_ascii=False).encode()  # as over the real one
        return read_answer(operation, self.answer(operation, json.loads(sent)))

    def close(self) -> None:
        self.closed = True

    def __exit__(self, *_: object) -> None:
        self.close()

    def answer(self, operation: str, arguments: Json) -> Json:
        """What is answered, as the protocol has it."""
        if operation not in self.scripts:
            return {"error": {"kind": "bad_request", "message": f"no such operation: {operation}"}}
        try:
            return {"result": json.loads(json.dumps(self.scripts[operation](**arguments)))}
        except Failure as failure:
            return {"error": failure.error}

    def asked(self, operation: str) -> list[Json]:
        """The arguments of all calls of an operation."""
        return [arguments for name, arguments in self.calls if name == operation]

    def rows(self, statement: str, *values: object) -> list[Json]:
        """Run SQL on the database, for the test itself."""
        with closing(self._connected()) as connection:
            return [dict(row) for row in connection.execute(statement, values)]

    def add(self, table: str, **row: object) -> None:
        """Add a row to a table."""
        names = ", ".join(row)
        self.rows(f"INSERT INTO billing_{table} ({names}) VALUES ({', '.join('?' * len(row))})", *row.values())

    def _connected(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.database, isolation_level=None)
        connection.execute("PRAGMA synchronous = OFF")
        connection.row_factory = sqlite3.Row
        return connection

    def _migrate(self) -> Json:
        if not self._tables():
            self.database.write_bytes(_empty_database())
        return {}

    def _migrations(self) -> Json:
        return {"answers": True, "current": bool(self._tables())}

    def _tables(self) -> list[Json]:
        return self.rows("SELECT name FROM sqlite_master WHERE name = 'billing_audit'")

    def _sql(self, statements: list[Json]) -> list[list[Json]]:
        """All statements in one transaction, as in both runtimes."""
        with closing(self._connected()) as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                found = [[dict(row) for row in connection.execute(each["sql"], each["values"])] for each in statements]
                connection.execute("COMMIT")
            except sqlite3.Error as error:
                raise Failure("store", f"The database refused: {type(error).__name__}.") from None
            return found


@cache
def _empty_database() -> bytes:
    """A file of the database, made once by the Worker's migrations."""
    with closing(sqlite3.connect(":memory:")) as connection:
        for file in MIGRATIONS:
            connection.executescript(file.read_text())
        return connection.serialize()


# Facts


def make_facts(runtime: str = "worker", *, products: Iterable[Json] | None = None, **settings: Any) -> Json:
    """What a project of the shop's catalogue says of itself; `settings` changes what it says of its settings."""
    from tests.support.api_version import API_VERSION  # imports Copier, which the process does without

    sold = list(CATALOGUES["shop"]() if products is None else products)
    return {
        "runtime": runtime,
        "database": "d1" if runtime == "worker" else "sqlite",
        "target": "the local database in /project/.wrangler/state" if runtime == "worker" else "sqlite:///billing.db",
        "api_version": API_VERSION,
        "earliest_removal": "2099-01-01",
        "premium_path": "/premium",
        "grace_days": 7,
        "events": {name: None if projection == "none" else projection for name, projection in EVENTS.items()},
        "catalogue": {"server": "sandbox", **_catalogue(sold)},
        "settings": {
            "problem": "",
            "present": ["APP_URL", "POLAR_ACCESS_TOKEN", "POLAR_SERVER", "POLAR_WEBHOOK_SECRET"],
            "server": "sandbox",
            "app_url": "http://127.0.0.1:8787",
            "base_url": None,
            "is_local": True,
            "issuer": None,
            "audience": None,
            **settings,
        },
    }


def _catalogue(products: list[Json]) -> Json:
    benefits = {benefit["id"]: benefit for product in products for benefit in product["benefits"]}
    owner = organization()
    return {
        "organization": {
            "id": owner["id"],
            "name": owner["name"],
            "default_currency": owner.get("default_presentment_currency", "usd"),
            "allow_multiple_subscriptions": False,
        },
        "products": [_product(product) for product in products],
        "benefits": [
            {"key": _key(benefit["description"]), **{name: benefit[name] for name in ("id", "type", "description")}}
            for benefit in benefits.values()
        ],
    }


def _product(product: Json) -> Json:
    prices = [_price(price) for price in product["prices"]]
    is_free = all(price["type"] == "free" or price["amount"] == 0 for price in prices)
    return {
        "key": _key(product["name"]),
        **{name: product[name] for name in ("id", "name", "description")},
        "archived": product["is_archived"],
        "recurring": product["is_recurring"],
        "interval": product["recurring_interval"],
        "interval_count": product["recurring_interval_count"],
        "trial_interval": product.get("trial_interval"),
        "trial_interval_count": product.get("trial_interval_count"),
        "premium": not is_free,
        "free": is_free,
        "prices": prices,
        "benefits": [_key(benefit["description"]) for benefit in product["benefits"]],
    }


def _price(price: Json) -> Json:
    return {
        "id": price["id"],
        "type": price["amount_type"],
        "currency": price.get("price_currency", "usd"),
        "amount": price.get("price_amount"),
        "minimum": price.get("minimum_amount"),
        "maximum": price.get("maximum_amount"),
        "preset": price.get("preset_amount"),
        "unit_amount": price.get("unit_amount"),
    }


def _key(name: str) -> str:
    return re.sub("[^a-z0-9]+", "_", name.lower()).strip("_")


# As a process


def main(folder: Path, misbehaviour: str = "") -> None:
    """Speak the protocol until stdin closes."""
    _misbehave_at_start(misbehaviour)
    hello = {"bridge": PROTOCOL, "runtime": "fastapi" if misbehaviour == "other runtime" else "worker"}
    _send({**hello, **({"bridge": 2} if misbehaviour == "other version" else {})})
    bridge = FakeBridge(folder, json.loads((folder / FACTS).read_text()))
    for line in sys.stdin:
        request = json.loads(line)
        _misbehave(misbehaviour)
        if misbehaviour == SLOW and request["op"] == "replay":
            (folder / ASKED).touch()
            time.sleep(1)
        arguments = {name: value for name, value in request.items() if name not in ("id", "op")}
        _send(_changed(misbehaviour, {"id": request["id"], **bridge.answer(request["op"], arguments)}))


def _misbehave_at_start(misbehaviour: str) -> None:
    match misbehaviour:
        case "dies at start":
            sys.exit(3)
        case "hangs at start":
            time.sleep(600)
        case "prints before the hello":
            print("Welcome to our application!", flush=True)
        case "no version":
            _send({"runtime": "worker"})


def _misbehave(misbehaviour: str) -> None:
    match misbehaviour:
        case "dies in the middle":
            sys.exit(4)
        case "is killed":
            os.kill(os.getpid(), signal.SIGKILL)
        case "hangs":
            time.sleep(600)
        case "nonsense":
            os.write(1, b"\xff{nonsense\n")
        case "prints in the middle":
            print("A request came.", flush=True)
        case "without end":
            while True:
                sys.stdout.write("x" * 65536)


def _changed(misbehaviour: str, answer: Json) -> Json:
    changed = deepcopy(answer)
    match misbehaviour:
        case "other id":
            changed["id"] += 1
        case "no result":
            return {"id": answer["id"]}
        case "incomplete facts":
            del changed["result"]["catalogue"]["products"][0]["key"]
        case "internal error":
            return {"id": answer["id"], "error": {"kind": "internal", "message": "ZeroDivisionError"}}
    return changed


def _send(line: Json) -> None:
    print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:3])
