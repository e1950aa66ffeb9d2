"""A version that calls a file otherwise: its user's changes move with it, and a deletion stays one."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import commit
from tests.updates import history, rehearsal
from tests.updates.conftest import Made
from tests.updates.project import tree
from tests.updates.test_edits import DEMOS

RUNTIMES = tuple(rehearsal.RENAMED)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_changes_move_with_a_file(runtime: str, made: Made, next_release: Path) -> None:
    """From the oldest version, and what the template itself changed in the file arrives too."""
    old, new = (Path(name) for name in rehearsal.RENAMED[runtime])
    project = made(DEMOS[runtime])
    ours = "\n# ours, and to stay\n"
    (project.folder / old).write_text((project.folder / old).read_text() + ours)
    commit(project.folder, "ours")
    project.follow(next_release)
    files = tree(project.folder)
    assert old not in files
    assert files[new].decode() == (next_release / "template" / runtime / new).read_text() + ours
    assert project.conflicts == []


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_file_that_was_deleted_does_not_come_back_under_another_name(
    runtime: str, made: Made, next_release: Path
) -> None:
    old, new = (Path(name) for name in rehearsal.RENAMED[runtime])
    project = made(DEMOS[runtime])
    (project.folder / old).unlink()
    commit(project.folder, "not needed")
    project.follow(next_release)
    assert not {old, new} & set(tree(project.folder))


def test_an_untouched_file_has_another_name_and_that_is_all(made: Made, next_release: Path) -> None:
    project = made(DEMOS["worker"], history.newest())
    old, new = rehearsal.RENAMED["worker"]
    text = (project.folder / old).read_text()
    project.follow(next_release)
    assert (project.folder / new).read_text() == rehearsal.rehearsed(text)
    added = next(name for name in project.changed if name.startswith("migrations/"))
    assert project.changed == {old, new, added, "src/app.ts", ".copier-answers.yml"}
