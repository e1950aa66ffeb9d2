"""Variants for the replay of recorded histories: the answers of the pairwise subset, in running apps."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path

from tests.support import apps
from tests.support.render import template_copy
from tests.variants.combinations import Variant, legal, pairwise, polar_servers, variants

# What the replay settles itself: who signs in and how, whose catalogue it was, and what of it is sold.
_SETTLED = {"runtime", "database", "polar_server", "auth", "products", "premium_products", "sells"}


@cache
def other_answers() -> tuple[apps.Variant, ...]:
    """One app for each different set of the other answers on a runtime and store."""
    with tempfile.TemporaryDirectory() as folder, polar_servers() as polar_with:
        every = variants(legal(template_copy(Path(folder)), polar_with))
    return tuple({each.answers: each for each in map(_app, pairwise(every))}.values())


def _app(variant: Variant) -> apps.Variant:
    answers = tuple((name, answer) for name, answer in variant.answers.items() if name not in _SETTLED)
    database = str(variant.answers["database"])
    return apps.Variant(f"variant-{variant.number:03}", variant.runtime, database, answers=answers)
