"""A refresh brings what changed at Polar into a real project, and touches nothing that does not follow from it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from copier.errors import UserMessageError

from tests.catalogues import benefit, fixed, product
from tests.conftest import commit, git
from tests.polar_server import Answer, PolarServer
from tests.profiles import FASTAPI_PROFILES, WORKER_PROFILES, Profile
from tests.updates import history
from tests.updates.conftest import Made, Servers
from tests.updates.project import Project

SHOPS = [profile for profile in (*WORKER_PROFILES, *FASTAPI_PROFILES) if profile.name.endswith("shop")]
ANSWERS, README = ".copier-answers.yml", "README.md"
CATALOGS = {"worker": "src/billing/catalog.ts", "fastapi": "src/app/billing/catalog.py"}
CATALOG = "the catalogue"
NOTE = "Ours, and to stay.\n"
Products = dict[str, dict[str, Any]]


@pytest.fixture(params=SHOPS, ids=lambda profile: profile.name)
def profile(request: pytest.FixtureRequest) -> Profile:
    found: Profile = request.param
    return found


@pytest.fixture
def project(profile: Profile, made: Made) -> Project:
    """The newest version's project, with a line of its user's in each file that a refresh may touch."""
    found = made(profile, history.newest())
    comment = {"worker": "// ", "fastapi": "# "}[profile.runtime]
    for name, prefix in ((README, "\n"), (CATALOGS[profile.runtime], comment)):
        file = found.folder / name
        file.write_text(file.read_text() + prefix + NOTE)
    commit(found.folder, "ours")
    return found


@pytest.fixture
def shop(servers: Servers) -> PolarServer:
    return servers("shop")


def refreshed(project: Project, profile: Profile, shop: PolarServer, **data: Any) -> dict[str, str]:
    """Refresh; the lines that this removed and added, by file, and every other line of the user's still there."""
    project.refresh(shop, **data)
    assert project.conflicts == []
    catalog = CATALOGS[profile.runtime]
    for name in (README, catalog):
        assert (project.folder / name).read_text().endswith(NOTE)
    return {
        CATALOG if name == catalog else name: "\n".join(
            line
            for line in git(project.folder, "diff", "--unified=0", "--", name).splitlines()
            if line.startswith(("+", "-")) and not line.startswith(("+++", "---"))
        )
        for name in project.changed
    }


def by_name(shop: PolarServer) -> Products:
    return {item["name"]: item for item in shop.products}


def lines(diff: str, sign: str) -> list[str]:
    return [line[1:].strip() for line in diff.splitlines() if line.startswith(sign)]


def test_a_price_that_changed(project: Project, profile: Profile, shop: PolarServer) -> None:
    by_name(shop)["Pro Monthly"]["prices"][0]["price_amount"] = 2345
    changes = refreshed(project, profile, shop)
    assert set(changes) == {ANSWERS, CATALOG}
    for diff in changes.values():
        (before,), (after,) = lines(diff, "-"), lines(diff, "+")
        assert before.replace("1900", "2345") == after


def test_a_product_that_was_renamed_keeps_its_key(project: Project, profile: Profile, shop: PolarServer) -> None:
    by_name(shop)["Pro Monthly"]["name"] = "Professional"
    changes = refreshed(project, profile, shop)
    assert set(changes) == {ANSWERS, CATALOG, README}
    for diff in changes.values():
        (before,), (after,) = lines(diff, "-"), lines(diff, "+")
        assert before.replace("Pro Monthly", "Professional") == after


def test_a_product_that_is_new_is_offered(project: Project, profile: Profile, shop: PolarServer) -> None:
    shop.products.append(product("Ultra", fixed(9900), interval="month"))
    changes = refreshed(project, profile, shop)
    assert set(changes) == {ANSWERS}
    assert lines(changes[ANSWERS], "-") == []
    assert "key: ultra" in lines(changes[ANSWERS], "+")
    commit(project.folder, "offered")
    keys = [*project.answers["products"], "ultra"]
    changes = refreshed(project, profile, shop, products=keys, premium_products=keys[1:])
    assert set(changes) == {ANSWERS, CATALOG, README}
    assert lines(changes[CATALOG], "-") == []
    assert lines(changes[ANSWERS], "-") == []
    assert lines(changes[ANSWERS], "+") == ["- ultra", "- ultra"]


