"""Variants come from `copier.yml` alone, cover what they should, and are rendered as Copier would render them."""

from __future__ import annotations

import filecmp
import math
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import copier
import pytest
from copier.errors import UserMessageError

from tests.support.api_version import API_VERSIONS
from tests.support.render import polar_at
from tests.variants import rendering, tiers
from tests.variants.combinations import CATALOGUE, NONE, Variant, legal, pairs, pairwise, polar_servers, variants
from tests.variants.dependencies import own_tests
from tests.variants.files import Project, generated
from tests.variants.questions import Combination, Questionnaire
from tests.variants.switches import switches

Possible = dict[Any, dict[str, Combination]]


@pytest.fixture(scope="module")
def polar_of() -> Any:
    with polar_servers() as polar_with:
        yield lambda variant: None if variant.catalogue == NONE else polar_with(variant.catalogue)


@pytest.fixture(scope="module")
def possible(template: Path) -> Possible:
    with polar_servers() as polar_with:
        return legal(template, polar_with)


@pytest.fixture(scope="module")
def every(possible: Possible) -> list[Variant]:
    return variants(possible)


def test_what_templates_test_is_crossed_in_full(every: list[Variant]) -> None:
    def chosen(*names: str) -> set[tuple[str, ...]]:
        return {tuple(variant.labels[name] for name in names) for variant in every}

    stores = {("worker", "d1"), ("fastapi", "sqlite"), ("fastapi", "postgres")}
    assert chosen("runtime", "database") == stores
    servers, auths = ("demo", "sandbox", "production"), ("jwt", "custom")
    sold = chosen("products", "sells")
    assert len(sold) == 8, "five outcomes of the products, three of them with room for more"
    everything = {(*s, p, *k, a) for s in stores for p in servers for k in sold for a in auths}
    known = ("runtime", "database", "polar_server", "products", "sells", "auth")
    assert chosen(*known) == everything
    # Whatever switches besides, since this was written, is crossed with all of that.
    others = sorted({name for variant in every for name in variant.switching} - set(known))
    assert len(chosen(*known, *others)) == len(everything) * math.prod(len(chosen(name)) for name in others)
    # Pairs of literals need no further variants, but for the answer that only one catalogue asks for.
    further = every[len(chosen(*known, *others)) :]
    assert len(further) <= 2
    assert all("private_products" in variant.labels for variant in further)


def test_every_legal_pair_is_in_some_variant(possible: Possible, every: list[Variant]) -> None:
    found = set().union(*map(pairs, every))
    for by_catalogue in possible.values():
        for catalogue, combination in by_catalogue.items():
            values = {**{name: [value] for name, value in combination.chosen.items()}, **combination.open}
            labels = {CATALOGUE: [catalogue], **{name: [v.label for v in each] for name, each in values.items()}}
            for one in labels:
                for other in labels:
                    if one < other:
                        missing = {
                            ((one, a), (other, b))
                            for a in labels[one]
                            for b in labels[other]
                            if ((one, a), (other, b)) not in found
                        }
                        assert not missing


def test_the_subset_has_every_pair_of_what_switches(every: list[Variant]) -> None:
    some = pairwise(every)
    assert len(some) < len(every) / 4

    def of_code(made: list[Variant]) -> set[Any]:
        return {pair for variant in made for pair in pairs(variant, {CATALOGUE, *variant.switching})}

    assert of_code(some) == of_code(every)
    labels = {item for variant in every for item in variant.labels.items()}
    assert {item for variant in some for item in variant.labels.items()} == labels


def test_a_new_switch_is_a_new_dimension(template: Path, tmp_path: Path) -> None:
    """Nothing but `copier.yml` and the template says so."""
    copy = shutil.copytree(template, tmp_path / "template")
    questions = copy / "copier.yml"
    text = questions.read_text()
    question = "has_seats: { type: bool, default: false }\n\nbilling:\n"
    derived = '\nsells_seats: { type: bool, when: false, default: "{{ has_seats }}" }\n'
    questions.write_text(re.sub(r"^billing:\n", question, text, count=1, flags=re.MULTILINE) + derived)
    page = copy / "template" / "worker" / "AGENTS.md.jinja"
    before = page.read_text()

    def found() -> tuple[tuple[str, ...], set[str]]:
        rendering.forget()
        with polar_at(None), rendering.worker(copy, tmp_path / "app", {}) as worker:
            asked = Questionnaire(worker)
            return switches(worker), {name for name in asked.names if asked.decides(name)}

    assert "sells_seats" not in found()[0], "no template tests it yet"
    page.write_text(before + "{% if sells_seats %}\nSeats.\n{% endif %}")
    names, deciding = found()
    assert "sells_seats" in names
    assert "has_seats" in deciding


