"""Copies of generated projects, and changes to their code."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from tests.operations.side import Pair

_INSTALLED = ("node_modules", ".venv")
# What running a project leaves in it.
_LEFT = (".wrangler", "__pycache__", ".env", ".dev.vars")


@dataclass(frozen=True)
class Edit:
    """A change to one file of a project: `old` becomes `new`; without `old` the file is new."""

    file: str
    new: str
    old: str = ""

    def apply(self, project: Path) -> None:
        """Make it; a change that no longer fits the code is an error."""
        path = project / self.file
        if not self.old:
            assert not path.exists(), self.file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(self.new)
            return
        text = path.read_text()
        assert self.old in text, f"{self.file} has no {self.old!r}"
        path.write_text(text.replace(self.old, self.new))


@dataclass(frozen=True)
class Mutation:
    """The same mistake in both runtimes, and what the doctor calls it."""

    name: str
    worker: tuple[Edit, ...]
    fastapi: tuple[Edit, ...]
    found: dict[str, tuple[str, ...]]  # check ids, and the places that they name

    def apply(self, pair: Pair) -> None:
        """Make it in both."""
        for side, edits in ((pair.worker, self.worker), (pair.fastapi, self.fastapi)):
            for edit in edits:
                edit.apply(side.project)


def copied_project(project: Path, folder: Path) -> Path:
    """The code of a project once more, with the packages of the original."""
    shutil.copytree(project, folder, ignore=shutil.ignore_patterns(*_INSTALLED, *_LEFT))
    for name in _INSTALLED:
        if (project / name).exists():
            (folder / name).symlink_to(project / name)
    return folder