def test_a_chosen_product_that_was_archived_stays(project: Project, profile: Profile, shop: PolarServer) -> None:
    """In its place: neither it nor a benefit that only it has moves a line."""
    monthly, yearly, lifetime = (by_name(shop)[name] for name in ("Pro Monthly", "Pro Yearly", "Lifetime"))
    monthly["benefits"].insert(0, lifetime["benefits"].pop())
    lifetime["benefits"] = [benefit("Only for life")]
    yearly["benefits"].append(benefit("Last"))
    project.refresh(shop)
    commit(project.folder, "other benefits")
    lifetime["is_archived"] = True
    changes = refreshed(project, profile, shop)
    assert set(changes) == {ANSWERS, CATALOG}
    (before,), (after,) = lines(changes[CATALOG], "-"), lines(changes[CATALOG], "+")
    assert before.lower().replace("false", "true") == after.lower()
    assert "lifetime" in project.answers["products"]


def test_another_product_that_was_archived_goes(project: Project, profile: Profile, shop: PolarServer) -> None:
    assert "team" not in project.answers["products"]
    by_name(shop)["Team"]["is_archived"] = True
    changes = refreshed(project, profile, shop)
    assert set(changes) == {ANSWERS}
    assert lines(changes[ANSWERS], "+") == []
    assert "key: team" in lines(changes[ANSWERS], "-")


def test_a_currency_that_was_added(project: Project, profile: Profile, shop: PolarServer) -> None:
    lifetime = by_name(shop)["Lifetime"]
    lifetime["prices"].append({**fixed(40000, "gbp"), "id": "7d6a3f1c-7a0e-4f1e-9c84-3c9c0c1f5a01"})
    changes = refreshed(project, profile, shop)
    assert set(changes) == {ANSWERS, CATALOG}
    for diff in changes.values():
        assert lines(diff, "-") == []
        assert "gbp" in diff
        assert "40000" in diff


def test_a_benefit_that_was_added(project: Project, profile: Profile, shop: PolarServer) -> None:
    by_name(shop)["Lifetime"]["benefits"].append(benefit("Early access"))
    changes = refreshed(project, profile, shop)
    assert set(changes) == {ANSWERS, CATALOG}
    assert lines(changes[ANSWERS], "-") == []
    assert "early_access" in changes[ANSWERS]
    (before,) = lines(changes[CATALOG], "-")
    assert "priority_support" in before, "the line of the product's benefits, and no other, is another"
    assert any("priority_support" in line and "early_access" in line for line in lines(changes[CATALOG], "+"))


def _emptied(shop: PolarServer) -> None:
    shop.products = []


def _down_after_the_first_page(shop: PolarServer) -> None:
    shop.products += [product(f"Plan {number}", fixed(number)) for number in range(120)]
    answered: list[str] = []

    def second(path: str) -> Answer | None:
        answered.append(path)
        return Answer(503, "maintenance") if len(answered) > 1 else None

    shop.always = second


def _down_after_the_products(shop: PolarServer) -> None:
    shop.always = lambda path: Answer(500, "oops") if "organizations" in path else None


@pytest.mark.parametrize(
    ("trouble", "says"),
    [
        (_emptied, "no products for sale .* Nothing was changed"),
        (_down_after_the_first_page, "a fault of its own"),
        (_down_after_the_products, "a fault of its own"),
    ],
)
def test_what_stops_a_refresh_changes_nothing(
    trouble: Callable[[PolarServer], None],
    says: str,
    project: Project,
    shop: PolarServer,
    short_waits: list[float],
) -> None:
    trouble(shop)
    with pytest.raises(UserMessageError, match=says):
        project.refresh(shop)
    assert len(shop.requests) > 1 or not shop.products
    assert project.changed == set()
