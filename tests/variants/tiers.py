"""Rendering and checking variants: what `uv run pytest` and `python -m tests.variants` have in common.

Tier a: it renders, and its files are as they should be. Tier b: types and lint. Tier c: its own tests.
"""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.variants import rendering
from tests.variants.checks import FastApis, Faults, Say, Workers, together
from tests.variants.combinations import NONE, Variant
from tests.variants.files import Project, generated

# What no type checker and no test reads.
_PROSE = re.compile(r".*\.md|\.mcp\.json|\.copier-answers\.yml|worker-configuration\.d\.ts")
_LITERAL = re.compile(r'"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'|\b\d[\d_.]*\b|=\S+$|https?://\S+', re.MULTILINE)


@dataclass
class Rendered:
    """Variants that were rendered, and what is wrong with them so far."""

    template: Path
    variants: list[Variant]
    folder: Path
    faults: Faults = field(default_factory=dict)
    skeletons: dict[int, str] = field(default_factory=dict)

    def project(self, variant: Variant) -> Path:
        """Where it is."""
        return self.folder / f"{variant.number:03}"

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
    for count, variant in enumerate(variants, 1):
        url = None if variant.catalogue == NONE else polar_with(variant.catalogue)
        try:
            project = rendering.render(template, done.project(variant), variant.answers, url)
            wrong = list(Project(project, template).faults())
            done.skeletons[variant.number] = skeleton(project, template)
        except Exception as error:  # any error is a fault of this variant, and the others go on
            wrong = [f"does not render: {type(error).__name__}: {error}"]
        if wrong:
            done.faults[f"{variant.number:03}"] = wrong
        if count % 25 == 0 or count == len(variants):
            say(f"rendered: {count} of {len(variants)}")
    return done


def check(done: Rendered, variants: Sequence[Variant], folder: str, caches: Path, tiers: str, say: Say) -> Faults:
    """Tiers b and c, of these."""
    faults: list[Faults] = []
    if workers := done.of("worker", variants):
        with Workers(folder, workers, done.template) as checked:
            faults += [checked.types_and_lint(say), checked.bundles(say)] if "b" in tiers else []
            faults += [checked.own_tests(say)] if "c" in tiers else []
    if apps := done.of("fastapi", variants):
        checker = FastApis(apps, caches, done.template)
        faults += [checker.types_and_lint(say)] if "b" in tiers else []
        faults += [checker.own_tests(say)] if "c" in tiers else []
    return together(*faults)


def different(done: Rendered, variants: Sequence[Variant]) -> list[Variant]:
    """The first of all that are the same but for literals: nothing else could come of the others' tests."""
    first: dict[str, Variant] = {}
    for variant in variants:
        first.setdefault(done.skeletons.get(variant.number, str(variant.number)), variant)
    return list(first.values())


def skeleton(project: Path, template: Path) -> str:
    """A hash of a project without its literals.

    Files without Jinja count as they are. A generated file counts by the kinds of lines it has: a catalogue of ten
    products has no line that one of two such products has not.
    """
    runtime = template / "template" / ("worker" if (project / "package.json").exists() else "fastapi")
    rendered = set(generated(runtime))
    digest = hashlib.sha256()
    for path in sorted(project.rglob("*")):
        name = path.relative_to(project).as_posix()
        if path.is_file() and not _PROSE.fullmatch(path.name):
            text = path.read_text()
            digest.update(f"{name}\0{_kinds_of_lines(text) if name in rendered else text}\0".encode())
    return digest.hexdigest()


def _kinds_of_lines(text: str) -> str:
    lines = _LITERAL.sub("…", text).splitlines()
    return "\n".join(sorted({line for line in lines if not line.lstrip().startswith(("//", "#"))}))


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
