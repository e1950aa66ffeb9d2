"""Running apps with other answers than the default ones: those of the pairwise subset, for the suites that drive apps.

Which apps a test runs at is said here: by default `VARIANTS`, and with `--all-variants` these too.
"""

from __future__ import annotations

import tempfile
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from tests.support import apps
from tests.support.api_version import API_VERSION
from tests.support.render import template_copy
from tests.variants.combinations import Variant, legal, pairwise, polar_servers, variants

# What these suites settle themselves: who signs in and how, whose catalogue it was, and what of it is sold.
_SETTLED = {"runtime", "database", "polar_server", "auth", "products", "premium_products", "sells"}
# What made-up lives take for granted: payments fail within the grace of the tests' shop, and after it.
_OF_LIVES = {"past_due_grace_days"}
# What switches code that the suites drive, as the apps of `VARIANTS` have it.
_SWITCHING = {"notifications": "none", "polar_api_version": API_VERSION}


def replayed(config: pytest.Config) -> tuple[apps.Variant, ...]:
    """Every runtime and store; with `--all-variants` each different set of the other answers there too."""
    return (*apps.VARIANTS, *(other_answers() if config.getoption("--all-variants") else ()))


def conforming(config: pytest.Config) -> tuple[apps.Variant, ...]:
    """Every runtime and store; with `--all-variants` each different code there too."""
    return (*apps.VARIANTS, *(other_code() if config.getoption("--all-variants") else ()))


@cache
def other_answers() -> tuple[apps.Variant, ...]:
    """One app for each different set of the other answers on a runtime and store."""
    with tempfile.TemporaryDirectory() as folder, polar_servers() as polar_with:
        every = variants(legal(template_copy(Path(folder)), polar_with))
    made = map(_app, pairwise(every))
    return tuple({(each.runtime, each.database, each.answers): each for each in made}.values())


def other_code() -> tuple[apps.Variant, ...]:
    """One app for each different set of what switches code on a runtime and store."""
    found: dict[tuple[object, ...], apps.Variant] = {}
    for each in other_answers():
        answers = dict(each.answers)
        code = {name: answers[name] for name in _SWITCHING}
        kept = tuple((name, answer) for name, answer in each.answers if name not in _OF_LIVES)
        if code != _SWITCHING:
            found.setdefault((each.runtime, each.database, *code.values()), replace(each, answers=kept))
    return tuple(found.values())


def _app(variant: Variant) -> apps.Variant:
    answers = tuple((name, answer) for name, answer in variant.answers.items() if name not in _SETTLED)
    database = str(variant.answers["database"])
    return apps.Variant(f"variant-{variant.number:03}", variant.runtime, database, answers=answers)
