"""`catalog diff`: what the code sells, compared with what Polar has now."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.catalogues import CATALOGUES, benefit, fixed, metered, product
from tests.operations.polar_operations import PolarOperations
from tests.polar_server import Answer, rate_limited
from tests.tool.conftest import Tool
from tests.tool.fake_bridge import make_facts

DIFF = ("catalog", "diff")
UPDATE = "npm run billing -- update --defaults --data refresh_catalog=true"
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
    changed = {**old, "id": "new", "price_amount": 2100}
    sold["prices"] = [{**old, "is_archived": True}, changed, *others, metered("0.50")]


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
    "Lifetime": (_benefits, "benefits", "lifetime: gives Priority support + Phone at Polar, not Priority support"),
}


@pytest.fixture(autouse=True)
def _without_team(tool: Tool, polar: PolarOperations) -> None:
    """It is priced by seat, so the code does not have it."""
    sold = tool.bridge.facts["catalogue"]["products"]
    tool.bridge.facts["catalogue"]["products"] = [one for one in sold if one["name"] != "Team"]
    del polar.products[_find(polar, "Team")["id"]]


@pytest.mark.parametrize("runtime", ["worker", "fastapi"])
def test_a_catalogue_that_is_polars_has_no_difference(tool: Tool, polar: PolarOperations, runtime: str) -> None:
    facts = tool.bridge.facts
    tool.write_answers(runtime)
    tool.bridge.facts = {**facts, "runtime": runtime}
    ran = tool.run(*DIFF)
    assert ran.out == "The catalogue of the code is Polar's.\n"
    assert ran.err == "Target: Polar's sandbox\n"
    assert tool.run(*DIFF, "--json").json == {"differences": [], "command": None}
    assert {call.method for call in polar.calls} == {"GET"}
    assert {name for name, _ in tool.bridge.calls} == {"facts"}, "no database is needed"


@pytest.mark.parametrize(("changes", "code"), [(MATTERS, 1), (CHANGES, 0)], ids=["matter", "do-not"])
def test_changes_at_polar_are_named_and_end_with_1_where_they_matter(
    tool: Tool, polar: PolarOperations, changes: dict[str, tuple[Change, str, str]], code: int
) -> None:
    for name, (apply, _, _) in changes.items():
        apply(_find(polar, name))
    *lines, update = tool.run(*DIFF, code=code).out.splitlines()
    assert lines == [line for _, _, line in changes.values()]
    assert update == f"To bring it into the code: {UPDATE}"
    found = tool.run(*DIFF, "--json", code=code).json["differences"]
    assert [(one["kind"], one["matters"]) for one in found] == [(kind, bool(code)) for _, kind, _ in changes.values()]
    assert list(found[0]) == ["kind", "matters", "product", "id", "before", "after"]


def test_products_that_are_gone_or_new_are_named(tool: Tool, polar: PolarOperations) -> None:
    gone = polar.products.pop(_find(polar, "Lifetime")["id"])
    for added in (product("Gold", fixed(5)), product("Draft", fixed(5), visibility="draft")):
        polar.products[added["id"]] = added
    for number in range(150):
        old = {**gone, "id": f"old-{number}", "is_archived": True}
        polar.products = {old["id"]: old, **polar.products}
    assert tool.run(*DIFF, code=1).out.splitlines() == [
        "lifetime: is not at Polar",
        '"Gold": is for sale at Polar and not in the code',
        "To bring it into the code: npm run billing -- update --data refresh_catalog=true",
    ]
    found = tool.run(*DIFF, "--json", code=1).json["differences"]
    assert [(one["kind"], one["matters"]) for one in found] == [("missing", True), ("new", False)]


def test_a_new_product_is_chosen_by_the_command_that_is_named(tool: Tool, polar: PolarOperations) -> None:
    gold = product("Gold", fixed(5))
    polar.products[gold["id"]] = gold
    choose = "npm run billing -- update --data refresh_catalog=true"
    assert tool.run(*DIFF, "--json").json["command"] == choose, "it has no key yet: the question shows it"
    chosen = [one["key"] for one in tool.bridge.facts["catalogue"]["products"]]
    known = [{"id": gold["id"], "key": "gold"}]
    tool.write_answers("worker", products=chosen, polar_catalog={"products": known})
    command = tool.run(*DIFF, "--json").json["command"]
    assert command == f"{UPDATE} --data 'products=[{', '.join([*chosen, 'gold'])}]'"


def test_a_product_that_cannot_be_sold_is_named_with_the_reason_and_no_command(
    tool: Tool, polar: PolarOperations
) -> None:
    team = product("Seats", {**fixed(5), "amount_type": "seat_based"})
    polar.products[team["id"]] = team
    assert tool.run(*DIFF).out.splitlines() == [
        '"Seats": is for sale at Polar, and a project cannot sell it: "priced per seat, which is not supported yet"'
    ]
    assert tool.run(*DIFF, "--json").json["command"] is None


def test_a_product_that_is_archived_in_the_code_is_for_sale_again(tool: Tool) -> None:
    tool.bridge.facts["catalogue"]["products"][0]["archived"] = True
    key = tool.bridge.facts["catalogue"]["products"][0]["key"]
    assert tool.run(*DIFF).out.splitlines()[0] == f"{key}: is for sale at Polar again"


def test_a_private_product_that_is_hidden_or_not_chosen_is_no_difference(tool: Tool, polar: PolarOperations) -> None:
    hidden = tool.bridge.facts["catalogue"]["products"][0]
    hidden["archived"] = True
    polar.products[hidden["id"]]["visibility"] = "private"
    secret = product("Secret", fixed(5), visibility="private")
    polar.products[secret["id"]] = secret
    assert tool.run(*DIFF, "--json").json["differences"] == []


def test_demo_products_are_a_difference_that_needs_no_polar(tool: Tool, polar: PolarOperations) -> None:
    tool.bridge.facts["settings"]["server"] = "demo"
    found = tool.run(*DIFF, "--json", code=1).json
    assert [one["kind"] for one in found["differences"]] == ["demo"]
    assert found["command"] == "npm run billing -- update --data polar_server=sandbox"
    assert polar.calls == []


def test_unfit_settings_are_one_line(tool: Tool) -> None:
    tool.bridge.facts["settings"]["problem"] = "APP_URL: must be an origin.\nPOLAR_SERVER: must be known."
    ran = tool.run(*DIFF, code=1)
    assert ran.err == "Error: Settings: APP_URL: must be an origin. POLAR_SERVER: must be known.\n"


def test_a_token_that_may_not_read_products_is_one_clear_line(tool: Tool, polar: PolarOperations) -> None:
    polar.scopes = {"webhooks:read"}
    assert tool.run(*DIFF, "--json", code=1).error.startswith("Error: The access token lacks the scope products:read")


def test_products_with_fields_of_another_kind_are_read_tolerantly(tool: Tool, polar: PolarOperations) -> None:
    _find(polar, "Lifetime")["benefits"] = 7
    _find(polar, "Pro Yearly")["prices"] = [7, {}]
    _find(polar, "Pro Monthly")["name"] = 7
    found = tool.run(*DIFF, "--json", code=1).json["differences"]
    assert [(one["kind"], one["product"]) for one in found] == [("price", "pro_yearly"), ("benefits", "lifetime")]


def test_where_polar_has_it_wait_it_asks_again_and_says_so(tool: Tool, polar: PolarOperations) -> None:
    polar.next_answers = [rate_limited(1), rate_limited(0)]
    ran = tool.run(*DIFF)
    assert ran.err.splitlines()[1:] == ["Polar asks to wait for 1 s.", "Polar asks to wait for 0 s."]
    polar.always = lambda _: rate_limited(9999)
    assert "try again in 9999 seconds." in tool.run(*DIFF, code=1).error


def test_half_a_list_is_no_list(tool: Tool, polar: PolarOperations) -> None:
    polar.always = lambda _: Answer(200, {"items": []})
    assert "cannot be read" in tool.run(*DIFF, code=1).error


def test_texts_that_the_template_cleaned_are_no_difference(tool: Tool, polar: PolarOperations) -> None:
    """White space and controls are taken out of names; a name of nothing else has a stand-in."""
    tool.bridge.facts = make_facts(products=CATALOGUES["shop"](), base_url=polar.url)
    sold = tool.bridge.facts["catalogue"]["products"]
    tool.bridge.facts["catalogue"]["products"] = [one for one in sold if one["name"] != "Team"]
    _find(polar, "Lifetime")["name"] = "Life\u00a0time\u200b\n"
    _find(polar, "Free")["name"] = "\u200b \x00"
    assert tool.run(*DIFF).out == "The catalogue of the code is Polar's.\n"


def _find(polar: PolarOperations, name: str) -> Json:
    return next(one for one in polar.products.values() if one["name"] == name)
