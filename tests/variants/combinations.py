"""All variants: every combination of what switches files or code, with the other answers and catalogues in pairs.

What switches (see `questions.py` and `switches.py`) is crossed in full. The rest changes literals and how often a loop
runs: it is spread over those combinations so that each of its values meets each other value of the rest, and each
value of what switches, at least once where both are legal together.
"""

from __future__ import annotations

import json
import shlex
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache, partial
from itertools import combinations, count
from pathlib import Path
from typing import Any

from tests.catalogues import CATALOGUES, large
from tests.polar_server import AnyVersion
from tests.support.render import polar_at
from tests.variants import processes, rendering
from tests.variants.questions import Combination, Questionnaire, Value

# The largest one in short: nothing is asked 250 times to see a loop run.
OF_POLAR: dict[str, Callable[[], list[dict[str, Any]]]] = {**CATALOGUES, "large": partial(large, 24)}
CATALOGUE = "catalogue"
NONE = "none"  # Polar is not asked
Pair = tuple[tuple[str, str], tuple[str, str]]


@contextmanager
def polar_servers() -> Iterator[Callable[[str], str]]:
    """The address of a stand-in for Polar with the catalogue of that name; started when first asked for."""
    with ExitStack() as stack:
        yield cache(lambda name: stack.enter_context(AnyVersion(OF_POLAR[name]())).url)


@dataclass(frozen=True)
class Variant:
    """Answers of a legal project, and the catalogue that Polar has for them."""

    number: int
    values: dict[str, Value]
    catalogue: str
    switching: tuple[str, ...]

    @property
    def name(self) -> str:
        """Its number and what switches in it."""
        return "-".join([f"{self.number:03}", *(str(self.values[name].label) for name in self.switching)])

    @property
    def runtime(self) -> str:
        return str(self.answers["runtime"])

    @property
    def answers(self) -> dict[str, Any]:
        """What `copier copy --data` is given."""
        return {name: value.answer for name, value in self.values.items()}

    @property
    def labels(self) -> dict[str, str]:
        """Every dimension's value, by the name under which pairs know it."""
        return {CATALOGUE: self.catalogue, **{name: value.label for name, value in self.values.items()}}

    @property
    def command(self) -> str:
        """What renders and checks this variant alone."""
        return f"uv run python -m tests.variants {self.number}"

    def __str__(self) -> str:
        data = " ".join(shlex.quote(f"{name}={json.dumps(answer)}") for name, answer in self.answers.items())
        return f"variant {self.name}\n  catalogue {self.catalogue}; {data}\n  again: {self.command}"


def pairs(variant: Variant, among: Iterable[str] | None = None) -> set[Pair]:
    """The pairs of values that a variant has, of these dimensions or all."""
    wanted = None if among is None else set(among)
    chosen = sorted((name, label) for name, label in variant.labels.items() if wanted is None or name in wanted)
    return set(combinations(chosen, 2))


def legal(template: Path, polar_with: Callable[[str], str]) -> dict[Any, dict[str, Combination]]:
    """Every combination of what switches, and for each catalogue that allows it what it looks like there."""
    found: dict[Any, dict[str, Combination]] = defaultdict(dict)
    catalogues = list(OF_POLAR)
    everywhere = processes.each(partial(_legal_at, template), map(polar_with, catalogues))
    for catalogue, combinations_there in zip(catalogues, everywhere, strict=True):
        for combination in combinations_there:
            found[combination.key][catalogue] = combination
    return {key: _without_polar(by_catalogue) for key, by_catalogue in found.items()}


def _legal_at(template: Path, polar_url: str) -> list[Combination]:
    """Every combination where Polar is there."""
    with (
        tempfile.TemporaryDirectory() as folder,
        polar_at(polar_url),
        rendering.worker(template, Path(folder, "nowhere"), {}) as worker,
    ):
        return list(Questionnaire(worker).combinations())


def _without_polar(by_catalogue: dict[str, Combination]) -> dict[str, Combination]:
    """One entry where it is all the same what Polar has: it is not asked."""
    first, *others = by_catalogue.values()
    asked = len(by_catalogue) < len(OF_POLAR) or any(other != first for other in others)
    return by_catalogue if asked else {NONE: first}


