"""A generated project under git, and its updates."""

from __future__ import annotations

import json
import socket
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import copier
import pytest
import yaml

from tests.conftest import FACTS, commit, git
from tests.polar_server import PolarServer
from tests.support.render import TOKEN, polar_at

CONFLICT = ("<<<<<<<", ">>>>>>>")


class Project:
    """A generated project under git, and its updates."""

    def __init__(self, template: Path, folder: Path) -> None:
        self.template = template
        self.folder = folder

    def create(self, server: PolarServer | None = None, version: str | None = None, **data: Any) -> Project:
        """Generate it, of that version of the template, and commit it."""
        if server:
            data.setdefault("polar_server", "sandbox")
        with polar_at(server.url if server else None):
            copier.run_copy(
                str(self.template), self.folder, data=data, vcs_ref=version, defaults=True, unsafe=True, quiet=True
            )
        git(self.folder, "init", "--quiet")
        commit(self.folder, "generated")
        return self

    def update(
        self, server: PolarServer | None = None, version: str | None = None, quiet: bool = True, **data: Any
    ) -> None:
        """`copier update --defaults`, to that version or to the newest."""
        sys.modules.pop("copier_polar_answers", None)  # another process
        with polar_at(server.url if server else None):
            copier.run_update(
                self.folder,
                data=data,
                vcs_ref=version,
                defaults=True,
                unsafe=True,
                quiet=quiet,
                overwrite=True,
            )
        assert TOKEN.encode() not in b"".join(tree(self.folder).values())

    def follow(self, template: Path) -> None:
        """Update from a repository that has the versions of the present one, and more."""
        file = self.folder / ".copier-answers.yml"
        text = file.read_text()
        assert text.count(str(self.template)) == 1
        file.write_text(text.replace(str(self.template), str(template)))
        commit(self.folder, "the template has moved")
        self.template = template
        self.update()

    def refresh(self, server: PolarServer, **data: Any) -> None:
        """`copier update --defaults --data refresh_catalog=true`."""
        self.update(server, refresh_catalog=True, **data)

    @property
    def answers(self) -> dict[str, Any]:
        """What the answers file says."""
        found: dict[str, Any] = yaml.safe_load((self.folder / ".copier-answers.yml").read_text())
        return found

    @property
    def products(self) -> dict[str, dict[str, Any]]:
        """The chosen products by key; only of the small template."""
        facts = json.loads((self.folder / FACTS).read_text())
        return {p["key"]: p for p in facts["billing"]["products"]}

    @property
    def changes(self) -> str:
        """What is not committed, as git says it."""
        return git(self.folder, "status", "--porcelain")

    @property
    def changed(self) -> set[str]:
        """Paths of the files that are not as they were committed."""
        status = git(self.folder, "status", "--porcelain", "--untracked-files=all", "-z")
        return {entry[3:] for entry in status.split("\0") if entry}

    @property
    def conflicts(self) -> list[str]:
        """Paths of the files that an update could not merge."""
        return [
            str(path)
            for path, content in tree(self.folder).items()
            if path.suffix == ".rej"
            or any(line.startswith(tuple(mark.encode() for mark in CONFLICT)) for line in content.splitlines())
        ]


def tree(folder: Path) -> dict[Path, bytes]:
    """Every file of a project and its content, but for what git and Python keep."""
    return {
        file.relative_to(folder): file.read_bytes()
        for file in sorted(folder.rglob("*"))
        if file.is_file() and not {".git", "__pycache__"} & {*file.relative_to(folder).parts}
    }


@contextmanager
def no_network() -> Generator[None]:
    """Fail whatever opens a connection or asks for an address, and have no token."""

    def refuse(*arguments: object, **_named: object) -> None:
        pytest.fail(f"the network was used: {arguments[1:]}")

    with pytest.MonkeyPatch.context() as patch:
        for name in ("POLAR_ACCESS_TOKEN", "POLAR_BASE_URL"):
            patch.delenv(name, raising=False)
        patch.setattr(socket.socket, "connect", refuse)
        patch.setattr(socket, "getaddrinfo", lambda *arguments, **_named: refuse(None, *arguments))
        yield
