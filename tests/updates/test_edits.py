"""What users wrote, changed and deleted survives an update from every version, and nothing of the update is lost."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import commit
from tests.profiles import FASTAPI_PROFILES, WORKER_PROFILES, Profile
from tests.support.render import ROOT
from tests.updates import history
from tests.updates.conftest import Generated, Made
from tests.updates.edits import EDITS
from tests.updates.project import tree

DEMOS = {profile.runtime: profile for profile in (WORKER_PROFILES[0], FASTAPI_PROFILES[0])}
# Where users write. A released version's file stays as it is: a change of ours would meet one of theirs.
RESERVED = (
    "template/worker/src/own-routes.ts",
    "template/worker/src/premium.ts",
    "template/worker/src/reactions.ts",
    "template/worker/src/auth/custom.ts",
    "template/fastapi/src/app/own_routes.py",
    "template/fastapi/src/app/premium.py",
    "template/fastapi/src/app/reactions.py.jinja",
    "template/fastapi/src/app/auth/custom.py",
    "template/fastapi/src/app/migrations/env.py",
    "template/fastapi/src/app/migrations/script.py.mako",
)


@pytest.mark.parametrize("version", history.released(), ids=lambda version: version.name)
@pytest.mark.parametrize("runtime", DEMOS)
def test_edits_survive_an_update_from_every_version(
    runtime: str, version: history.Version, made: Made, fresh: Callable[[Profile], Generated], tmp_path: Path
) -> None:
    """As if they had been made in a fresh project of the newest version: nothing less, nothing more, no conflict."""
    profile, edits = DEMOS[runtime], EDITS[runtime]
    project = made(profile, version.name)
    edits.apply(project.folder)
    commit(project.folder, "ours")
    project.update()
    assert project.conflicts == []

    wanted = tmp_path / "wanted"
    shutil.copytree(fresh(profile).folder, wanted)
    edits.apply(wanted)
    updated, expected = tree(project.folder), tree(wanted)
    assert sorted(updated) == sorted(expected)
    assert [str(path) for path in expected if updated[path] != expected[path]] == []


@pytest.mark.parametrize("path", RESERVED)
def test_no_update_touches_where_users_write(path: str) -> None:
    now = (ROOT / path).read_bytes()
    for version in history.released():
        if path in version.files("template"):
            assert version.file(path) == now, f"{path} was released with {version.name}, and is its users' now"


def test_the_template_adds_nothing_where_users_put_files() -> None:
    """Migrations from 5000 on, and Alembic's second folder."""
    worker, fastapi = ROOT / "template/worker/migrations", ROOT / "template/fastapi/src/app/migrations/versions"
    assert [file.name for file in worker.iterdir() if file.name >= "5000"] == []
    assert [file.name for file in fastapi.iterdir() if file.suffix == ".py"] == []
