"""The same project in both runtimes, rendered, installed and migrated once, and anew on a copy for each test."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from tests.catalogues import CATALOGUES
from tests.operations.polar_operations import PolarOperations
from tests.operations.side import Pair, Side, copied, migrated
from tests.support import apps
from tests.support.render import render

CATALOGUE = "shop"
OPTIONS = {"notifications": "email"}
RUNTIMES = tuple(
    next(variant for variant in apps.VARIANTS if variant.name == name) for name in ("worker-d1", "fastapi-sqlite")
)


@pytest.fixture(scope="session")
def _migrated(
    template: Path, polar_with: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Side, ...]:
    projects, stores = tmp_path_factory.mktemp("operations"), tmp_path_factory.mktemp("stores")
    sides = []
    with PolarOperations(CATALOGUES[CATALOGUE]()) as polar:
        for variant in RUNTIMES:
            usual = variant.profile(CATALOGUE)
            profile = replace(usual, answers={**usual.answers, **OPTIONS})
            project = render(profile, template, projects / profile.name, polar_with(CATALOGUE))
            apps.install(variant, project)
            sides.append(migrated(variant, project, stores / variant.name, polar))
    return tuple(sides)


@pytest.fixture
def pair(_migrated: tuple[Side, ...], tmp_path: Path) -> Generator[Pair]:
    """Both runtimes on an empty store each, beside a Polar each that has the shop's products."""
    with ExitStack() as stack:
        sides = [
            copied(
                side,
                tmp_path / side.variant.name,
                stack.enter_context(PolarOperations(CATALOGUES[CATALOGUE]())),
            )
            for side in _migrated
        ]
        yield Pair(*sides)
