"""A healthy project in both runtimes, beside a Polar each that has all it needs; tests break one thing or several."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, get_args

import pytest

from tests.catalogues import CATALOGUES
from tests.operations.conftest import CATALOGUE, RUNTIMES
from tests.operations.doctor.projects import copied_project
from tests.operations.polar_checks import PolarChecks
from tests.operations.side import WEBHOOK_SECRET, Pair, Ran, Side, copied, migrated
from tests.profiles import Profile
from tests.support import api_version
from tests.support.apps import Variant, install
from tests.support.render import render

EVENT_TYPES = get_args(import_module(f"{api_version.module_name()}.literals").WebhookEventType)
APP_URL = "https://app.invalid"
SECRETS = {"worker": ".dev.vars", "fastapi": ".env"}
WEBHOOK_URL = f"{APP_URL}/webhooks/polar"


@dataclass
class Report:
    """What the doctor of both runtimes said, word for word the same."""

    json: dict[str, Any]

    @property
    def found(self) -> dict[str, list[tuple[str, str]]]:
        """Place and detail of everything that was found, by check."""
        return {issue["id"]: [(f["place"], f["what"]) for f in issue["found"]] for issue in self.json["issues"]}

    @property
    def skipped(self) -> dict[str, str]:
        """Why a check was not made."""
        return {entry["id"]: entry["reason"] for entry in self.json["skipped"]}


@dataclass
class Patient:
    """The project, to break and to examine."""

    pair: Pair
    settings: dict[str, str]

    @property
    def polars(self) -> tuple[PolarChecks, PolarChecks]:
        """Polar beside each runtime."""
        worker, fastapi = (side.polar for side in self.pair.sides)
        assert isinstance(worker, PolarChecks)
        assert isinstance(fastapi, PolarChecks)
        return worker, fastapi

    def endpoints(self) -> list[dict[str, Any]]:
        """The registered endpoint beside each runtime."""
        return [next(iter(polar.endpoints.values())) for polar in self.polars]

    def sql(self, statement: str) -> None:
        """Change both stores."""
        for side in self.pair.sides:
            side.sql(statement)

    def examined(self, *, code: int = 0, **settings: str) -> Report:
        """What the doctor says, as JSON, which must be the same in both."""
        return Report(self._run("--json", code=code, **settings).json)

    def text(self, *, code: int = 0, **settings: str) -> str:
        """What the doctor says as Markdown, which must be the same in both."""
        return self._run(code=code, **settings).out

    def _run(self, *options: str, code: int, **settings: str) -> Ran:
        # A copy of a FastAPI project runs in the environment of the original; its own code goes first.
        return self.pair.both("doctor", *options, code=code, **{"PYTHONPATH": "src", **self.settings, **settings})


@pytest.fixture
def patient(_migrated: tuple[Side, ...], tmp_path: Path) -> Generator[Patient]:
    """A healthy project on copies of its own, code and store."""
    with _copies(_migrated, tmp_path) as pair:
        yield Patient(pair, {"APP_URL": APP_URL})


@pytest.fixture(scope="session")
def _demo(template: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Side, ...]:
    folder = tmp_path_factory.mktemp("demo")
    with PolarChecks([]) as nobody:
        return tuple(_demo_side(variant, template, folder, nobody) for variant in RUNTIMES)


def _demo_side(variant: Variant, template: Path, folder: Path, nobody: PolarChecks) -> Side:
    profile = Profile(f"{variant.name}-demo", variant.runtime, answers={"database": variant.database})
    project = render(profile, template, folder / profile.name, None)
    install(variant, project)
    return migrated(variant, project, folder / f"{profile.name}-store", nobody)


@pytest.fixture
def demo(_demo: tuple[Side, ...], tmp_path: Path) -> Generator[Patient]:
    """A fresh project with the demo products, as its author first sees it."""
    with _copies(_demo, tmp_path) as pair:
        yield Patient(pair, {"POLAR_SERVER": "demo", "APP_URL": "http://localhost:9"})


@contextmanager
def _copies(originals: tuple[Side, ...], folder: Path) -> Generator[Pair]:
    """Copies of code and store, beside a Polar each where our endpoint is registered."""
    with ExitStack() as stack:
        sides = []
        for original in originals:
            polar = stack.enter_context(PolarChecks(CATALOGUES[CATALOGUE]()))
            polar.add_endpoint(WEBHOOK_URL, EVENT_TYPES, id="endpoint-1", secret=WEBHOOK_SECRET)
            side = copied(original, folder / original.variant.name, polar)
            side.project = copied_project(original.project, folder / f"{original.variant.name}-project")
            (side.project / SECRETS[original.variant.runtime]).touch(0o600)  # as `dev` leaves it
            sides.append(side)
        yield Pair(*sides)
