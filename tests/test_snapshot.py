"""The recorded catalogue: what an update keeps, what a refresh brings, and what stops either."""

from __future__ import annotations

import re
import shutil
from collections.abc import Generator
from pathlib import Path

import copier
import pytest
import yaml
from copier.errors import UserMessageError

from tests.catalogues import benefit, fixed, organization, product, seats, shop
from tests.conftest import FACTS, commit, git
from tests.polar_server import NOT_FOUND, WEB_PAGE, Answer, PolarServer
from tests.support.render import TOKEN, polar_at
from tests.updates.project import Project

CATALOG = "catalog.txt"


@pytest.fixture
def project(git_template: Path, tmp_path: Path) -> Project:
    return Project(git_template, tmp_path / "app")


@pytest.fixture(scope="module")
def shop_server() -> Generator[PolarServer]:
    """One server for all these tests: its address is in the snapshots."""
    with PolarServer(shop()) as server:
        yield server


@pytest.fixture
def polar(shop_server: PolarServer) -> PolarServer:
    """The server with the usual shop, whatever the test before made of it."""
    shop_server.products, shop_server.organization = shop(), organization()
    shop_server.always = lambda path: None
    shop_server.requests.clear()
    return shop_server


@pytest.fixture(scope="module")
def made(git_template: Path, shop_server: PolarServer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project made from the usual shop, once."""
    return Project(git_template, tmp_path_factory.mktemp("made") / "app").create(shop_server).folder


@pytest.fixture
def live(project: Project, polar: PolarServer, made: Path) -> Project:
    """A copy of that project."""
    shutil.copytree(made, project.folder)
    return project


@pytest.fixture
def other() -> Generator[PolarServer]:
    """Another server with the usual shop: other ids, and nothing else in common but names."""
    renamed = [product(p["name"], *p["prices"], interval=p["recurring_interval"], seed="other") for p in shop()]
    with PolarServer(renamed, {**organization(), "id": "6c6f8d60-4a5e-4f6b-8f07-3a1e7a10c5d1"}) as server:
        for item in server.products:
            item["organization_id"] = server.organization["id"]
        yield server


def test_an_update_needs_no_polar_and_gives_the_same_bytes(live: Project) -> None:
    live.update()
    assert live.changes == ""


def test_an_update_gives_the_same_bytes_whatever_polar_has_by_now(live: Project, polar: PolarServer) -> None:
    polar.products = [product("Other", fixed(1))]
    polar.requests.clear()
    live.update(polar)
    assert live.changes == ""
    assert polar.requests == []


def test_an_update_with_a_refresh_of_the_same_catalogue_changes_nothing(live: Project, polar: PolarServer) -> None:
    live.refresh(polar)
    assert live.changes == ""
    assert "refresh_catalog" not in live.answers


def test_a_new_version_renders_from_the_recorded_catalogue(live: Project) -> None:
    (live.template / "template" / "worker" / "new.txt.jinja").write_text("{{ billing.products | length }}")
    commit(live.template, "1.1.0")
    git(live.template, "tag", "1.1.0")
    try:
        live.update()
        assert (live.folder / "new.txt").read_text() == "5"
        assert "new.txt" in live.changes
        assert FACTS not in live.changes
    finally:
        git(live.template, "tag", "--delete", "1.1.0")
        git(live.template, "reset", "--quiet", "--hard", "1.0.0")


def test_a_refresh_is_a_three_way_merge(live: Project, polar: PolarServer) -> None:
    file = live.folder / CATALOG
    file.write_text(file.read_text() + "# mine\n")
    commit(live.folder, "my own line")
    polar.products.append(product("Ultra", fixed(9900), interval="month"))
    polar.products[1]["name"] = "Professional"
    live.refresh(polar, products=["free", "pro_monthly", "ultra"])
    assert file.read_text().startswith("free Free\npro_monthly Professional\nultra Ultra\n")
    assert file.read_text().endswith("# mine\n")
    assert "<<<<" not in file.read_text()


def test_a_new_product_is_offered_and_not_chosen_by_itself(live: Project, polar: PolarServer) -> None:
    polar.products.insert(0, product("Ultra", fixed(9900), interval="month"))
    before = list(live.products)
    live.refresh(polar)
    assert list(live.products) == before
    assert "ultra" in [p["key"] for p in live.answers["polar_catalog"]["products"]]


def test_a_key_stays_when_its_product_is_renamed(live: Project, polar: PolarServer) -> None:
    polar.products[1]["name"] = "Class"
    polar.products[1]["benefits"][0]["description"] = "Concierge"
    polar.products.append(product("Pro Monthly", fixed(1), interval="month", seed="new"))
    live.refresh(polar)
    assert live.products["pro_monthly"]["name"] == "Class"
    assert live.products["pro_monthly"]["benefits"] == ["priority_support", "beta_flag"]
    new = live.answers["polar_catalog"]["products"][-1]
    assert new["key"] == "pro_monthly_monthly"


def test_a_chosen_product_that_polar_archived_stays_marked(live: Project, polar: PolarServer) -> None:
    monthly = next(p for p in polar.products if p["name"] == "Pro Monthly")
    monthly["is_archived"] = True
    for item in polar.products:
        item["benefits"] = [] if item is not monthly else item["benefits"]
    live.refresh(polar)
    assert live.products["pro_monthly"]["archived"] is True
    assert live.products["pro_monthly"]["benefits"] == ["priority_support", "beta_flag"]
    assert "pro_monthly" in live.answers["products"]
    commit(live.folder, "archived")
    live.update()
    assert live.changes == ""
    monthly["is_archived"] = False
    live.refresh(polar)
    assert live.products["pro_monthly"]["archived"] is False


def test_an_archived_product_that_was_not_chosen_goes(project: Project, polar: PolarServer) -> None:
    project.create(polar, products=["free"])
    polar.products = [p for p in polar.products if p["name"] != "Lifetime"]
    project.refresh(polar)
    assert "lifetime" not in [p["key"] for p in project.answers["polar_catalog"]["products"]]


def test_what_is_sold_grows_with_the_products(project: Project, polar: PolarServer) -> None:
    project.create(polar, products=["free"])
    assert project.answers["sells"] == ["subscriptions"]
    project.update(products=["free", "lifetime"])
    assert project.answers["sells"] == ["subscriptions", "one_time"]


@pytest.mark.parametrize("refresh", [True, False])
def test_from_demo_to_an_account(project: Project, refresh: bool) -> None:
    project.create()
    names = ["Free", "Pro Monthly", "Pro Yearly", "Lifetime", "Supporter"]
    with PolarServer([product(name, fixed(n), interval="month") for n, name in enumerate(names)]) as server:
        project.update(server, polar_server="sandbox", **({"refresh_catalog": True} if refresh else {}))
    assert project.answers["polar_catalog"]["server"] == "sandbox"
    assert list(project.products) == ["free", "pro_monthly", "pro_yearly", "lifetime", "supporter"]
    assert not any(item["id"].startswith("00000000") for item in project.products.values())


def test_what_does_not_match_on_another_server_is_listed(project: Project, polar: PolarServer) -> None:
    project.create()
    with pytest.raises(UserMessageError) as stopped:
        project.update(polar, polar_server="sandbox")
    assert stopped.value.message.startswith("products: supporter is not in the catalogue of sandbox, which has: free,")
    assert project.changes == ""
    project.update(polar, polar_server="sandbox", products=["free", "lifetime"], premium_products=["lifetime"])
    assert list(project.products) == ["free", "lifetime"]


@pytest.mark.parametrize(
    ("premium", "left"),
    [(None, ["pro_monthly", "lifetime"]), (["pro_monthly", "supporter"], ["pro_monthly"])],
)
def test_products_that_are_chosen_anew_are_all_that_another_server_needs(
    premium: list[str] | None, left: list[str], project: Project, polar: PolarServer
) -> None:
    project.create(**({"premium_products": premium} if premium else {}))
    project.update(polar, polar_server="sandbox", products=["pro_monthly", "lifetime"])
    assert list(project.products) == ["pro_monthly", "lifetime"]
    assert [key for key, item in project.products.items() if item["premium"]] == left


def test_a_product_that_became_private_is_sold_on(live: Project, polar: PolarServer) -> None:
    polar.products[1]["visibility"] = "private"
    live.refresh(polar)
    assert live.answers["private_products"] == "sell"
    assert not live.products["pro_monthly"]["hidden"]
    commit(live.folder, "private")
    live.refresh(polar, private_products="hide")
    assert live.products["pro_monthly"]["hidden"]
    commit(live.folder, "hidden")
    live.update()
    assert live.answers["private_products"] == "hide"


def test_a_premium_product_that_is_no_longer_chosen_leaves_the_others_as_they_were(project: Project) -> None:
    project.create(products=["free", "pro_monthly", "lifetime"], premium_products=["free", "pro_monthly"])
    project.update(products=["free", "lifetime"])
    assert project.answers["premium_products"] == ["free"]


def test_a_product_that_was_chosen_to_be_none_of_the_premium_ones_stays_so(project: Project) -> None:
    project.create(products=["pro_monthly", "lifetime"], premium_products=["lifetime"])
    project.update(products=["pro_monthly"])
    assert project.answers["premium_products"] == []


def test_keys_follow_the_names_from_sandbox_to_production(
    live: Project, polar: PolarServer, other: PolarServer
) -> None:
    polar.products[1]["name"] = "Professional"
    live.refresh(polar)
    commit(live.folder, "renamed in sandbox: the key stays")
    other.products[1]["name"] = "professional "
    before = {key: item["id"] for key, item in live.products.items()}
    live.update(other, polar_server="production")
    after = {key: item["id"] for key, item in live.products.items()}
    assert list(after) == list(before)
    assert not set(after.values()) & set(before.values())
    assert live.products["pro_monthly"]["name"] == "professional"


@pytest.mark.parametrize("case", ["a name twice", "no such name"])
def test_the_key_of_a_chosen_product_goes_to_none_that_only_has_its_name(
    case: str, live: Project, polar: PolarServer, other: PolarServer
) -> None:
    """Its name would give the new product the key that code means another one by, at another price perhaps."""
    if case == "a name twice":
        other.products.insert(0, product("Lifetime", fixed(1), organization_id=other.organization["id"]))
        lost, offered = "lifetime", {"lifetime_2", "lifetime_3"}
    else:
        polar.products[1]["name"] = "Gold"
        live.refresh(polar)
        commit(live.folder, "renamed in sandbox: the key stays")
        lost, offered = "pro_monthly", {"pro_monthly_monthly"}
    with pytest.raises(UserMessageError) as stopped:
        live.update(other, polar_server="production")
    assert stopped.value.message.startswith(f"products: {lost} is not in the catalogue of production, which has: ")
    assert offered <= set(re.findall(r"\w+", stopped.value.message))
    assert live.changes == ""


def test_another_address_is_another_catalogue(live: Project, other: PolarServer) -> None:
    before = {item["id"] for item in live.products.values()}
    live.update(other)
    assert not before & {item["id"] for item in live.products.values()}
    assert live.answers["polar_catalog"]["base_url"] == other.url


def test_a_token_of_another_organization_is_refused_by_a_refresh(live: Project, polar: PolarServer) -> None:
    """Also where all names are the same; who means it chooses from what is there."""
    old, new = polar.organization["id"], "b3c1f0d2-5a60-4c8c-9a39-0d3a8d5f4c11"
    polar.organization = {**organization(), "id": new}
    polar.products = [
        product(p["name"], *p["prices"], interval=p["recurring_interval"], organization_id=new, seed="new")
        for p in shop()
    ]
    with pytest.raises(UserMessageError, match=f"another organization \\({new}\\) than the catalogue \\({old}\\)"):
        live.refresh(polar)
    assert live.changes == ""
    live.refresh(polar, products=["pro_monthly"])
    assert live.answers["polar_catalog"]["organization"]["id"] == new
    assert list(live.products) == ["pro_monthly"]


def test_a_token_that_may_not_read_the_organization_takes_nothing_away(
    project: Project, polar: PolarServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = organization(allow_multiple_subscriptions=True, benefit_revocation_grace_period=30)
    polar.organization = {**settings, "default_presentment_currency": "eur"}
    project.create(polar)
    monkeypatch.setattr(polar, "scopes", {"products:read"})
    project.refresh(polar)
    assert project.changes == ""


def test_a_grace_period_stays_where_the_organization_has_another_by_now(project: Project, polar: PolarServer) -> None:
    """It is an answer, and none of those that Polar offers by itself."""
    polar.organization = organization(benefit_revocation_grace_period=30)
    project.create(polar)
    polar.organization = organization(benefit_revocation_grace_period=14)
    polar.products[1]["prices"][0]["price_amount"] = 2345
    project.refresh(polar)
    assert project.answers["past_due_grace_days"] == 30
    assert project.products["pro_monthly"]["prices"][0]["amount"] == 2345
    commit(project.folder, "refreshed")
    project.update()
    assert project.changes == ""
    with pytest.raises(UserMessageError, match="past_due_grace_days: choose one of: 0, 2, 7, 14, 21, 30"):
        project.update(past_due_grace_days=31)


@pytest.mark.parametrize("prices", [[], [seats(1000)]])
def test_a_chosen_product_that_cannot_be_sold_any_more_stays_marked(
    prices: list[dict[str, object]], live: Project, polar: PolarServer
) -> None:
    """It has buyers; the rest of the refresh comes."""
    monthly, lifetime = (next(p for p in polar.products if p["name"] == name) for name in ("Pro Monthly", "Lifetime"))
    sold, before = monthly["prices"], live.products["pro_monthly"]
    monthly["prices"], monthly["name"] = prices, "Per head"
    lifetime["prices"][0]["price_amount"] = 2345
    for _ in range(2):  # the second one finds what the first one left
        live.refresh(polar)
        assert live.products["pro_monthly"] == {**before, "archived": True, "name": "Per head"}
        assert live.products["lifetime"]["prices"][0]["amount"] == 2345
        commit(live.folder, "refreshed")
    monthly["prices"] = sold
    live.refresh(polar)
    assert live.products["pro_monthly"] == {**before, "name": "Per head"}


@pytest.mark.parametrize(
    ("second", "gave"),
    [
        ({"items": [], "pagination": {"total_count": 226, "max_page": 3}}, "100 of 226"),
        ({"items": [], "pagination": {"max_page": 3}}, "100 of more"),
        ({"items": [product("Last", fixed(1))], "pagination": {"total_count": 226, "max_page": 2}}, "101 of 226"),
    ],
)
def test_half_a_catalogue_is_none(second: dict[str, object], gave: str, live: Project, polar: PolarServer) -> None:
    first = {
        "items": [product(f"Plan {number}", fixed(number)) for number in range(100)],
        "pagination": {"total_count": 226, "max_page": 3},
    }
    pages = [first, second]
    polar.always = lambda path: Answer(body=pages.pop(0)) if path == "/v1/products/" and pages else None
    with pytest.raises(UserMessageError, match=f"gave {gave} products: try again. Nothing was changed"):
        live.refresh(polar)
    assert live.changes == ""


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (Answer(500), "a fault of its own"),
        (NOT_FOUND, "API version"),
        (WEB_PAGE, "a web page"),
        (Answer(401), "does not accept this token"),
    ],
)
def test_a_failed_refresh_changes_nothing(
    answer: Answer, says: str, live: Project, polar: PolarServer, short_waits: None
) -> None:
    polar.always = lambda path: answer
    with pytest.raises(UserMessageError, match=says):
        live.refresh(polar)
    assert live.changes == ""


def test_an_emptied_account_changes_nothing(live: Project, polar: PolarServer) -> None:
    polar.products = []
    with pytest.raises(UserMessageError, match=r"no products for sale .* Nothing was changed"):
        live.refresh(polar)
    assert live.changes == ""


def test_a_recorded_answer_that_is_wrong_is_an_error_and_never_the_default(live: Project) -> None:
    file = live.folder / ".copier-answers.yml"
    good = file.read_text()
    for before, after in (("- pro_yearly", "- gold"), ("past_due_grace_days: 14", "past_due_grace_days: 366")):
        file.write_text(good.replace(before, after))
        commit(live.folder, "edited by hand")
        with pytest.raises(UserMessageError):
            live.update()
        assert live.changes == ""


def test_a_snapshot_that_cannot_be_read_is_taken_anew(live: Project, polar: PolarServer) -> None:
    file = live.folder / ".copier-answers.yml"
    recorded = yaml.safe_load(file.read_text())
    recorded["polar_catalog"]["format"] = 0
    file.write_text(yaml.safe_dump(recorded))
    with polar_at(polar.url):
        copier.run_copy(str(live.template), live.folder, defaults=True, unsafe=True, quiet=True, overwrite=True)
    assert live.answers["polar_catalog"]["format"] == 1


def test_polar_is_asked_once_a_process(live: Project, polar: PolarServer) -> None:
    polar.requests.clear()
    polar.products.append(product("Ultra", fixed(1)))
    live.refresh(polar)
    assert len([target for target in polar.requests if target.startswith("/v1/products/")]) == 1


def test_the_order_and_the_benefits_are_those_of_the_catalogue(project: Project) -> None:
    shared = benefit("Shared")
    items = [product(name, fixed(1), benefits=[shared]) for name in ("Zebra", "Ant", "Mole")]
    with PolarServer(items) as server:
        project.create(server)
    assert list(project.products) == ["zebra", "ant", "mole"]
    assert {tuple(item["benefits"]) for item in project.products.values()} == {("shared",)}
    assert TOKEN not in (project.folder / ".copier-answers.yml").read_text()


def test_another_server_is_another_catalogue_even_at_the_same_address(live: Project, polar: PolarServer) -> None:
    live.update(polar, polar_server="production")
    assert live.answers["polar_catalog"]["server"] == "production"
