"""A healthy project of either runtime, beside a Polar that has all it needs; tests break one thing or several."""

from __future__ import annotations

import shutil
from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.catalogues import CATALOGUES
from tests.operations.polar_checks import PolarChecks
from tests.support import deliveries
from tests.support.render import TOKEN
from tests.tool.conftest import Ran, Tool
from tests.tool.doctor.app import App
from tests.tool.fake_bridge import EVENTS, MIGRATIONS, Failure, make_facts

APP_URL = "https://app.invalid"
WEBHOOK_URL = f"{APP_URL}/webhooks/polar"
WEBHOOK_SECRET = deliveries.new_secret("standard")
JWT_SECRET = "0123456789abcdefghijklmnopqrstuvwxyz"
FILES = {"worker": ".dev.vars", "fastapi": ".env"}
PRODUCTS = ["free", "pro_monthly", "pro_yearly", "lifetime"]  # that of a price by seat is not chosen


@dataclass
class Report:
    """What the doctor said."""

    json: dict[str, Any]

    @property
    def found(self) -> dict[str, list[tuple[str, str]]]:
        """Place and detail of everything that was found, by check."""
        return {issue["id"]: [(f["place"], f["what"]) for f in issue["found"]] for issue in self.json["issues"]}

    @property
    def places(self) -> dict[str, list[str]]:
        """The places alone."""
        return {check: [place for place, _ in found] for check, found in self.found.items()}

    @property
    def skipped(self) -> dict[str, str]:
        """Why a check was not made."""
        return {entry["id"]: entry["reason"] for entry in self.json["skipped"]}


@dataclass
class Patient:
    """The project, to break and to examine."""

    tool: Tool
    app: App
    polar: PolarChecks
    patch: pytest.MonkeyPatch
    runtime: str

    @property
    def facts(self) -> dict[str, Any]:
        """What the project says of itself."""
        return self.tool.bridge.facts

    @property
    def endpoint(self) -> dict[str, Any]:
        """The registered endpoint."""
        return next(iter(self.polar.endpoints.values()))

    def product(self, key: str) -> dict[str, Any]:
        """A product of the code."""
        return next(product for product in self.facts["catalogue"]["products"] if product["key"] == key)

    def at_polar(self, key: str) -> dict[str, Any]:
        """The same at Polar."""
        return self.polar.products[self.product(key)["id"]]

    def sql(self, statement: str) -> None:
        """Change the database."""
        self.tool.bridge.rows(statement)

    def set(self, **settings: str) -> None:
        """Change what the operator's environment has."""
        for name, value in settings.items():
            self.patch.setenv(name, value)

    def refuse_settings(self, problem: str) -> None:
        """Have the app find its settings unfit."""
        unknown = dict.fromkeys(("server", "app_url", "base_url"))
        self.facts["settings"] |= {"problem": problem, "is_local": False, **unknown}
        for operation in ("migrations", "request", "routes", "sql"):
            self.tool.bridge.scripts[operation] = self._refused

    def examined(self, *options: str, code: int = 0) -> Report:
        """What the doctor says, as JSON."""
        return Report(self.run(*options, "--json", code=code).json)

    def text(self, *options: str, code: int = 0) -> str:
        """What the doctor says as Markdown."""
        return self.run(*options, code=code).out

    def run(self, *options: str, code: int = 0) -> Ran:
        """Call the doctor."""
        return self.tool.run("doctor", *options, code=code)

    def _refused(self, **_: object) -> None:
        raise Failure("settings", self.facts["settings"]["problem"])


both_runtimes = pytest.mark.parametrize("patient", ["worker", "fastapi"], indirect=True)


@pytest.fixture
def patient(tool: Tool, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Generator[Patient]:
    """A healthy project: a Worker, but where a test asks for both runtimes."""
    with PolarChecks(CATALOGUES["shop"]()) as polar:
        made = Patient(tool, App({}), polar, monkeypatch, getattr(request, "param", "worker"))
        _write_project(made)
        polar.add_endpoint(WEBHOOK_URL, EVENTS, id="endpoint-1", secret=WEBHOOK_SECRET)
        made.app.events, made.app.secret = made.facts["events"], WEBHOOK_SECRET
        tool.bridge.scripts |= {
            "migrations": lambda: {"answers": True, "current": True},
            "routes": made.app.list_routes,
            "request": made.app.request,
            "standing": made.app.standing,
            "read_event": made.app.read_event,
        }
        settings = {"POLAR_ACCESS_TOKEN": TOKEN, "POLAR_WEBHOOK_SECRET": WEBHOOK_SECRET, "AUTH_JWT_SECRET": JWT_SECRET}
        made.set(**settings)
        yield made


def _write_project(made: Patient) -> None:
    """The answers file, the facts, and what else the doctor reads."""
    premium = [key for key in PRODUCTS if key != "free"]
    made.tool.write_answers(
        made.runtime,
        polar_catalog={"server": "sandbox"},
        products=PRODUCTS,
        premium_products=premium,
        past_due_grace_days=7,
        sells=["subscriptions", "one_time"],
        notifications="email",
    )
    facts = make_facts(made.runtime, app_url=APP_URL, base_url=made.polar.url, is_local=False)
    catalogue = facts["catalogue"]
    catalogue["products"] = [product for product in catalogue["products"] if product["key"] in PRODUCTS]
    for product in catalogue["products"]:
        product["premium"] = product["key"] in premium
    made.tool.bridge.facts, made.tool.bridge.runtime = facts, made.runtime
    if made.runtime == "worker":
        shutil.copytree(MIGRATIONS[0].parent, made.tool.folder / "migrations")
    else:
        facts["tables"] = _tables(made.tool)


def _tables(tool: Tool) -> dict[str, Any]:
    """What a FastAPI project has in its metadata: the tables that its own migrations make are the same."""
    tables = tool.bridge.rows("SELECT name FROM sqlite_master WHERE type = 'table' AND name LIKE 'billing_%'")
    return {
        table["name"]: {
            "columns": [row["name"] for row in tool.bridge.rows(f"PRAGMA table_info({table['name']})")],
            "indexes": [
                [row["name"] for row in tool.bridge.rows(f"PRAGMA index_info({index['name']})")]
                for index in tool.bridge.rows(f"PRAGMA index_list({table['name']})")
                if index["origin"] == "c"
            ],
        }
        for table in tables
    }
