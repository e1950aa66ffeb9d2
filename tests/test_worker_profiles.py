"""Every named Worker profile: its own type check, linter and tests really run, in real workerd with a real D1.

One install of node modules serves all profiles, and one vitest process runs all their tests.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.profiles import WORKER_PROFILES
from tests.support import node
from tests.support.render import render

NAMES = [profile.name for profile in WORKER_PROFILES]
_VITEST_ROOT = """import { defineConfig } from "vitest/config";

export default defineConfig({ test: { projects: ["projects/*/vitest.config.ts"] } });
"""


@pytest.fixture(scope="session")
def workers(
    template: Path, polar_with: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory
) -> node.Workspace:
    """All profiles, rendered below one folder that has the modules of them all."""
    rendered = {
        profile.name: render(
            profile,
            template,
            tmp_path_factory.mktemp("profiles") / profile.name,
            polar_with(profile.catalogue) if profile.catalogue else None,
        )
        for profile in WORKER_PROFILES
    }
    manifest: dict[str, Any] = {}
    for project in rendered.values():
        own = json.loads((project / "package.json").read_text())
        for kind in ("dependencies", "devDependencies"):
            manifest.setdefault(kind, {}).update(own.get(kind, {}))
    workspace = node.workspace(manifest)
    _move_in(rendered, workspace)
    return workspace


def _move_in(rendered: dict[str, Path], workspace: node.Workspace) -> None:
    shutil.rmtree(workspace.root / "projects", ignore_errors=True)
    for name, project in rendered.items():
        shutil.move(project, workspace.project(name))
        manifest = workspace.project(name) / "package.json"
        manifest.write_text(json.dumps({**json.loads(manifest.read_text()), "name": name}, indent=2) + "\n")
    (workspace.root / "vitest.config.ts").write_text(_VITEST_ROOT)


@pytest.fixture(scope="session")
def results(workers: node.Workspace) -> dict[str, list[dict[str, Any]]]:
    """The outcome of every test file of every profile, by the profile's name, from one vitest process."""
    report = workers.root / "report.json"
    report.unlink(missing_ok=True)
    done = node.run(
        workers.bin("vitest"),
        "run",
        "--maxWorkers=2",
        "--reporter=default",
        "--reporter=json",
        f"--outputFile.json={report}",
        cwd=workers.root,
        timeout=900,
    )
    assert report.exists(), done.stdout[-4000:] + done.stderr[-4000:]
    by_profile: dict[str, list[dict[str, Any]]] = {name: [] for name in NAMES}
    for file in json.loads(report.read_text())["testResults"]:
        name = Path(file["name"]).relative_to(workers.root / "projects").parts[0]
        by_profile[name].append(file)
    return by_profile


@pytest.mark.parametrize("name", NAMES)
def test_own_tests_pass(name: str, results: dict[str, list[dict[str, Any]]]) -> None:
    files = results[name]
    cases = [case for file in files for case in file["assertionResults"]]
    failed = [
        f"{case['fullName']}: {' '.join(case['failureMessages'])[:800]}" for case in cases if case["status"] == "failed"
    ]
    failed += [
        f"{file['name']}: {file['message'][:800]}" for file in files if file["status"] == "failed" and file["message"]
    ]
    assert not failed, "\n".join(failed)
    assert sum(case["status"] == "passed" for case in cases) > 50, "the profile ran hardly any test of its own"


@pytest.mark.parametrize("name", NAMES)
def test_type_checks(name: str, workers: node.Workspace) -> None:
    project = workers.project(name)
    types = node.run(workers.bin("wrangler"), "types", cwd=project, timeout=120)
    assert types.returncode == 0, types.stdout + types.stderr
    assert "Action required" not in types.stdout
    for config in ("tsconfig.json", "test/tsconfig.json", "scripts/tsconfig.json"):
        checked = node.run(workers.bin("tsc"), "--noEmit", "-p", config, cwd=project, timeout=120)
        assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.parametrize("name", NAMES)
def test_linter_and_formatter_have_nothing_to_say(name: str, workers: node.Workspace) -> None:
    checked = node.run(workers.bin("biome"), "ci", "--error-on-warnings", cwd=workers.project(name), timeout=120)
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.parametrize("name", NAMES)
def test_bundle_builds(name: str, workers: node.Workspace, tmp_path: Path) -> None:
    built = node.run(
        workers.bin("wrangler"), "deploy", "--dry-run", "--outdir", tmp_path, cwd=workers.project(name), timeout=120
    )
    assert built.returncode == 0, built.stdout + built.stderr
