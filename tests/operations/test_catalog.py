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
from tests.polar_server import Answer
from tests.support import apps

DIFF = ("catalog", "diff")
UPDATE = "To bring it into the code: copier update --trust --defaults --data refresh_catalog=true"
Json = dict[str, Any]
Change = Callable[[Json], object]
PRO, LIFETIME = "Pro Monthly", "Lifetime"


def _archive(sold: Json) -> None:
    sold["is_archived"] = True


def _draft(sold: Json) -> None:
    sold["visibility"] = "draft"


def _rename(sold: Json) -> None:
    sold["name"] = "Pro\x1b[31m"


def _price(sold: Json) -> None:
    old, *others = sold["prices"]
    sold["prices"] = [{**old, "is_archived": True}, {**old, "id": "new", "price_amount": 2100}, *others]


def _currency(sold: Json) -> None:
    sold["prices"].pop()


def _meter(sold: Json) -> None:
    sold["prices"].append(metered("0.50"))


def _benefits(sold: Json) -> None:
    sold["benefits"] = [sold["benefits"][0], benefit("Phone")]


def _benefit_name(sold: Json) -> None:
    sold["benefits"] = [{**sold["benefits"][0], "description": "Support"}, *sold["benefits"][1:]]


CHANGES: dict[str, tuple[str, Change, int, str, str]] = {
    "archived": (PRO, _archive, 1, "archived", "pro_monthly: is no longer for sale at Polar"),
    "draft": (PRO, _draft, 1, "archived", "pro_monthly: is no longer for sale at Polar"),
    "renamed": (PRO, _rename, 0, "renamed", 'pro_monthly: is called "Pro\ufffd[31m" at Polar, not "Pro Monthly"'),
    "price": (
        PRO,
        _price,
        1,
        "price",
        "pro_monthly: costs fixed 1800 eur + fixed 2100 usd at Polar, not fixed 1800 eur + fixed 1900 usd",
    ),
    "currency": (
        LIFETIME,
        _currency,
        1,
        "price",
        "lifetime: costs fixed 49900 usd at Polar, not fixed 46900 eur + fixed 49900 usd",
    ),
    "meter": (
        PRO,
        _meter,
        1,
        "price",
        "pro_monthly: costs fixed 1800 eur + fixed 1900 usd + metered_unit 0.5 usd at Polar,"
        " not fixed 1800 eur + fixed 1900 usd",
    ),
    "benefits": (
        LIFETIME,
        _benefits,
        0,
        "benefits",
        "lifetime: gives Phone + Priority support at Polar, not Priority support",
    ),
    "benefit": (
        LIFETIME,
        _benefit_name,
        0,
        "benefit_renamed",
        'lifetime: its benefit is called "Support" at Polar, not "Priority support"',
    ),
}


def test_a_catalogue_that_is_polars_has_no_difference(pair: Pair) -> None:
    for side in pair.sides:
        del side.polar.products[_find(side, "Team")["id"]]  # it is priced by seat, so the code does not have it
    assert pair.both(*DIFF, stored=False).out == "The catalogue of the code is Polar's.\n"
    assert pair.both(*DIFF, "--json", stored=False).json == {"differences": [], "command": None}
    assert {call.method for side in pair.sides for call in side.polar.calls} == {"GET"}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_at_polar_is_named_and_ends_with_1_where_it_matters(pair: Pair, change: str) -> None:
    name, apply, code, kind, line = CHANGES[change]
    for side in pair.sides:
        del side.polar.products[_find(side, "Team")["id"]]
        apply(_find(side, name))
    said, update = pair.both(*DIFF, code=code, stored=False).out.splitlines()
    assert said.startswith(line)
    assert update == UPDATE
    (difference,) = pair.both(*DIFF, "--json", code=code, stored=False).json["differences"]
    assert (difference["kind"], difference["matters"]) == (kind, bool(code))
    assert difference["id"] == _find(pair.worker, "Pro\x1b[31m" if kind == "renamed" else name)["id"]


def test_products_that_are_gone_or_new_are_named(pair: Pair) -> None:
    for side in pair.sides:
        gone = side.polar.products.pop(_find(side, LIFETIME)["id"])
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


@pytest.mark.parametrize("field", ["name", "prices", "benefits"])
def test_a_product_with_fields_of_another_kind_is_read_tolerantly(pair: Pair, field: str) -> None:
    for side in pair.sides:
        _find(side, PRO)[field] = 7
    pair.both(*DIFF, "--json", code=1 if field == "prices" else 0, stored=False)


def test_half_a_list_is_no_list(pair: Pair) -> None:
    for side in pair.sides:
        side.polar.always = lambda _: Answer(200, {"items": []})
    assert "cannot be read" in pair.both(*DIFF, code=1, stored=False).err


def test_hostile_products_have_no_difference_either(
    template: Path, polar_with: Callable[[str], str], tmp_path: Path
) -> None:
    project = apps.rendered_once("hostile", template, polar_with, tmp_path)
    with PolarOperations(CATALOGUES["hostile"]()) as polar:
        sides = [Side(variant, project(variant), tmp_path / variant.name, polar) for variant in RUNTIMES]
        for side in sides:
            (side.folder).mkdir()
            if side.variant.runtime == "fastapi":
                (side.folder / "billing.sqlite3").touch()
        found = Pair(*sides).both(*DIFF, "--json", stored=False).json["differences"]
    assert {one["kind"] for one in found} <= {"new"}


def _find(side: Side, name: str) -> Json:
    return next(one for one in side.polar.products.values() if one["name"] == name)