@pytest.mark.parametrize("sample", range(0, 144, 13))
def test_renders_as_copier_does(
    sample: int, template: Path, every: list[Variant], polar_of: Callable[[Variant], str | None], tmp_path: Path
) -> None:
    variant = every[sample]
    url = polar_of(variant)
    # Twice here, so that what one rendering leaves behind would show in the next.
    for name in ("first", "second"):
        rendering.render(template, tmp_path / name / "app", variant.answers, url)
    with polar_at(url):
        copier.run_copy(
            str(template), tmp_path / "copier" / "app", data=variant.answers, defaults=True, unsafe=True, quiet=True
        )
    for name in ("first", "second"):
        assert _differences(tmp_path / name, tmp_path / "copier") == []


def _differences(one: Path, other: Path) -> list[str]:
    names = [{path.relative_to(root) for path in root.rglob("*") if path.is_file()} for root in (one, other)]
    assert len(names[1]) > 50
    differ = names[0] ^ names[1]
    for name in names[0] & names[1]:
        same_mode = (one / name).stat().st_mode == (other / name).stat().st_mode
        if not (same_mode and filecmp.cmp(one / name, other / name, shallow=False)):
            differ.add(name)
    return sorted(map(str, differ))


@pytest.mark.parametrize("runtime", ["worker", "fastapi"])
def test_only_what_a_test_reads_makes_it_run_again(runtime: str, template: Path, tmp_path: Path) -> None:
    def tests(name: str, **changed: Any) -> dict[str, frozenset[str]]:
        project = rendering.render(template, tmp_path / name, {"runtime": runtime, **changed}, None)
        files = Project(project, template)
        return own_tests(files.files, generated(files.template), [str(changed.get("products"))])

    def differ(changed: dict[str, frozenset[str]]) -> set[str]:
        return {Path(name).stem.removeprefix("test_") for name in plain if plain[name] != changed.get(name)}

    plain = tests("plain")
    assert len(plain) > 10
    literals = {"project_name": "Ünïcode", "past_due_grace_days": 0, "proration": "reset", "premium_path": "/p"}
    assert differ(tests("literals", **literals)) == set()
    everything = differ(tests("other", polar_api_version=API_VERSIONS[1]))
    assert everything >= {"webhook.test", "checkout.test"} or everything >= {"webhook_route", "checkout"}
    assert differ(tests("auth", auth="custom"))
    assert differ(tests("sold", products=["lifetime"], sells=["one_time"])) >= everything


_READ = {
    "src/app/main.py": "from app import mail\n",
    "src/app/mail.py": "SENDER = 'nobody'\n",
    "src/app/billing/catalog.py": "PRODUCTS = 1\n",
    "tests/conftest.py": '"""Nothing of `app.main`."""\n\nimport pytest\n',
    "tests/http/conftest.py": "from app.main import mail\n",
    "tests/http/test_route.py": "import pytest\n",
    "tests/billing/test_time.py": "# See app/mail.py\nimport pytest\n",
    "tests/billing/test_sold.py": "from app.billing import catalog\n",
    "tests/billing/test_named.py": 'COMMAND = "uvicorn app.main"\n',
}
READ: dict[str, tuple[dict[str, str], str, set[str]]] = {
    "what a test imports, by way of others": ({"src/app/mail.py": "from app import x\n"}, "", {"route", "named"}),
    "a literal of what was generated": ({"src/app/mail.py": "SENDER = 'somebody'\n"}, "", set()),
    "a catalogue of another kind": ({}, "one_time", {"sold"}),
    "the products themselves": ({"src/app/billing/catalog.py": "PRODUCTS = 2\nMORE = 1\n"}, "", set()),
    "a conftest of other tests": ({"tests/http/conftest.py": "import os\n"}, "", {"route"}),
    "the conftest of all": ({"tests/conftest.py": "import os\n"}, "", {"route", "time", "sold", "named"}),
}


