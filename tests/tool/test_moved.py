"""After an update, edited files that went and imports of what went are named, with their new place."""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path

import copier
import pytest

from tests.conftest import commit, git
from tests.support.render import ROOT

_spec = importlib.util.spec_from_file_location("moved", ROOT / "hooks" / "moved.py")
assert _spec is not None
assert _spec.loader is not None
moved = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(moved)

GONE = {
    "worker": {
        "scripts/doctor/polar-side.ts.jinja": "// of {{ project_name }}\n",
        "scripts/console.ts": "export const show = 1;\n",
        "scripts/polar-admin.ts": "export const admin = 1;\n",
        "scripts/simulation/objects.json": "{}\n",
    },
    "fastapi": {
        "src/app/billing/doctor/__init__.py": '"""The doctor."""\n',
        "src/app/billing/doctor/checks.py.jinja": "CHECKS = {{ [project_name] | json_literal }}\n",
        "src/app/billing/commands/__init__.py": '"""Commands."""\n',
        "src/app/billing/commands/polar_admin.py": "ADMIN = 1\n",
        "tests/http/test_doctor.py": "def test(): ...\n",
    },
}
STAYS = {"worker": ("src/app.ts", "export {};\n"), "fastapi": ("src/app/main.py", "MAIN = 1\n")}


@pytest.fixture
def versions(git_template: Path, template: Path, tmp_path: Path) -> Path:
    """The small template: a version with the operator's commands, and one without."""
    folder = tmp_path / "template"
    shutil.copytree(git_template, folder)
    shutil.copytree(template / "template" / "common", folder / "template" / "common")
    for runtime, files in GONE.items():
        for name, text in (*files.items(), STAYS[runtime]):
            file = folder / "template" / runtime / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
    _release(folder, "1.1.0")
    for runtime, files in GONE.items():
        for name in files:
            (folder / "template" / runtime / name).unlink()
    _release(folder, "1.2.0")
    return folder


def _release(folder: Path, name: str) -> None:
    commit(folder, name)
    git(folder, "tag", name)


def updated(versions: Path, app: Path, runtime: str, edits: dict[str, str], said: pytest.CaptureFixture[str]) -> str:
    """What an update says to a user who wrote these files."""
    data = {"runtime": runtime}
    copier.run_copy(str(versions), app, data=data, vcs_ref="1.1.0", defaults=True, unsafe=True, quiet=True)
    for name, text in edits.items():
        (app / name).parent.mkdir(parents=True, exist_ok=True)
        (app / name).write_text(text)
    git(app, "init", "--quiet")
    commit(app, "mine")
    said.readouterr()
    copier.run_update(app, defaults=True, unsafe=True, overwrite=True)
    return said.readouterr().err


def test_a_worker(versions: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    edits = {
        "scripts/doctor/polar-side.ts": "// mine\n",
        "scripts/report.ts": 'import { x } from "./polar-admin.ts";\n\nconst y = await import("./console");\n',
        "src/app.ts": 'import data from "../scripts/simulation/objects.json" with { type: "json" };\n',
        "src/fine.ts": 'import { x } from "./app.ts";\n// from "./gone"\n',
    }
    said = updated(versions, tmp_path / "app", "worker", edits, capfd)
    head = git(tmp_path / "app", "rev-parse", "--short", "HEAD").strip()
    assert [line.strip() for line in said.splitlines() if "is gone" in line] == [
        f"scripts/doctor/polar-side.ts is gone, with your changes (git show {head}:./scripts/doctor/polar-side.ts): "
        "it is copier_polar/doctor/polar_side.py of the tool now.",
        "scripts/report.ts:1 imports scripts/polar-admin.ts, which is gone: "
        "it is copier_polar/polar.py of the tool now.",
        "scripts/report.ts:3 imports scripts/console.ts, which is gone: it is copier_polar/console.py of the tool now.",
        "src/app.ts:1 imports scripts/simulation/objects.json, which is gone: it is "
        "copier_polar/simulation/objects.json of the tool now.",
    ]


def test_a_fastapi_app(versions: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    edits = {
        "src/app/billing/commands/polar_admin.py": "ADMIN = 2\n",
        "src/app/billing/commands/mine.py": "from .polar_admin import ADMIN\n",
        "src/app/main.py": "import app.billing.doctor.checks\nfrom app.billing import (\n    doctor,\n)\n",
        "src/app/broken.py": "<<<<<<< mine\nfrom app.billing.doctor import checks\n=======\n",
        "src/app/fine.py": "import os\nfrom . import main\n",
    }
    said = updated(versions, tmp_path / "app", "fastapi", edits, capfd)
    lines = [line.strip() for line in said.splitlines() if "is gone" in line]
    assert lines[0].startswith("src/app/billing/commands/polar_admin.py is gone, with your changes (git show ")
    assert [line.partition(", which")[0] for line in lines[1:]] == [
        "src/app/billing/commands/mine.py:1 imports src/app/billing/commands/polar_admin.py",
        "src/app/broken.py:2 imports src/app/billing/doctor/checks.py",
        "src/app/main.py:1 imports src/app/billing/doctor/checks.py",
        "src/app/main.py:2 imports src/app/billing/doctor/__init__.py",
    ]


@pytest.mark.parametrize("runtime", GONE)
def test_an_untouched_project_hears_nothing(
    versions: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], runtime: str
) -> None:
    said = updated(versions, tmp_path / "app", runtime, {}, capfd)
    assert "is updated" in said
    assert "is gone" not in said


def test_other_files_have_no_new_place() -> None:
    assert [
        moved.place_of(path) for path in ("scripts/dev.ts", "src/app/billing/cli.py", "tests/http/test_http.py")
    ] == [None] * 3
