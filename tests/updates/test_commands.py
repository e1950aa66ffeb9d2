"""From 0.2.0, whose projects had the operator's commands in them: they are the tool's now, and all goes on working."""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import commit, git
from tests.profiles import Profile
from tests.support import node, registry
from tests.support.process import free_port, run, server
from tests.support.python_env import PythonEnvironment
from tests.support.render import ROOT
from tests.updates import history
from tests.updates.command import copier_command
from tests.updates.conftest import Generated, Made
from tests.updates.edits import COMMANDS, EDITS
from tests.updates.project import Project, tree
from tests.updates.running import link_modules, tables
from tests.updates.test_edits import DEMOS

BEFORE = "0.2.0"
# The edited file, and the import of what is gone, as the message after the update names them.
NAMED = {
    "worker": [
        "scripts/simulation/sign-in.ts is gone, with your changes (git show {head}:./scripts/simulation/sign-in.ts): "
        "it is copier_polar/simulation/sign_in.py of the tool now. `simulate --header` takes what you wrote there.",
        "scripts/stats.ts:1 imports scripts/console.ts, which is gone: it is copier_polar/console.py of the tool now.",
    ],
    "fastapi": [
        "src/app/billing/simulation/sign_in.py is gone, with your changes "
        "(git show {head}:./src/app/billing/simulation/sign_in.py): "
        "it is copier_polar/simulation/sign_in.py of the tool now. `simulate --header` takes what you wrote there.",
        "src/app/stats.py:3 imports src/app/billing/commands/console.py, which is gone: "
        "it is copier_polar/console.py of the tool now.",
    ],
}


def by_copier(folder: Path) -> str:
    """`copier update --trust`; what it says."""
    done = copier_command("update", "--trust", "--defaults", folder)
    assert done.code == 0, done.said
    return done.said


def by_the_tool(folder: Path) -> str:
    """What the tool of the new version does when `copier-polar update` has started it; what it says."""
    call = ("--project", folder, "update", "--in-place", "--defaults", "--vcs-ref", history.newest())
    env = {**os.environ, "PYTHONPATH": str(ROOT), "NO_COLOR": "1"}
    return run([sys.executable, "-m", "copier_polar", *call], cwd=ROOT, env=env, timeout=300).stderr


def edited(made: Made, runtime: str) -> Project:
    """A project of that version in which its user has worked."""
    project = made(DEMOS[runtime], BEFORE)
    EDITS[runtime].apply(project.folder)
    COMMANDS[runtime].apply(project.folder)
    commit(project.folder, "ours")
    return project


@pytest.mark.parametrize("update", [by_copier, by_the_tool], ids=lambda update: update.__name__)
@pytest.mark.parametrize("runtime", DEMOS)
def test_only_what_is_gone_is_lost_and_it_is_named(
    runtime: str,
    update: Callable[[Path], str],
    made: Made,
    fresh: Callable[[Profile], Generated],
    tmp_path: Path,
) -> None:
    """As if the edits had been made in a fresh project: no conflict, and no other file that is not as it is there."""
    project = edited(made, runtime)
    head = git(project.folder, "rev-parse", "--short", "HEAD").strip()
    said = [line.strip() for line in update(project.folder).splitlines()]
    assert project.conflicts == []
    assert [line for line in said if "is gone" in line] == [line.format(head=head) for line in NAMED[runtime]]

    wanted, ours = shutil.copytree(fresh(DEMOS[runtime]).folder, tmp_path / "wanted"), COMMANDS[runtime]
    EDITS[runtime].apply(wanted)
    kept = {name: edits for name, edits in ours.changed.items() if (wanted / name).exists()}
    assert len(kept) == len(ours.changed) - 1
    type(ours)(kept, ours.added).apply(wanted)
    updated, expected = tree(project.folder), tree(wanted)
    assert sorted(updated) == sorted(expected)
    assert [str(path) for path in expected if updated[path] != expected[path]] == []


# --- the commands at once ---------------------------------------------------------------------------------------------


