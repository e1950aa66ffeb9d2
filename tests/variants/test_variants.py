"""Every legal combination of answers, in tiers: see `tests/variants/tiers.py`.

`uv run pytest` renders (a), type-checks, lints (b) and tests (c) one of each runtime. `--rest` renders all of them.
`--full` renders all and takes a subset that has every pair of what switches files or code to (b) and (c).
`uv run pytest --all-variants` takes all to all tiers, but for own tests of a project that differs from one already
tested in literals alone.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.variants import tiers
from tests.variants.checks import FastApis, Faults, Say, Workers
from tests.variants.combinations import Variant, legal, one_per_store, pairwise, polar_servers, variants
from tests.variants.tiers import Rendered


@dataclass
class Every:
    """All variants, rendered, and those that go on to the tiers after it."""

    rendered: Rendered
    all: list[Variant]
    some: list[Variant]


@pytest.fixture(scope="session")
def say(request: pytest.FixtureRequest) -> Say:
    """Show a line of progress while pytest keeps the output."""
    capture = request.config.pluginmanager.getplugin("capturemanager")
    began = time.monotonic()

    def line(text: str) -> None:
        with capture.global_and_fixture_disabled():
            print(f"\n[{time.monotonic() - began:4.0f} s] {text}", end="", flush=True)

    return line


@pytest.fixture(scope="session")
def every(
    request: pytest.FixtureRequest, template: Path, tmp_path_factory: pytest.TempPathFactory, say: Say
) -> Iterator[Every]:
    """All variants in tier a."""
    with polar_servers() as polar_with:
        began = time.monotonic()
        found = variants(legal(template, polar_with))
        say(f"{len(found)} variants found in {time.monotonic() - began:.1f} s")
        full, every_one, rest = (request.config.getoption(each) for each in ("--full", "--all-variants", "--rest"))
        some = pairwise(found) if full or every_one else one_per_store(pairwise(found))
        if not (full or every_one or rest):
            # On Postgres they run in `--rest`, as their user runs them; a running app is tried on it in any case.
            some = [each for each in some if each.answers["database"] != "postgres"]
        watch = tiers.Watch()
        wanted = found if full or every_one or rest else some
        done = tiers.render(template, wanted, tmp_path_factory.mktemp("variants"), polar_with, say)
        say(watch.told("a", len(wanted)))
        if every_one:  # the rest behind those that have every pair
            some += [variant for variant in found if variant not in some]
        yield Every(done, found, some)


def _nothing_wrong(every: Every, faults: Faults) -> None:
    if faults:
        pytest.fail(f"{len(faults)} variants\n\n{tiers.report(every.all, faults)}", pytrace=False)


def test_all_render_and_their_files_are_in_order(every: Every) -> None:
    assert len(every.rendered.variants) > 100, "hardly any combination was found"
    _nothing_wrong(every, every.rendered.faults)


def test_types_lint_and_own_tests(every: Every, say: Say, tmp_path_factory: pytest.TempPathFactory) -> None:
    watch = tiers.Watch()
    caches = tmp_path_factory.mktemp("mypy")
    folder = f"variants-{tmp_path_factory.getbasetemp().name}"
    faults = tiers.types_and_lint(every.rendered, every.some, folder, caches, say)
    faults = tiers.together(faults, tiers.tests(every.rendered, every.some, folder, say))
    say(watch.told("b and c", len(every.some)))
    _nothing_wrong(every, faults)


def test_a_worker_passes_its_tests_as_its_user_runs_them(
    every: Every, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Each test file in a workerd of its own, which for all variants would take too long."""
    first = next(variant for variant in every.some if variant.runtime == "worker")
    folder = f"alone-{tmp_path_factory.getbasetemp().name}"
    with Workers(folder, every.rendered.of("worker", [first]), every.rendered.template) as worker:
        _nothing_wrong(every, worker.own_tests(isolate=True))


def test_a_fastapi_app_passes_its_tests_as_its_user_runs_them(every: Every) -> None:
    """On a Postgres of its own, which for all variants would take too long."""
    first = next(variant for variant in every.some if variant.answers["database"] == "postgres")
    app = FastApis(every.rendered.of("fastapi", [first]), every.rendered.template)
    _nothing_wrong(every, app.own_tests_alone())
