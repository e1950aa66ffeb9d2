"""The checks of variants notice what they are there for: a project is broken in each way, another one beside it not."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from tests.variants import rendering
from tests.variants.checks import FastApis, Faults, Workers

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
    folder = f"broken-{tmp_path_factory.getbasetemp().name}"
    with Workers(folder, projects, template) as workers:
        wrong = told(workers.types_and_lint(_said.append))
        assert "src/wrong.ts(1,14): error TS2322" in wrong
        assert "src/ugly.ts" in wrong
        assert "undici is used by nothing" in wrong
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
    wrong = told(apps.types_and_lint(tmp_path / "mypy", _said.append))
    assert "src/app/wrong.py:3: error: Incompatible types in assignment" in wrong
    assert "[invalid-assignment]" in wrong, "the second type checker"
    assert re.search("reformat.*src/app/ugly.py", wrong, re.DOTALL)
    assert "F401" in wrong
    assert "certifi is used by nothing" in wrong
    files = {"sound": ["tests/billing/test_time.py"], "broken": ["tests/test_wrong.py"]}
    assert "test_fails" in told(apps.own_tests(files, _said.append))
