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
from tests.updates.edits import EDITS, SIGN_IN
from tests.updates.project import tree

DEMOS = {profile.runtime: profile for profile in (WORKER_PROFILES[0], FASTAPI_PROFILES[0])}
# Where users write. An update leaves these files as they are: a change of ours would meet one of theirs.
RESERVED = {
    "worker": ("src/own-routes.ts", "src/premium.ts", "src/reactions.ts"),
    "fastapi": (
        "src/app/own_routes.py",
        "src/app/premium.py",
        "src/app/reactions.py",
        "src/app/migrations/env.py",
        "src/app/migrations/script.py.mako",
    ),
}
# With another catalogue and another sign-in: what differs in the reserved files by answers.
OTHERS = [p for p in (*WORKER_PROFILES, *FASTAPI_PROFILES) if p.name.endswith(("one-time", "custom-auth"))]


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


@pytest.mark.parametrize("version", history.released(), ids=lambda version: version.name)
@pytest.mark.parametrize("profile", [*DEMOS.values(), *OTHERS], ids=lambda profile: profile.name)
def test_no_update_touches_where_users_write(profile: Profile, version: history.Version, made: Made) -> None:
    then, now = made(profile, version.name, "then").folder, made(profile, history.newest(), "now").folder
    for name in RESERVED[profile.runtime]:
        assert (now / name).is_file(), name
        assert not (then / name).exists() or (then / name).read_bytes() == (now / name).read_bytes(), name


@pytest.mark.parametrize(
    "profile", [p for p in OTHERS if p.name.endswith("custom-auth")], ids=lambda profile: profile.name
)
def test_a_sign_in_that_was_filled_in_stays(profile: Profile, made: Made) -> None:
    """The rest of its file is ours, and changes."""
    project, wanted = made(profile), made(profile, history.newest(), "wanted")
    for folder in (project.folder, wanted.folder):
        SIGN_IN[profile.runtime].apply(folder)
    commit(project.folder, "ours")
    project.update()
    assert project.conflicts == []
    for name in SIGN_IN[profile.runtime].changed:
        assert (project.folder / name).read_text() == (wanted.folder / name).read_text()


def test_the_template_adds_nothing_where_users_put_files() -> None:
    """Migrations from 5000 on, and Alembic's second folder."""
    worker, fastapi = ROOT / "template/worker/migrations", ROOT / "template/fastapi/src/app/migrations/versions"
    assert [file.name for file in worker.iterdir() if file.name >= "5000"] == []
    assert [file.name for file in fastapi.iterdir() if file.suffix == ".py"] == []