def variants(possible: dict[Any, dict[str, Combination]]) -> list[Variant]:
    """Every combination once, and once more where pairs of the other answers need it."""
    wanted = {pair for by_catalogue in possible.values() for pair in _possible(by_catalogue)}
    numbers = count(1)
    made: list[Variant] = []
    for by_catalogue in possible.values():
        made.append(_most_new(next(numbers), by_catalogue, wanted))
        wanted -= pairs(made[-1])
    while wanted:
        pair = min(wanted)
        by_catalogue = next(each for each in possible.values() if pair in _possible(each))
        made.append(_most_new(next(numbers), by_catalogue, wanted, dict(pair)))
        wanted -= pairs(made[-1])
    return made


def pairwise(made: list[Variant]) -> list[Variant]:
    """The fewest variants, as far as a greedy choice finds them, with all pairs of what switches and the catalogue.

    Every other value is in one of them at least.
    """
    values = {item for variant in made for item in variant.labels.items()}
    wanted: set[Any] = set().union(*(_of_code(variant) for variant in made)) | values
    chosen: list[Variant] = []
    while wanted:
        best = max(made, key=lambda variant: len(wanted & (_of_code(variant) | set(variant.labels.items()))))
        chosen.append(best)
        wanted -= _of_code(best) | set(best.labels.items())
    return sorted(chosen, key=lambda variant: variant.number)


def one_per_store(some: list[Variant]) -> list[Variant]:
    """Return the first variant of each runtime and database."""
    first: dict[tuple[str, str], Variant] = {}
    for variant in some:
        first.setdefault((variant.runtime, str(variant.answers["database"])), variant)
    return list(first.values())


def _of_code(variant: Variant) -> set[Pair]:
    return pairs(variant, {CATALOGUE, *variant.switching})


def _candidates(by_catalogue: dict[str, Combination]) -> Iterator[tuple[str, dict[str, list[Value]]]]:
    """For each catalogue the values of every dimension."""
    for catalogue, combination in by_catalogue.items():
        fixed = {name: [value] for name, value in combination.chosen.items()}
        yield catalogue, {**fixed, **combination.open}


def _possible(by_catalogue: dict[str, Combination]) -> Iterator[Pair]:
    """Every pair of values that is legal together."""
    for catalogue, values in _candidates(by_catalogue):
        labels = {CATALOGUE: [catalogue], **{name: [v.label for v in each] for name, each in values.items()}}
        for one, other in combinations(sorted(labels), 2):
            yield from (((one, a), (other, b)) for a in labels[one] for b in labels[other])


def _most_new(
    number: int, by_catalogue: dict[str, Combination], wanted: set[Pair], must: dict[str, str] | None = None
) -> Variant:
    """The combination with what adds most pairs; a dimension at a time, each with those decided before."""
    must = must or {}
    best: tuple[int, Variant] | None = None
    for catalogue, values in _candidates(by_catalogue):
        if must.get(CATALOGUE, catalogue) != catalogue:
            continue
        allowed = {name: [v for v in each if must.get(name, v.label) == v.label] for name, each in values.items()}
        if not all(allowed.values()):
            continue
        labels, chosen = {CATALOGUE: catalogue}, dict[str, Value]()
        for name in sorted(allowed, key=lambda name: len(allowed[name])):
            chosen[name] = max(allowed[name], key=lambda value: _new(name, value.label, labels, wanted))
            labels[name] = chosen[name].label
        order = {name: chosen[name] for name in values}
        switching = tuple(by_catalogue[catalogue].chosen)
        variant = Variant(number, order, catalogue, switching)
        gain = len(pairs(variant) & wanted)
        if best is None or gain > best[0]:
            best = gain, variant
    assert best is not None, f"{must} is legal nowhere"
    return best[1]


def _new(name: str, label: str, labels: dict[str, str], wanted: set[Pair]) -> int:
    mine = (name, label)
    return sum((min(mine, other), max(mine, other)) in wanted for other in labels.items())
