"""The checks of variants notice what they are there for: a project is broken in each way, another one beside it not."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.variants import rendering, tiers
from tests.variants.checks import FastApis, Faults, Workers
from tests.variants.combinations import Variant, legal, polar_servers, variants
from tests.variants.dependencies import code_key
from tests.variants.files import Project, generated
from tests.variants.stage import Pytest

_said: list[str] = []


def pair(template: Path, folder: Path, runtime: str) -> dict[str, Path]:
    """A sound project, and one to break."""
    sound = rendering.render(template, folder / "sound", {"runtime": runtime}, None)
    return {"sound": sound, "broken": shutil.copytree(sound, folder / "broken")}


def edit(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))


def told(faults: Faults) -> str:
    assert list(faults) == ["broken"], faults
    return re.sub(r"\x1b\[[\d;]*m", "", "\n".join(faults["broken"]))


def alike(template: Path, projects: dict[str, Path]) -> dict[str, str]:
    """What tells the checks which of these projects are the same to them."""
    read = {name: Project(path, template) for name, path in projects.items()}
    return {name: code_key(each.files, generated(each.template)) for name, each in read.items()}


def test_broken_workers_are_noticed(template: Path, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    projects = pair(template, tmp_path, "worker")
    broken = projects["broken"]
    # An installed package that nothing uses.
    edit(broken / "package.json", '"hono"', '"undici": "7.0.0",\n    "hono"')
    (broken / "src" / "wrong.ts").write_text('export const wrong: number = "text";\n')
    (broken / "test" / "wrong.test.ts").write_text(
        'import { expect, it } from "vitest";\n\nit("fails", () => expect(1).toBe(2));\n'
    )
    (broken / "src" / "ugly.ts").write_text("export const ugly   = 1\n")
    (broken / "src" / "of-tests.ts").write_text('import "cloudflare:test";\n')
    edit(broken / "src" / "index.ts", "import", 'import "./nowhere";\nimport')
    folder = f"broken-{tmp_path_factory.getbasetemp().name}"
    with Workers(folder, projects, template) as workers:
        kinds = alike(template, projects)
        wrong = told(workers.types_and_lint(kinds, _said.append))
        assert "src/wrong.ts(1,14): error TS2322" in wrong
        assert "src/ugly.ts" in wrong
        assert "src/of-tests.ts(1,8): error TS2882" in wrong, "what only tests have is no part of the Worker"
        assert "undici is used by nothing" in wrong
        assert 'Could not resolve "./nowhere"' in told(workers.bundles(kinds, _said.append))
        edit(workers.projects["broken"] / "src" / "index.ts", 'import "./nowhere";\n', "")
        files = {"sound": ["test/settings.test.ts"], "broken": ["test/settings.test.ts", "test/wrong.test.ts"]}
        assert "fails: AssertionError" in told(workers.own_tests(files, _said.append))


def test_broken_fastapi_apps_are_noticed(template: Path, tmp_path: Path) -> None:
    projects = pair(template, tmp_path, "fastapi")
    broken = projects["broken"]
    edit(broken / "pyproject.toml", '  "alembic', '  "certifi==2026.1.1",\n  "alembic')
    (broken / "src" / "app" / "wrong.py").write_text('"""Wrong."""\n\nwrong: int = "text"\n')
    (broken / "src" / "app" / "ugly.py").write_text('"""Ugly."""\n\nimport os\nugly   = 1\n')
    (broken / "tests" / "test_wrong.py").write_text("def test_fails() -> None:\n    assert 1 == 2\n")
    apps = FastApis(projects, template)
    wrong = told(apps.types_and_lint(tmp_path / "mypy", alike(template, projects), _said.append))
    assert "src/app/wrong.py:3: error: Incompatible types in assignment" in wrong
    assert "[invalid-assignment]" in wrong, "the second type checker"
    assert re.search("reformat.*src/app/ugly.py", wrong, re.DOTALL)
    assert "F401" in wrong
    assert "certifi is used by nothing" in wrong
    files = {"sound": ["tests/billing/test_time.py"], "broken": ["tests/test_wrong.py"]}
    assert "test_fails" in told(apps.own_tests(files, _said.append))


def test_on_a_stage_no_project_leaves_anything_to_the_next(
    template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two files of the same length within a second, and one that the next project has not."""

    def copied_within_a_second(source: Path, target: Path) -> None:
        target.write_bytes(source.read_bytes())
        os.utime(target, (1_700_000_000, 1_700_000_000))

    projects = pair(template, tmp_path, "fastapi")
    for name, number in (("sound", 1), ("broken", 2)):
        (projects[name] / "src" / "app" / "number.py").write_text(f"NUMBER = {number}\n")
        (projects[name] / "tests" / "test_number.py").write_text(
            "from app.number import NUMBER\n\n\ndef test_number() -> None:\n    assert NUMBER == 1\n"
        )
    (projects["sound"] / "tests" / "test_fails.py").write_text("def test_fails() -> None:\n    assert False\n")
    python = FastApis(projects, template).python
    monkeypatch.setattr(shutil, "copyfile", copied_within_a_second)
    with Pytest(python, tmp_path / "stage", []) as stage:
        everything = ["tests/test_number.py", "tests/test_fails.py"]
        for _ in range(2):
            assert stage.failure(projects["sound"], everything[:1], 60) is None
            assert "assert 2 == 1" in (stage.failure(projects["broken"], everything[:1], 60) or "")
            assert "not found: " in (stage.failure(projects["broken"], everything[1:], 60) or "")
            assert "test_fails" in (stage.failure(projects["sound"], everything, 60) or "")


