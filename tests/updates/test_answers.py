"""A changed answer gives the project of that answer, and what it asks of people is said."""

from __future__ import annotations

import re
import shlex
import sqlite3
from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import copier
import pytest
from copier.errors import UserMessageError

from tests.catalogues import ORGANIZATION_ID, organization, product, shop
from tests.conftest import commit
from tests.polar_server import PolarServer
from tests.profiles import FASTAPI_PROFILES, WORKER_PROFILES, Profile
from tests.support import apps
from tests.support.api_version import API_VERSIONS
from tests.support.process import run
from tests.support.python_env import PythonEnvironment
from tests.support.render import polar_at
from tests.updates import history
from tests.updates.conftest import BY_DATABASE, Generated, Made
from tests.updates.project import Project, tree

WORKER, FASTAPI = WORKER_PROFILES[0], FASTAPI_PROFILES[0]
CHANGES: dict[str, tuple[Profile, dict[str, Any], list[str]]] = {
    "sqlite to postgres": (FASTAPI, {"database": "postgres"}, ["database"]),
    "jwt to custom, Worker": (WORKER, {"auth": "custom"}, ["auth"]),
    "jwt to custom, FastAPI": (FASTAPI, {"auth": "custom"}, ["auth"]),
    "one-time purchases only, Worker": (
        WORKER,
        {"products": ["lifetime"], "premium_products": ["lifetime"], "sells": ["one_time"]},
        ["products", "sells"],
    ),
    "one-time purchases only, FastAPI": (
        FASTAPI,
        {"products": ["lifetime"], "premium_products": ["lifetime"], "sells": ["one_time"]},
        ["products", "sells"],
    ),
    "another path": (WORKER, {"premium_path": "/pro"}, ["premium_path"]),
    "a later version of Polar's API, Worker": (WORKER, {"polar_api_version": API_VERSIONS[-1]}, ["polar_api_version"]),
    "a later version of Polar's API, FastAPI": (
        FASTAPI,
        {"polar_api_version": API_VERSIONS[-1]},
        ["polar_api_version"],
    ),
}


def generated(template: Path, folder: Path, server: PolarServer | None = None, **data: Any) -> dict[Path, bytes]:
    """A fresh project of these answers."""
    with polar_at(server.url if server else None):
        copier.run_copy(str(template), folder, data=data, defaults=True, unsafe=True, quiet=True)
    return tree(folder)


def named(said: str) -> list[str]:
    """Which answers are said to be others."""
    return re.findall(r"^ *(\w+) is another: \S", said, re.MULTILINE)


