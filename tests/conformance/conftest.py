"""Apps of every variant that the black-box tests share, and how much is asked of them."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conformance.station import Station, station
from tests.support import apps
from tests.variants.replayed import conforming


@dataclass(frozen=True)
class Counts:
    """How many of each the conformance suite tries."""

    seed: int
    killed_deliveries: int
    kills: int
    load_deliveries: int
    fuzzed_requests: int
    schema_cases: int


class Latencies:
    """Seconds from the first delivery of a purchase until the app says that there is access, by variant."""

    def __init__(self) -> None:
        self.seconds: dict[str, dict[str, float]] = {}

    def add(self, variant: str, scenario: str, seconds: float) -> None:
        """One measurement."""
        self.seconds.setdefault(variant, {})[scenario] = seconds

    def lines(self) -> list[str]:
        """A line a variant: how many, the middle one and the longest."""
        found = []
        for variant, measured in self.seconds.items():
            ordered = sorted(measured.values())
            slowest = max(measured, key=lambda name: measured[name])
            found.append(
                f"{variant:22} {len(ordered):3} purchases, median {ordered[len(ordered) // 2] * 1000:6.0f} ms, "
                f"slowest {measured[slowest] * 1000:6.0f} ms ({slowest})"
            )
        return found


_LATENCIES = Latencies()


@pytest.fixture(scope="session")
def latencies() -> Latencies:
    """What the scenarios measure; printed at the end."""
    return _LATENCIES


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how soon after a purchase there was access."""
    if _LATENCIES.seconds:
        terminalreporter.section("from the first delivery of a purchase to access, deliveries back to back")
        for line in _LATENCIES.lines():
            terminalreporter.write_line(line)


SAMPLE = Counts(seed=1, killed_deliveries=150, kills=2, load_deliveries=600, fuzzed_requests=1500, schema_cases=10)
NIGHTLY = Counts(
    seed=1, killed_deliveries=2000, kills=20, load_deliveries=5000, fuzzed_requests=20000, schema_cases=500
)


@pytest.fixture(scope="session")
def counts(request: pytest.FixtureRequest) -> Counts:
    """The sample that fits CI, or with `--nightly` the full counts."""
    return NIGHTLY if request.config.getoption("--nightly") else SAMPLE


@pytest.fixture(scope="session")
def black_box_project(
    template: Path, polar_with: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[apps.Variant], Path]:
    """The project of a variant, of the usual shop; rendered and installed once, with more calls to Polar."""
    return apps.with_more_calls(apps.rendered_once("shop", template, polar_with, tmp_path_factory.mktemp("black-box")))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Every runtime and store; with `--all-variants` other code too."""
    if "black_box" in metafunc.fixturenames:
        tried = conforming(metafunc.config)
        metafunc.parametrize("black_box", tried, ids=lambda variant: variant.name, indirect=True, scope="session")


@pytest.fixture(scope="session")
def black_box(
    request: pytest.FixtureRequest,
    black_box_project: Callable[[apps.Variant], Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> Generator[Station]:
    """A running app of each variant, that no test ends."""
    variant: apps.Variant = request.param
    with station(variant, black_box_project(variant), tmp_path_factory.mktemp(variant.name)) as app:
        yield app
