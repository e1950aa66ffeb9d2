"""`catalog diff`: what the code sells, held against what Polar has now."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.catalogues import CATALOGUES, benefit, fixed, metered, product
from tests.operations.conftest import RUNTIMES
from tests.operations.polar_operations import PolarOperations
from tests.operations.side import Pair, Side
from tests.polar_server import Answer, rate_limited
from tests.support import apps

DIFF = ("catalog", "diff")
UPDATE = "To bring it into the code: copier update --trust --defaults --data refresh_catalog=true"
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
        "pro_monthly: costs fixed 1800 eur + fixed 2100 usd + metered_unit 0.5 usd at Polar,"
        " not fixed 1800 eur + fixed 1900 usd",
    ),
    "Pro Yearly": (_archive, "archived", "pro_yearly: is no longer for sale at Polar"),
    "Lifetime": (
        _currency,
        "price",
        "lifetime: costs fixed 49900 usd at Polar, not fixed 46900 eur + fixed 49900 usd",
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


def test_products_that_are_gone_or_new_are_named(pair: Pair) -> None:
    for side in pair.sides:
        gone = side.polar.products.pop(_find(side, "Lifetime")["id"])
        for added in (product("Gold", fixed(5)), product("Draft", fixed(5), visibility="draft")):
            side.polar.products[added["id"]] = added
        for number in range(150):
            old = {**gone, "id": f"old-{number}", "is_archived": True}
            side.polar.products = {old["id"]: old, **side.polar.products}
    *lines, update = pair.both(*DIFF, code=1, stored=False).out.splitlines()
    assert lines[0] == "lifetime: is not at Polar"
    assert sorted(lines[1:]) == [f'"{name}": is for sale at Polar and not in the code' for name in ("Gold", "Team")]
    assert update == UPDATE
    found = pair.both(*DIFF, "--json", code=1, stored=False).json["differences"]
    assert [(one["kind"], one["matters"]) for one in found] == [("missing", True), ("new", False), ("new", False)]


def test_demo_products_are_a_difference_that_needs_no_polar(pair: Pair) -> None:
    found = pair.both(*DIFF, "--json", code=1, stored=False, POLAR_SERVER="demo").json
    assert [one["kind"] for one in found["differences"]] == ["demo"]
    assert found["command"] == "copier update --trust --data polar_server=sandbox"
    assert not [side for side in pair.sides if side.polar.calls]


def test_a_token_that_may_not_read_products_is_one_clear_line(pair: Pair) -> None:
    for side in pair.sides:
        side.polar.scopes = {"webhooks:read"}
    err = pair.both(*DIFF, "--json", code=1, stored=False).err
    assert err.splitlines()[1].startswith("Error: The access token lacks the scope products:read")


def test_products_with_fields_of_another_kind_are_read_tolerantly(pair: Pair) -> None:
    for side in pair.sides:
        _find(side, "Lifetime")["benefits"] = 7
        _find(side, "Pro Yearly")["prices"] = [7, {}]
        _find(side, "Pro Monthly")["name"] = 7
    found = pair.both(*DIFF, "--json", code=1, stored=False).json["differences"]
    assert [(one["kind"], one["product"]) for one in found[:2]] == [("price", "pro_yearly"), ("benefits", "lifetime")]


def test_where_polar_has_it_wait_it_asks_again_and_says_so(pair: Pair) -> None:
    for side in pair.sides:
        del side.polar.products[_find(side, "Team")["id"]]
        side.polar.next_answers = [rate_limited(1), rate_limited(0)]
    ran = pair.both(*DIFF, stored=False)
    assert ran.out == "The catalogue of the code is Polar's.\n"
    assert ran.err.splitlines()[1:] == ["Polar asks to wait for 1 s.", "Polar asks to wait for 0 s."]
    for side in pair.sides:
        side.polar.always = lambda _: rate_limited(9999)
    assert "try again in 9999 seconds." in pair.both(*DIFF, code=1, stored=False).err


def test_half_a_list_is_no_list(pair: Pair) -> None:
    for side in pair.sides:
        side.polar.always = lambda _: Answer(200, {"items": []})
    assert "cannot be read" in pair.both(*DIFF, code=1, stored=False).err


def test_hostile_products_have_no_difference_either(
    template: Path, polar_with: Callable[[str], str], tmp_path: Path
) -> None:
    project = apps.rendered_once("hostile", template, polar_with, tmp_path)
    with PolarOperations(CATALOGUES["hostile"]()) as polar:
        sides = [Side(variant, project(variant), tmp_path / "stores" / variant.name, polar) for variant in RUNTIMES]
        found = Pair(*sides).both(*DIFF, "--json", stored=False).json["differences"]
    assert {one["kind"] for one in found} <= {"new"}


def _find(side: Side, name: str) -> Json:
    return next(one for one in side.polar.products.values() if one["name"] == name)