@pytest.mark.parametrize(("profile", "answers", "says"), CHANGES.values(), ids=CHANGES)
def test_a_changed_answer_gives_the_project_of_that_answer_and_back(
    profile: Profile,
    answers: dict[str, Any],
    says: list[str],
    made: Made,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    project = made(profile, history.newest())
    before, old = tree(project.folder), project.answers
    project.update(quiet=False, **answers)
    assert named(capfd.readouterr().err) == says
    fresh = generated(project.template, tmp_path / "fresh", **{**profile.data(), **answers})
    assert _as_read(tree(project.folder)) == _as_read(fresh)
    commit(project.folder, "another answer")
    project.update(**{name: old[name] for name in answers})
    assert tree(project.folder) == before


def _as_read(files: dict[Path, bytes]) -> dict[Path, bytes]:
    """Without the note in which version of the API the recorded catalogue was read: it is not read anew."""
    return {path: re.sub(rb"\n +api_version: .*", b"", content) for path, content in files.items()}


def test_nothing_is_said_where_nothing_is_asked(made: Made, capfd: pytest.CaptureFixture[str]) -> None:
    """Not after a plain update, nor where products were added only."""
    project = made(Profile("three", "worker", answers={"products": ["free", "pro_monthly", "lifetime"]}))
    capfd.readouterr()
    project.update(quiet=False)
    commit(project.folder, "updated")
    project.update(quiet=False, products=["free", "pro_monthly", "pro_yearly", "lifetime"])
    said = capfd.readouterr().err
    assert "is updated" in said
    assert named(said) == []


@pytest.mark.parametrize("runtime", ["worker", "fastapi"])
def test_every_change_that_asks_something_is_in_the_readme(runtime: str, made: Made) -> None:
    readme = (made({"worker": WORKER, "fastapi": FASTAPI}[runtime], history.newest()).folder / "README.md").read_text()
    asked = {name for _profile, _answers, says in CHANGES.values() for name in says} | {"polar_server", "runtime"}
    assert {name for name in asked if f"\n| `{name}` | " in readme} == asked - (
        {"database"} & {"database" * (runtime == "worker")}
    )


def _named_as_in_the_demo(seed: str, organization_id: str) -> list[dict[str, Any]]:
    """A shop with the names of the demo catalogue, and ids of its own."""
    rename = {"Pay what you want": "Supporter"}
    return [
        product(
            rename.get(item["name"], item["name"]),
            *({name: each[name] for name in each if name not in ("id", "product_id")} for each in item["prices"]),
            interval=item["recurring_interval"],
            seed=seed,
            organization_id=organization_id,
        )
        for item in shop()
    ]


def test_from_demo_to_sandbox_to_production(made: Made, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """The second steps of every user: ids change, keys stay, and the project is that of a fresh generation."""
    project = made(WORKER)
    keys = project.answers["products"]
    seen = set(_ids(project))
    other = "5d2c8a34-8a56-4d0e-9b62-7f3a51c0e4d2"
    for server_name, owner in (("sandbox", ORGANIZATION_ID), ("production", other)):
        with PolarServer(_named_as_in_the_demo(server_name, owner), {**organization(), "id": owner}) as server:
            capfd.readouterr()
            project.update(server, quiet=False, polar_server=server_name)
            assert named(capfd.readouterr().err) == ["polar_server"]
            # Grace days were answered with the demo's; the other organization's own would be another default.
            kept = {"past_due_grace_days": project.answers["past_due_grace_days"], "polar_server": server_name}
            fresh = generated(project.template, tmp_path / server_name, server, **WORKER.data(), **kept)
        assert project.answers["products"] == keys
        assert not seen & set(_ids(project))
        seen |= set(_ids(project))
        assert tree(project.folder) == fresh
        commit(project.folder, server_name)


def _ids(project: Project) -> list[str]:
    catalog = (project.folder / "src/billing/catalog.ts").read_text()
    return re.findall(r'\bid: "([0-9a-f-]{36})"', catalog)


def test_what_does_not_match_by_name_is_listed_and_nothing_is_changed(made: Made) -> None:
    project = made(WORKER)
    with PolarServer([item for item in shop() if item["name"] != "Lifetime"]) as server:
        with pytest.raises(UserMessageError) as stopped:
            project.update(server, polar_server="sandbox")
        assert stopped.value.message.startswith(
            "products: lifetime, supporter are not in the catalogue of sandbox, which has: "
            "free, pro_monthly, pro_yearly, pay_what_you_want."
        )
        assert project.changed == set()


def test_the_readme_moves_the_rows_from_sqlite_to_postgres(
    fresh: Callable[[Profile], Generated], python: PythonEnvironment, tmp_path: Path
) -> None:
    """The command of the README, as it is written there."""
    old, new = (fresh(BY_DATABASE[database]).folder for database in ("sqlite", "postgres"))
    file = tmp_path / "billing.db"
    with ExitStack() as stack:
        postgres = apps.database_url(apps.VARIANTS[-1], tmp_path, stack)
        for project, url in ((old, f"sqlite:///{file}"), (new, postgres)):
            environment = {**python.variables(project), "DATABASE_URL": url}
            run([python.bin("python"), "-m", "alembic", "upgrade", "heads"], cwd=project, env=environment, timeout=60)
        with closing(sqlite3.connect(file)) as connection, connection:
            connection.execute("INSERT INTO billing_customers (id, external_id) VALUES ('c1', 'user_1')")
        (command,) = re.findall(r"```console\n(uv run python -c .*?)\n```", (new / "README.md").read_text(), re.DOTALL)
        words = shlex.split(
            command.replace("$DATABASE_URL", postgres).replace("sqlite:///billing.db", f"sqlite:///{file}")
        )
        assert words[:3] == ["uv", "run", "python"]
        run([python.bin("python"), *words[3:]], cwd=new, env=python.variables(new), timeout=60)
        count = "from sqlalchemy import create_engine, text; import sys; print(create_engine(sys.argv[1]).connect()"
        found = run(
            [
                python.bin("python"),
                "-c",
                f"{count}.execute(text('SELECT external_id FROM billing_customers')).all())",
                postgres,
            ],
            cwd=new,
            env=python.variables(new),
            timeout=60,
        )
    assert found.stdout.strip() == "[('user_1',)]"
