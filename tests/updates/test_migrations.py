"""Migrations are append-only, and a user's own live beside those that updates bring."""

from __future__ import annotations

import hashlib
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import commit
from tests.profiles import FASTAPI_PROFILES, Profile
from tests.support import python_env
from tests.support.render import ROOT
from tests.updates import history, rehearsal
from tests.updates.conftest import Generated, Made
from tests.updates.edits import EDITS, OWN_ROUTE, OWN_TABLE
from tests.updates.running import RunningFastAPI, RunningWorker, execute, tables
from tests.updates.test_edits import DEMOS

LIST = Path(__file__).with_name("migrations.sha256")
FOLDERS = ("template/worker/migrations", "template/fastapi/src/app/migrations/billing")
Running = RunningWorker | RunningFastAPI


def checksums() -> dict[str, str]:
    """Checksums of the released migrations by path, as `sha256sum` writes them."""
    listed = (line.split(maxsplit=1) for line in LIST.read_text().splitlines())
    return {path: checksum for checksum, path in listed}


@pytest.mark.parametrize("path", checksums())
def test_a_released_migration_never_changes(path: str) -> None:
    content = (ROOT / path).read_bytes()
    assert hashlib.sha256(content).hexdigest() == checksums()[path], (
        f"{path} is released: write a new migration instead"
    )


@pytest.mark.parametrize("version", history.released(), ids=lambda version: version.name)
def test_every_released_migration_is_listed(version: history.Version) -> None:
    history.require_history()
    listed = checksums()
    for folder in FOLDERS:
        for path in version.files(folder):
            assert listed.get(path) == hashlib.sha256(version.file(path)).hexdigest(), path


@pytest.fixture
def running(runtime: str, fresh: Callable[[Profile], Generated], tmp_path: Path) -> Callable[[str], Running]:
    """What runs a project of the runtime on a store of that name."""

    def store(name: str) -> Running:
        if runtime == "worker":
            return RunningWorker(tmp_path / name)
        # As many profiles as tests/test_fastapi_profiles.py has: it is the same environment.
        python = python_env.environment(fresh(profile).folder for profile in FASTAPI_PROFILES)
        return RunningFastAPI(tmp_path / name, python)

    return store


def _get(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=30) as answer:
        body: bytes = answer.read()
    return body


@pytest.mark.parametrize("runtime", DEMOS)
def test_own_migrations_live_beside_new_ones_of_the_template(
    runtime: str, running: Callable[[str], Running], made: Made, next_release: Path, tmp_path: Path
) -> None:
    """A store with both, from before the update, takes what is new; an empty store takes all of it."""
    project = made(DEMOS[runtime])
    EDITS[runtime].apply(project.folder)
    commit(project.folder, "ours")
    store = running("store")
    with store.started(project.folder):
        pass
    before = tables(store.database)
    assert OWN_TABLE in before
    assert rehearsal.NEW_TABLE not in before
    execute(store.database, f"INSERT INTO {OWN_TABLE} (id) VALUES (7)")

    project.follow(next_release)
    assert project.conflicts == []
    OWN_ROUTE[runtime].apply(project.folder)
    with store.started(project.folder) as url:
        assert (_get(f"{url}/reports"), _get(f"{url}/own")) == (b"[]", b'["own"]')
    assert tables(store.database) == before | {rehearsal.NEW_TABLE}
    assert execute(store.database, f"SELECT id FROM {OWN_TABLE}") == [(7,)]
    empty = running("empty")
    empty.migrate(project.folder)
    assert tables(empty.database) == tables(store.database)
