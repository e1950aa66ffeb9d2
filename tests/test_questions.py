"""What is asked, what is offered, what is refused, and what is recorded."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import copier
import pytest
import yaml
from copier.errors import UserMessageError
from pytest_copie.plugin import Copie

from hooks.answers import product_choices
from tests.catalogues import custom, fixed, metered, organization, product, seats
from tests.conftest import FACTS
from tests.polar_server import PolarServer
from tests.support.api_version import API_VERSION
from tests.support.render import TOKEN, polar_at

QUESTIONS = [
    "project_name",
    "runtime",
    "database",
    "polar_server",
    "polar_api_version",
    "refresh_catalog",
    "polar_access_token",
    "polar_catalog",
    "products",
    "private_products",
    "premium_products",
    "sells",
    "auth",
    "past_due_grace_days",
    "proration",
    "premium_path",
    "notifications",
]


def generate(template: Path, destination: Path, server: PolarServer | None = None, **data: Any) -> dict[str, Any]:
    """Generate with defaults; the facts that templates see."""
    if server:
        data.setdefault("polar_server", "sandbox")
    with polar_at(server.url if server else None):
        copier.run_copy(str(template), destination, data=data, defaults=True, unsafe=True, quiet=True)
    facts: dict[str, Any] = json.loads((destination / FACTS).read_text())
    return facts


def answers(project: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((project / ".copier-answers.yml").read_text())
    return found


def keys(facts: dict[str, Any], **wanted: Any) -> list[str]:
    """Keys of the products that have these values."""
    return [p["key"] for p in facts["billing"]["products"] if all(p[k] == v for k, v in wanted.items())]


def test_the_questions_have_the_names_that_scripts_use(small_template: Path) -> None:
    asked = yaml.safe_load((small_template / "copier.yml").read_text())
    shown = [name for name, details in asked.items() if not name.startswith("_") and details.get("when") is not False]
    assert shown == QUESTIONS
    for name in shown:
        assert "default" in asked[name], f"{name} has no default"
        assert asked[name].get("help") or name == "refresh_catalog", f"{name} teaches nothing"


def test_defaults_need_no_account(small_template: Path, copie: Copie) -> None:
    result = copie.copy(template_dir=small_template)
    assert result.exception is None
    assert {name: answer for name, answer in result.answers.items() if name != "polar_catalog"} == {
        "project_name": "My SaaS",
        "runtime": "worker",
        "database": "d1",
        "polar_server": "demo",
        "polar_api_version": API_VERSION,
        "products": ["free", "pro_monthly", "pro_yearly", "lifetime", "supporter"],
        "premium_products": ["pro_monthly", "pro_yearly", "lifetime", "supporter"],
        "sells": ["subscriptions", "one_time"],
        "auth": "jwt",
        "past_due_grace_days": 7,
        "proration": "prorate",
        "premium_path": "/api/premium",
        "notifications": "none",
    }


def test_only_answers_are_recorded(small_template: Path, tmp_path: Path, polar: PolarServer) -> None:
    generate(small_template, tmp_path / "app", polar)
    recorded = {name for name in answers(tmp_path / "app") if not name.startswith("_")}
    assert recorded == set(QUESTIONS) - {"refresh_catalog", "polar_access_token", "private_products"}
    assert not any(TOKEN in file.read_text() for file in (tmp_path / "app").iterdir())


def test_pytest_copie_passes_answers_too(small_template: Path, copie: Copie) -> None:
    result = copie.copy({"runtime": "fastapi", "database": "postgres", "products": ["free"]}, small_template)
    assert result.exception is None
    assert (result.answers["database"], result.answers["products"]) == ("postgres", ["free"])
    assert result.answers["premium_products"] == []
    refused = copie.copy({"products": ["free", "gold"]}, small_template)
    assert isinstance(refused.exception, UserMessageError)


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ({"project_name": ""}, "project_name: give a name"),
        ({"project_name": "two\nlines"}, "project_name: only characters that print"),
        ({"project_name": "next\x85line"}, "project_name: only characters that print"),
        ({"runtime": "lambda"}, "runtime: choose one of: worker, fastapi"),
        ({"database": "postgres"}, "database: choose one of: d1"),
        ({"runtime": "fastapi", "database": "d1"}, "database: choose one of: sqlite, postgres"),
        ({"polar_api_version": "2025-10"}, "polar_api_version: choose one of: "),
        ({"polar_server": "live"}, "polar_server: choose one of: demo, sandbox, production"),
        (
            {"products": ["free", "gold"]},
            "products: gold is not in the catalogue of demo, which has: free, pro_monthly",
        ),
        ({"products": "gold"}, "products: give a list"),
        ({"products": "[unclosed"}, "products: give a list"),
        ({"products": []}, "products: choose at least one"),
        ({"premium_products": ["free", "gold"]}, "premium_products: gold: choose from the products: free"),
        ({"products": ["free"], "premium_products": ["lifetime"]}, "premium_products: lifetime: choose from"),
        ({"sells": ["one_time"]}, "sells: without subscriptions, leave out the products that are sold so: free"),
        ({"sells": ["usage"]}, "sells: give a list of: subscriptions, one_time"),
        ({"auth": "cookies"}, "auth: choose one of"),
        ({"past_due_grace_days": 5}, "past_due_grace_days: choose one of: 0, 2, 7, 14, 21"),
        ({"proration": "never"}, "proration: choose one of"),
        ({"premium_path": "api"}, "premium_path: begin with /"),
        ({"premium_path": "/api/"}, "premium_path: begin with /"),
        ({"premium_path": "/a/../b"}, "premium_path: begin with /"),
        ({"premium_path": "/billing/pro"}, "premium_path: the project has routes of its own"),
    ],
)
def test_a_wrong_answer_is_one_line_and_nothing_is_written(
    answer: dict[str, Any], says: str, small_template: Path, tmp_path: Path
) -> None:
    with pytest.raises(UserMessageError) as stopped:
        generate(small_template, tmp_path / "app", **answer)
    assert stopped.value.message.startswith(says)
    assert "\n" not in stopped.value.message
    assert not (tmp_path / "app").exists()


def test_each_runtime_has_its_databases(small_template: Path, tmp_path: Path) -> None:
    assert generate(small_template, tmp_path / "worker")["is_d1"]
    assert generate(small_template, tmp_path / "file", runtime="fastapi")["is_sqlite"]
    facts = generate(small_template, tmp_path / "server", runtime="fastapi", database="postgres")
    assert facts["is_postgres"]
    assert not facts["is_sqlite"]
    assert not facts["is_worker"]


def test_what_cannot_be_sold_is_shown_with_the_reason_and_not_chosen(small_template: Path, tmp_path: Path) -> None:
    products = [
        product("Good", fixed(100), interval="month"),
        product("Team", seats(900), interval="month"),
        product("Meter", metered("0.5"), interval="month"),
        product("Both", fixed(100), metered("0.5"), interval="month"),
        product("Auction", {**fixed(1), "amount_type": "auction"}),
        product("Nothing"),
    ]
    with PolarServer(products) as server:
        assert keys(generate(small_template, tmp_path / "app", server)) == ["good", "both"]
        for key, reason in {
            "team": "priced per seat",
            "meter": "billed by usage only",
            "auction": "its price type auction is unknown",
            "nothing": "it has no price",
        }.items():
            with pytest.raises(UserMessageError, match=rf"products: {key} \({reason}"):
                generate(small_template, tmp_path / "no", server, products=["good", key])
    recorded = {p["key"] for p in answers(tmp_path / "app")["polar_catalog"]["products"]}
    assert recorded == {"good", "team", "meter", "both", "auction", "nothing"}


@pytest.mark.parametrize(
    ("products", "subscriptions", "one_time", "custom_price"),
    [
        ([product("Pro", fixed(100), interval="month")], True, False, False),
        ([product("Pro", fixed(100))], False, True, False),
        ([product("Pro", custom())], False, True, True),
        ([product("Pro", fixed(1), interval="year"), product("Once", custom())], True, True, True),
    ],
)
def test_what_is_sold_follows_from_the_products(
    products: list[dict[str, Any]],
    subscriptions: bool,
    one_time: bool,
    custom_price: bool,
    small_template: Path,
    tmp_path: Path,
) -> None:
    with PolarServer(products) as server:
        facts = generate(small_template, tmp_path / "app", server)
    assert facts["sells_subscriptions"] is subscriptions
    assert facts["sells_one_time"] is one_time
    assert facts["sells_custom_price"] is custom_price


def test_free_products_are_not_premium_by_default(small_template: Path, tmp_path: Path, polar: PolarServer) -> None:
    facts = generate(small_template, tmp_path / "app", polar)
    assert keys(facts, premium=False) == keys(facts, free=True) == ["free"]
    facts = generate(small_template, tmp_path / "all", polar, premium_products=["free", "lifetime"])
    assert keys(facts, premium=True) == ["free", "lifetime"]


def with_private() -> list[dict[str, Any]]:
    return [
        product("Free", fixed(0), interval="month"),
        product("Secret", fixed(900), interval="month", visibility="private"),
    ]


def test_a_private_product_is_offered_with_the_reason_and_not_chosen(small_template: Path, tmp_path: Path) -> None:
    with PolarServer(with_private()) as server:
        facts = generate(small_template, tmp_path / "app", server)
    assert keys(facts) == ["free"]
    assert "private_products" not in answers(tmp_path / "app")
    shown = {value: label for label, value in product_choices(answers(tmp_path / "app")["polar_catalog"])}
    assert shown["secret"] == "Secret [secret]: 9.00 USD, per month, private: sold by link"
    assert "private" not in shown["free"]


@pytest.mark.parametrize(
    ("answer", "hidden"),
    [({}, ["secret"]), ({"private_products": "hide"}, ["secret"]), ({"private_products": "sell"}, [])],
)
def test_a_private_product_is_sold_only_where_it_is_answered_so(
    answer: dict[str, str], hidden: list[str], small_template: Path, tmp_path: Path
) -> None:
    with PolarServer(with_private()) as server:
        facts = generate(small_template, tmp_path / "app", server, products=["free", "secret"], **answer)
    assert keys(facts, hidden=True) == hidden
    assert keys(facts, premium=True) == ["secret"]
    assert answers(tmp_path / "app")["private_products"] == answer.get("private_products", "hide")


def test_an_unknown_answer_about_private_products_is_refused(small_template: Path, tmp_path: Path) -> None:
    with (
        PolarServer(with_private()) as server,
        pytest.raises(UserMessageError, match="private_products: choose one of"),
    ):
        generate(small_template, tmp_path / "app", server, products=["secret"], private_products="maybe")


def test_only_what_was_chosen_is_rendered(small_template: Path, tmp_path: Path, polar: PolarServer) -> None:
    facts = generate(small_template, tmp_path / "app", polar, products=["lifetime"])
    assert keys(facts) == ["lifetime"]
    assert [benefit["key"] for benefit in facts["billing"]["benefits"]] == ["priority_support"]
    assert facts["billing"]["meters"] == []


def test_defaults_come_from_the_organization(small_template: Path, tmp_path: Path) -> None:
    settings = {"benefit_revocation_grace_period": 2, "proration_behavior": "next_period"}
    with PolarServer([product("Pro", fixed(1))], organization(**settings, allow_multiple_subscriptions=True)) as server:
        facts = generate(small_template, tmp_path / "app", server)
        assert (facts["grace"], facts["proration"]) == (2, "next_period")
        assert facts["billing"]["organization"]["allow_multiple_subscriptions"] is True
        server.scopes = {"products:read"}
        facts = generate(small_template, tmp_path / "production", server, polar_server="production")
        assert (facts["grace"], facts["proration"]) == (7, "prorate")
        assert facts["billing"]["organization"]["id"]


def test_settings_nobody_has_seen_yet_do_not_stop_it(small_template: Path, tmp_path: Path) -> None:
    settings = {"benefit_revocation_grace_period": 30, "proration_behavior": "by_moonlight"}
    with PolarServer([product("Pro", fixed(1))], organization(**settings)) as server:
        facts = generate(small_template, tmp_path / "app", server)
    assert (facts["grace"], facts["proration"]) == (30, "prorate")


@pytest.mark.parametrize(
    ("name", "slug"),
    [
        ("My SaaS", "my-saas"),
        ("Ünï çødé 2", "uni-cde-2"),
        ("日本", "app"),
        ("2 fast", "app-2-fast"),
        ('"; rm -rf', "rm-rf"),
    ],
)
def test_a_project_name_makes_a_package_name(name: str, slug: str, small_template: Path, tmp_path: Path) -> None:
    assert generate(small_template, tmp_path / "app", project_name=name)["project_slug"] == slug


def test_a_token_in_a_process_argument_is_warned_of(
    small_template: Path,
    tmp_path: Path,
    polar: PolarServer,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("POLAR_BASE_URL", polar.url)
    data = {"polar_server": "sandbox", "polar_access_token": TOKEN}
    run: Callable[..., Any] = copier.run_copy
    monkeypatch.setattr("sys.argv", ["copier", "copy", "--data", f"polar_access_token={TOKEN}"])
    run(str(small_template), tmp_path / "app", data=data, defaults=True, unsafe=True)
    shown = "".join(capfd.readouterr())
    assert "the token is a process argument" in shown
    assert TOKEN not in shown
    monkeypatch.setattr("sys.argv", ["python"])
    run(str(small_template), tmp_path / "other", data=data, defaults=True, unsafe=True)
    assert "process argument" not in "".join(capfd.readouterr())