@pytest.mark.parametrize("change", READ)
def test_a_test_runs_again_where_something_that_it_reads_is_other(change: str) -> None:
    changed, kind, again = READ[change]
    rendered = ["src/app/main.py", "src/app/mail.py", "src/app/billing/catalog.py"]
    before = own_tests(_READ, rendered, ["d1", "subscriptions"])
    after = own_tests({**_READ, **changed}, rendered, ["d1", kind or "subscriptions"])
    assert {Path(name).stem for name in before if before[name] != after[name]} == {f"test_{name}" for name in again}


PLANTED = {
    "a file of other answers": ("src/billing/extra.ts", "export const EXTRA = 1;\n", "nothing uses it"),
    "syntax of Jinja": ("src/app.ts", "// {% if auth_is_jwt %}\n", "src/app.ts: has"),
    "broken JSON": ("biome.json", '{"files": ]\n', "biome.json: does not parse"),
    "broken YAML": (".github/workflows/ci.yml", "on: [push\n", "ci.yml: does not parse"),
    "broken SQL": ("migrations/0002_x.sql", "CREATE TABEL x;\n", "0002_x.sql: does not run after those before it"),
    "an empty line at the end": ("src/index.ts", "\n\n", "does not end in one newline"),
    "a name of other answers": ("scripts/more.ts", "process.env.AUTH_JWT_SECRET;\n", "AUTH_JWT_SECRET: of other"),
    "a name that nothing reads": (".dev.vars.example", "UNREAD_NAME=1\n", "UNREAD_NAME: offered, and read by no"),
    "a template": ("src/x.ts.jinja", "x\n", "belongs to the template"),
}


@pytest.mark.parametrize("planted", PLANTED)
def test_faults_are_found(planted: str, template: Path, tmp_path: Path) -> None:
    project = rendering.render(template, tmp_path / "app", {"auth": "custom"}, None)
    assert list(Project(project, template).faults()) == []
    name, text, says = PLANTED[planted]
    file = project / name
    file.write_text((file.read_text() if file.exists() and text[0] != "{" else "") + text)
    assert says in "\n".join(Project(project, template).faults())


def test_a_fault_is_told_with_answers_and_command(template: Path, every: list[Variant], tmp_path: Path) -> None:
    broken = shutil.copytree(template, tmp_path / "template")
    (broken / "template" / "fastapi" / "AGENTS.md.jinja").write_text("{{ nobody_defined_this }}\n")
    variant = next(each for each in every if each.runtime == "fastapi" and each.catalogue == NONE)
    said: list[str] = []
    done = tiers.render(broken, [variant], tmp_path / "out", lambda name: "", said.append)
    told = tiers.report([variant], done.faults)
    assert "'nobody_defined_this' is undefined" in told
    assert f"uv run python -m tests.variants {variant.number}" in told
    assert f"auth={variant.answers['auth']!r}".replace("'", '"') in told.replace("'", "")
    assert said == ["rendered: 1 of 1"]


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "a store of another runtime": ({"runtime": "worker", "database": "postgres"}, "choose one of: d1"),
    "no product": ({"products": []}, "choose at least one product"),
    "subscriptions that are not sold": (
        {"products": ["pro_monthly", "lifetime"], "sells": ["one_time"]},
        "without subscriptions, leave out the products that are sold so: pro_monthly",
    ),
    "nothing sold": ({"sells": []}, "without subscriptions"),
    "premium that is not sold": ({"products": ["free"], "premium_products": ["lifetime"]}, "choose from the products"),
    "a path of the project's own": ({"premium_path": "/billing/x"}, "the project has routes of its own"),
}


@pytest.mark.parametrize("combination", REFUSED)
def test_unsupported_combinations_are_refused_with_a_reason(
    combination: str, template: Path, every: list[Variant], tmp_path: Path
) -> None:
    answers, reason = REFUSED[combination]
    with pytest.raises(UserMessageError, match=reason):
        rendering.render(template, tmp_path / "app", answers, None)
    assert not (tmp_path / "app").exists(), "half a project was written"
    assert not [each for each in every if answers.items() <= each.answers.items()], "it is among the variants"
