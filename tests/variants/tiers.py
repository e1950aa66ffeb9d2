"""Rendering and checking variants: what `uv run pytest` and `python -m tests.variants` have in common.

Tier a: it renders, and its files are as they should be. Tier b: types and lint. Tier c: its own tests.
"""

from __future__ import annotations

import resource
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from tests.variants import processes, rendering
from tests.variants.checks import FastApis, Faults, Say, Workers, together
from tests.variants.combinations import NONE, Variant
from tests.variants.dependencies import code_key, own_tests
from tests.variants.files import Project, generated
from tests.variants.processes import CORES

GOALS = {"a": 0.25, "b and c": 3.0}  # seconds a variant, amortised, on two idle cores


class Watch:
    """How long a tier took. The processor's time is told too: it is what counts where others use the machine."""

    def __init__(self) -> None:
        self.began = time.monotonic()
        self.used = self._used()

    def told(self, tier: str, count: int) -> str:
        """In seconds, and for each of so many variants."""
        seconds, used = time.monotonic() - self.began, self._used() - self.used
        goal = f"; the goal is {GOALS[tier]} s" if tier in GOALS else ""
        return (
            f"tier {tier}: {seconds:.1f} s, {seconds / count:.2f} s a variant of {count}{goal} "
            f"({used:.1f} s of processor time, on {CORES} cores {used / count / CORES:.2f} s a variant)"
        )

    def _used(self) -> float:
        return sum(
            usage.ru_utime + usage.ru_stime
            for usage in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
        )


@dataclass
class Rendered:
    """Variants that were rendered, and what is wrong with them so far."""

    template: Path
    variants: list[Variant]
    folder: Path
    faults: Faults = field(default_factory=dict)
    # By the variant's number and the file: its keys.
    tests: dict[int, dict[str, frozenset[str]]] = field(default_factory=dict)

    alike: dict[str, str] = field(default_factory=dict)  # by number: equal where code differs in literals alone

    def project(self, variant: Variant) -> Path:
        """Where it is."""
        return self.folder / f"{variant.number:03}"

    def different(self, variants: Sequence[Variant]) -> dict[str, list[str]]:
        """The test files that run in each project: those that none before it has run but for literals."""
        seen = set[str]()
        wanted: dict[str, list[str]] = {}
        for variant in variants:
            keys = self.tests.get(variant.number, {})
            if new := [file for file, needs in keys.items() if needs - seen]:
                wanted[f"{variant.number:03}"] = new
            seen = seen.union(*keys.values())
        return wanted

    def of(self, runtime: str, variants: Sequence[Variant]) -> dict[str, Path]:
        """The projects of a runtime, by their number, of those that rendered."""
        return {
            f"{each.number:03}": self.project(each)
            for each in variants
            if each.runtime == runtime and self.project(each).exists()
        }


def render(
    template: Path, variants: list[Variant], folder: Path, polar_with: Callable[[str], str], say: Say
) -> Rendered:
    """Tier a."""
    done = Rendered(template, variants, folder)
    urls = (None if variant.catalogue == NONE else polar_with(variant.catalogue) for variant in variants)
    jobs = zip(variants, map(done.project, variants), urls, strict=True)
    read = processes.each(partial(_read, template), jobs, at_once=4)
    for count, (variant, (wrong, tests, alike)) in enumerate(zip(variants, read, strict=True), 1):
        done.tests[variant.number] = tests
        done.alike[f"{variant.number:03}"] = alike
        if wrong:
            done.faults[f"{variant.number:03}"] = wrong
        if count % 25 == 0 or count == len(variants):
            say(f"rendered: {count} of {len(variants)}")
    return done


def _read(template: Path, job: tuple[Variant, Path, str | None]) -> tuple[list[str], dict[str, frozenset[str]], str]:
    """Render a variant there with Polar at that address: what is wrong, the keys of its tests and of its code."""
    variant, project, polar_url = job
    try:
        files = Project(rendering.render(template, project, variant.answers, polar_url), template)
        read = files.files, generated(files.template)
        return list(files.faults()), own_tests(*read, _data(variant)), code_key(*read)
    except Exception as error:  # any error is a fault of this variant, and the others go on
        return [f"does not render: {type(error).__name__}: {error}"], {}, f"{variant.number:03}"


def _data(variant: Variant) -> list[str]:
    """What is sold: the labels of what was chosen of several, if it switches anything."""
    return [variant.labels[name] for name in variant.switching if isinstance(variant.answers[name], list)]


def types_and_lint(done: Rendered, variants: Sequence[Variant], folder: str, caches: Path, say: Say) -> Faults:
    """Tier b, of these."""
    faults: list[Faults] = []
    if workers := done.of("worker", variants):
        with Workers(folder, workers, done.template) as checked:
            faults += [checked.types_and_lint(done.alike, say), checked.bundles(done.alike, say)]
    if apps := done.of("fastapi", variants):
        faults.append(FastApis(apps, done.template).types_and_lint(caches, done.alike, say))
    return together(*faults)


def tests(done: Rendered, variants: Sequence[Variant], folder: str, say: Say) -> Faults:
    """Tier c, of these."""
    wanted = done.different(variants)
    all_files = sum(len(done.tests.get(variant.number, {})) for variant in variants)
    some = [variant for variant in variants if f"{variant.number:03}" in wanted]
    say(f"own tests: {sum(map(len, wanted.values()))} files of {len(some)} projects, for the {all_files} of all")
    faults: list[Faults] = []
    if workers := done.of("worker", some):
        with Workers(folder, workers, done.template) as checked:
            faults.append(checked.own_tests(wanted, say))
    if apps := done.of("fastapi", some):
        faults.append(FastApis(apps, done.template).own_tests(wanted, say))
    return together(*faults)


def report(variants: Sequence[Variant], faults: Faults) -> str:
    """What is wrong, with the answers and the command that shows it again."""
    by_number = {f"{variant.number:03}": variant for variant in variants}
    alike: dict[str, list[str]] = defaultdict(list)
    for number, wrong in faults.items():
        alike["\n".join(wrong)].append(number)
    return "\n\n".join(
        f"{by_number[numbers[0]]}{f' (and {len(numbers) - 1} more: {numbers[1:]})' if numbers[1:] else ''}\n{wrong}"
        for wrong, numbers in alike.items()
    )
