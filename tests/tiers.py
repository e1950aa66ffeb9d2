"""What `uv run pytest` runs, and what only `--full` does.

The plain run proves every promise at least once, in at most twelve minutes on two cores. `--full` adds the other
runtimes and stores, every pair of answers, every mutation of an app and the larger counts. `--rest` runs what the plain
run leaves out.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from typing import Any

import pytest

from tests.support.apps import Variant

# Of tests that drive running apps: where the plain run drives them. Each runtime and each kind of database once.
PLAIN_VARIANTS = frozenset({"worker-d1", "fastapi-postgres"})
# A whole file, or one test of it: the plain run leaves them out.
ONLY_FULL = (
    # Breaks real apps on purpose, and starts both toolchains for each: tests/tool has every check in process.
    "tests/operations/doctor/test_mutations.py",
    # Counts: the plain run has smaller ones of the same kind.
    "tests/conformance/test_load.py",
    # An update of every profile from every release: the plain run updates from the oldest and the newest of some.
    "tests/updates/test_releases.py",
    # Waits until a lease of a minute is over.
    "tests/conformance/test_ending.py",
    # A catalogue of words that nobody has heard of: the plain run renders it.
    "tests/variants/test_unknown_words.py::test_all_have_fitting_types",
    "tests/variants/test_unknown_words.py::test_their_own_tests_pass_with_all_at_once",
    # Each test file in a process of its own, as its user runs it: the same tests run in shared processes.
    "tests/variants/test_variants.py::test_a_worker_passes_its_tests_as_its_user_runs_them",
    "tests/variants/test_variants.py::test_a_fastapi_app_passes_its_tests_as_its_user_runs_them",
)


def is_plain(item: pytest.Item) -> bool:
    """Whether the plain run has a test."""
    if any(item.nodeid.partition("[")[0].startswith(each) for each in ONLY_FULL):
        return False
    return all(variant.name in PLAIN_VARIANTS for variant in _variants_of(item))


def chosen(items: Iterable[pytest.Item], *, full: bool, rest: bool) -> tuple[list[pytest.Item], list[pytest.Item]]:
    """Return the tests to run and those left out."""
    kept, left = [], []
    for item in items:
        wanted = not is_plain(item) if rest else full or is_plain(item)
        (kept if wanted else left).append(item)
    return kept, left


def turn(item: pytest.Item, commit: str) -> str:
    """Return what orders files by a commit: where time runs out, each part gets its turn."""
    return hashlib.sha256(f"{commit} {item.path.name}".encode()).hexdigest()


def _variants_of(item: pytest.Item) -> Iterator[Variant]:
    parameters: dict[str, Any] = getattr(getattr(item, "callspec", None), "params", {})
    yield from (value for value in parameters.values() if isinstance(value, Variant))
