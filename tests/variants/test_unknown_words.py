"""Words that nobody has heard of, in place of each enumeration of Polar's: the project renders, compiles and works.

Polar adds values to its enumerations without a new version of its API. Each is replaced alone, then all together.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.catalogues import organization, shop
from tests.polar_server import PolarServer
from tests.variants import tiers
from tests.variants.combinations import Variant
from tests.variants.questions import Value

UNHEARD = "unheard_of"
ALL = "all of them"
SOLD = 3
RUNTIMES = ("worker", "fastapi")
# Words that are no enumeration: names, texts, and what a merchant may invent.
FREE = {"name", "description", "slug", "id", "metadata", "price_currency", "default_presentment_currency"}
WORD = re.compile(r"[a-z]+(_[a-z]+)*")


def _enumerations(item: Any) -> Iterator[str]:
    """The names of the members that have a word of an enumeration."""
    if isinstance(item, list):
        for each in item:
            yield from _enumerations(each)
    elif isinstance(item, dict):
        for name, value in item.items():
            if name not in FREE and isinstance(value, str) and WORD.fullmatch(value):
                yield name
            elif name not in FREE:
                yield from _enumerations(value)


def _replaced(item: Any, wanted: Callable[[str], bool]) -> Any:
    """The same with an unheard word in the wanted members."""
    if isinstance(item, list):
        return [_replaced(each, wanted) for each in item]
    if not isinstance(item, dict):
        return item
    return {
        name: UNHEARD
        if wanted(name) and isinstance(value, str) and WORD.fullmatch(value)
        else (copy.deepcopy(value) if name in FREE else _replaced(value, wanted))
        for name, value in item.items()
    }


ENUMERATIONS = sorted(set(_enumerations([shop(), organization()])))


@pytest.fixture(scope="module")
def done(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tiers.Rendered]:
    """A project of each runtime for each enumeration, and one with all."""
    with ExitStack() as stack:

        def polar_with(name: str) -> str:
            def wanted(each: str) -> bool:
                return each == name or (name == ALL and each in ENUMERATIONS)

            products = [_replaced(each, wanted) for each in shop()]
            # What has no known price cannot be sold, and one product must be.
            for product, known in zip(products[:SOLD], shop(), strict=False):
                product["prices"] = known["prices"]
            server = PolarServer(products, _replaced(organization(), wanted))
            return stack.enter_context(server).url

        names = [(name, runtime) for name in (*ENUMERATIONS, ALL) for runtime in RUNTIMES]
        variants = [
            Variant(number, _answers(runtime), name, ("runtime",)) for number, (name, runtime) in enumerate(names, 1)
        ]
        yield tiers.render(template, variants, tmp_path_factory.mktemp("unheard"), polar_with, print)


def _answers(runtime: str) -> dict[str, Value]:
    answers = {"runtime": runtime, "polar_server": "sandbox"}
    return {name: Value(answer, answer) for name, answer in answers.items()}


def test_the_enumerations_of_the_catalogue_are_known() -> None:
    assert {"recurring_interval", "trial_interval", "amount_type", "visibility", "type", "proration_behavior"} <= {
        *ENUMERATIONS
    }


def test_all_render_and_show_the_word_as_it_is(done: tiers.Rendered) -> None:
    assert not done.faults, tiers.report(done.variants, done.faults)
    shown = [each for each in done.variants if UNHEARD in _catalogue(done.project(each))]
    assert {each.catalogue for each in shown} >= {"recurring_interval", "trial_interval", "type", ALL}


def _catalogue(project: Path) -> str:
    return "".join(
        (project / name).read_text()
        for name in ("src/billing/catalog.ts", "src/app/billing/catalog.py")
        if (project / name).exists()
    )


def test_all_have_fitting_types(done: tiers.Rendered, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = f"unheard-{tmp_path_factory.getbasetemp().name}"
    faults = tiers.types_and_lint(done, done.variants, folder, tmp_path_factory.mktemp("mypy"), print)
    assert not faults, tiers.report(done.variants, faults)


def test_their_own_tests_pass_with_all_at_once(done: tiers.Rendered, tmp_path_factory: pytest.TempPathFactory) -> None:
    everything = [each for each in done.variants if each.catalogue == ALL]
    folder = f"unheard-tests-{tmp_path_factory.getbasetemp().name}"
    faults = tiers.tests(done, everything, folder, print)
    assert not faults, tiers.report(done.variants, faults)