def test_a_test_that_hangs_or_ends_the_process_is_noticed(template: Path, tmp_path: Path) -> None:
    projects = pair(template, tmp_path, "fastapi")
    (projects["broken"] / "tests" / "test_hangs.py").write_text(
        "import time\n\n\ndef test_hangs() -> None:\n    time.sleep(600)\n"
    )
    (projects["broken"] / "tests" / "test_ends.py").write_text(
        "import os\n\n\ndef test_ends() -> None:\n    os.abort()\n"
    )
    with Pytest(FastApis(projects, template).python, tmp_path / "stage", []) as stage:
        assert "ended with -14" in (stage.failure(projects["broken"], ["tests/test_hangs.py"], 15) or "")
        assert "ended with -6" in (stage.failure(projects["broken"], ["tests/test_ends.py"], 60) or "")
        assert stage.failure(projects["sound"], ["tests/billing/test_time.py"], 60) is None


# A type error that two answers make together, and a test that fails with a third one.
_PASSES = "{% if sends_mail %}False, {% endif %}True"
_VALUE = """{{ '"text"' if is_postgres and auth_is_custom else 1 }}"""
_TWISTED = {
    "src/app/twisted.py.jinja": f'"""Twisted."""\n\nTWISTED: int = {_VALUE}\n',
    "tests/test_twisted.py.jinja": f"def test_twisted() -> None:\n    assert all([{_PASSES}])\n",
}


def test_a_fault_of_a_few_variants_is_named_with_these(template: Path, tmp_path: Path) -> None:
    """Through all tiers, with projects beside them that differ from them in little."""
    broken = shutil.copytree(template, tmp_path / "template")
    for name, text in _TWISTED.items():
        (broken / "template" / "fastapi" / name).write_text(text)
    with polar_servers() as polar_with:
        fastapi = [each for each in variants(legal(broken, polar_with)) if each.runtime == "fastapi"]
        some = list(_one_of_each(fastapi))
        assert len(some) == 8
        done = tiers.render(broken, some, tmp_path / "out", polar_with, _said.append)
    done.faults.clear()  # that nothing imports it
    done.tests = {number: _only(keys, "tests/test_twisted.py") for number, keys in done.tests.items()}
    typed = tiers.types_and_lint(done, some, "", tmp_path / "mypy", _said.append)
    tested = tiers.tests(done, some, "", _said.append)
    _names(
        typed, some, {"database": "postgres", "auth": "custom"}, "Incompatible types in assignment", all_of_them=True
    )
    _names(tested, some, {"notifications": "email"}, "test_twisted", all_of_them=False)


def _one_of_each(all_variants: list[Variant]) -> Iterator[Variant]:
    """The first of each store, sign-in and notification."""
    seen = set[tuple[str, ...]]()
    for each in all_variants:
        kind = tuple(each.labels[name] for name in ("database", "auth", "notifications"))
        if kind not in seen:
            seen.add(kind)
            yield each


def _only(keys: Mapping[str, frozenset[str]], file: str) -> dict[str, frozenset[str]]:
    return {file: keys[file]}


def _names(faults: Faults, some: list[Variant], answers: dict[str, str], says: str, *, all_of_them: bool) -> None:
    """These faults are of variants with those answers, and are told with command and answers."""
    ill = [each for each in some if answers.items() <= each.answers.items()]
    named = [each for each in ill if f"{each.number:03}" in faults]
    assert len(faults) == len(named) >= 1
    assert not all_of_them or named == ill
    told = tiers.report(some, faults)
    assert says in told
    assert f"uv run python -m tests.variants {named[0].number}" in told
    for name, answer in answers.items():
        assert f"""{name}="{answer}\"""" in told
