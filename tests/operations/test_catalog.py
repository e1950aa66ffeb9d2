"""`catalog diff`: what the code sells, held against what Polar has now."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.catalogues import CATALOGUES, benefit, metered
from tests.operations.conftest import RUNTIMES
from tests.operations.polar_operations import PolarOperations
from tests.operations.side import Pair, Side
from tests.support import apps

DIFF = ("catalog", "diff")
UPDATE = "To bring it into the code: {billing} update --defaults --data refresh_catalog=true"
Json = dict[str, Any]
Change = Callable[[Json], object]


def _archive(sold: Json) -> None:
    sold["is_archived"] = True


def _draft(sold: Json) -> None:
    sold["visibility"] = "draft"


def _rename(sold: Json) -> None:
    sold["name"] = "Pro\x1b[31m"


def _price(sold: Json) -> None:
    old, *others = sold["prices"]
    sold["prices"] = [
        {**old, "is_archived": True},
        {**old, "id": "new", "price_amount": 2100},
        *others,
        metered("0.50"),
    ]


def _currency(sold: Json) -> None:
    sold["prices"].pop()


def _benefits(sold: Json) -> None:
    sold["benefits"] = [sold["benefits"][0], benefit("Phone")]


def _benefit_name(sold: Json) -> None:
    sold["benefits"] = [{**sold["benefits"][0], "description": "Support"}, *sold["benefits"][1:]]


MATTERS: dict[str, tuple[Change, str, str]] = {
    "Free": (_draft, "archived", "free: is no longer for sale at Polar"),
    "Pro Monthly": (
        _price,
        "price",
        "pro_monthly: costs fixed 18.00 eur + fixed 21.00 usd + metered_unit 0.005 usd per unit at Polar,"
        " not fixed 18.00 eur + fixed 19.00 usd",
    ),
    "Pro Yearly": (_archive, "archived", "pro_yearly: is no longer for sale at Polar"),
    "Lifetime": (
        _currency,
        "price",
        "lifetime: costs fixed 499.00 usd at Polar, not fixed 469.00 eur + fixed 499.00 usd",
    ),
}
CHANGES: dict[str, tuple[Change, str, str]] = {
    "Pro Monthly": (_rename, "renamed", 'pro_monthly: is called "Pro\ufffd[31m" at Polar, not "Pro Monthly"'),
    "Pro Yearly": (
        _benefit_name,
        "benefit_renamed",
        'pro_yearly: its benefit is called "Support" at Polar, not "Priority support"',
    ),
    "Lifetime": (
        _benefits,
        "benefits",
        "lifetime: gives Priority support + Phone at Polar, not Priority support",
    ),
}


def test_a_catalogue_that_is_polars_has_no_difference(pair: Pair) -> None:
    for side in pair.sides:
        del side.polar.products[_find(side, "Team")["id"]]  # it is priced by seat, so the code does not have it
    assert pair.both(*DIFF, stored=False).out == "The catalogue of the code is Polar's.\n"
    assert pair.both(*DIFF, "--json", stored=False).json == {"differences": [], "command": None}
    assert {call.method for side in pair.sides for call in side.polar.calls} == {"GET"}


@pytest.mark.parametrize(("changes", "code"), [(MATTERS, 1), (CHANGES, 0)], ids=["matter", "do-not"])
def test_changes_at_polar_are_named_and_end_with_1_where_they_matter(
    pair: Pair, changes: dict[str, tuple[Change, str, str]], code: int
) -> None:
    for side in pair.sides:
        del side.polar.products[_find(side, "Team")["id"]]
        for name, (apply, _, _) in changes.items():
            apply(_find(side, name))
    *lines, update = pair.both(*DIFF, code=code, stored=False).out.splitlines()
    assert lines == [line for _, _, line in changes.values()]
    assert update == UPDATE
    found = pair.both(*DIFF, "--json", code=code, stored=False).json["differences"]
    assert [(one["kind"], one["matters"]) for one in found] == [(kind, bool(code)) for _, kind, _ in changes.values()]


def test_hostile_products_have_no_difference_either(
    template: Path, polar_with: Callable[[str], str], tmp_path: Path
) -> None:
    project = apps.rendered_once("hostile", template, polar_with, tmp_path)
    with PolarOperations(CATALOGUES["hostile"]()) as polar:
        sides = [Side(variant, project(variant), tmp_path / "stores" / variant.name, polar) for variant in RUNTIMES]
        found = Pair(*sides).both(*DIFF, "--json", stored=False).json["differences"]
    assert {one["kind"] for one in found} == {"unsellable"}  # the project has all that it can sell


def _find(side: Side, name: str) -> Json:
    return next(one for one in side.polar.products.values() if one["name"] == name)