def with_secrets(project: Path, example: str, name: str) -> None:
    """The settings for development that a user of that version has: made by its first start, never committed."""
    text = re.sub(
        "change-me-.*|generated-at-first-start", lambda _: secrets.token_hex(32), (project / example).read_text()
    )
    (project / name).write_text(text)


def billing(launcher: list[str | Path], *arguments: str, cwd: Path, env: Mapping[str, str]) -> Any:
    """Call the project's launcher, which starts the tool of the working tree."""
    return subprocess.run(
        [*map(str, launcher), *arguments],
        cwd=cwd,
        env={**env, "POLAR_BILLING_TOOL": str(ROOT)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def commands_work(launcher: list[str | Path], project: Path, env: Mapping[str, str]) -> None:
    """The help is there, and the doctor examines the app and its current database."""
    registry.require()
    helped = billing(launcher, "--help", cwd=project, env=env)
    assert helped.returncode == 0, helped.stderr
    assert re.search(r"^ +doctor ", helped.stdout, re.MULTILINE)
    examined = billing(launcher, "doctor", "--json", cwd=project, env=env)
    assert examined.returncode == 1, examined.stderr
    report = json.loads(examined.stdout)
    critical = {issue["id"] for issue in report["issues"] if issue["priority"] == "P1"}
    assert critical == {"demo_ids"}
    assert report["status"]["tables"]["events"] == {}


def test_a_workers_commands_work_at_once(made: Made) -> None:
    """With the packages that it has, before `npm install`; `migrate` without uv, git and a shell."""
    project = edited(made, "worker")
    with_secrets(project.folder, ".dev.vars.example", ".dev.vars")
    link_modules(project.folder)
    project.update()
    launcher: list[str | Path] = [node.NODE, "scripts/billing.mjs"]
    alone = {**node.environment(), "PATH": str(node.NODE.parent)}
    run([*launcher, "migrate"], cwd=project.folder, env=alone, timeout=120)
    commands_work(launcher, project.folder, node.environment())


def test_a_fastapi_apps_commands_work_at_once(made: Made, python: PythonEnvironment) -> None:
    """With the packages of the new version; `migrate` without uv and git."""
    updated = edited(made, "fastapi")
    project = updated.folder
    with_secrets(project, ".env.example", ".env")
    updated.update()
    launcher: list[str | Path] = [python.bin("python"), "-m", "app.billing.cli"]
    run([*launcher, "migrate"], cwd=project, env=container(python, project), timeout=120)
    assert "billing_customers" in tables(project / "billing.db")
    commands_work(launcher, project, python.variables(project))


def test_a_dockerfile_that_was_edited_starts_the_app(made: Made, python: PythonEnvironment, tmp_path: Path) -> None:
    """Its command as it is written there, with nothing but the image's packages."""
    updated = edited(made, "fastapi")
    project = updated.folder
    updated.update()
    (command,) = re.findall(r"^CMD (\[.*\])$", (project / "Dockerfile").read_text(), re.MULTILINE)
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    settings = {
        "PORT": str(port),
        "APP_URL": url,
        "POLAR_SERVER": "demo",
        "POLAR_WEBHOOK_SECRET": f"whsec_{secrets.token_hex(32)}",
        "AUTH_JWT_SECRET": secrets.token_hex(32),
        "DATABASE_URL": f"sqlite:///{tmp_path / 'store.db'}",
    }
    env = {**container(python, project), **settings}
    with server(json.loads(command), cwd=project, env=env, url=f"{url}/healthz", log=tmp_path / "log"):
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(f"{url}/billing/access", timeout=30)
        assert refused.value.code == 401
    assert "billing_customers" in tables(tmp_path / "store.db")


def container(python: PythonEnvironment, project: Path) -> dict[str, str]:
    """The environment of an image: the app's packages and a shell, neither uv nor git."""
    shell = project.with_name("shell")
    shell.mkdir()
    (shell / "sh").symlink_to("/bin/sh")
    return {"PATH": f"{python.root / 'bin'}{os.pathsep}{shell}", "PYTHONPATH": str(project / "src")}
