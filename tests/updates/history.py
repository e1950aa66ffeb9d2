"""The template's released versions as a repository of their own: real commits with tags, made from this repository."""

from __future__ import annotations

import shutil
import subprocess
import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from tests.conftest import commit, git
from tests.support.render import ROOT, template_copy

PARTS = ("copier.yml", "hooks", "template")


@dataclass(frozen=True)
class Version:
    """A released version: its name, and the commit of this repository that it is."""

    name: str
    commit: str

    def file(self, path: str) -> bytes:
        """A file as it was; raises where the version had none."""
        return _git_bytes("show", f"{self.commit}:{path}")

    def files(self, folder: str) -> list[str]:
        """Paths of the files below a folder, as they were."""
        return _git_bytes("ls-tree", "-r", "--name-only", self.commit, f"{folder}/").decode().splitlines()


@cache
def released() -> tuple[Version, ...]:
    """Every version that updates are supported from, the oldest first."""
    listed = tomllib.loads(Path(__file__).with_name("versions.toml").read_text())["version"]
    return tuple(Version(**each) for each in listed)


@cache
def newest() -> str:
    """What the working tree is going to be released as."""
    version: str = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    return version


def build(folder: Path) -> Path:
    """A repository with a tagged commit for every released version, and one for the working tree."""
    require_history()
    folder.mkdir(parents=True)
    git(folder, "init", "--quiet")
    for version in released():
        _empty(folder)
        archive = _git_bytes("archive", version.commit, *PARTS)
        subprocess.run(["tar", "-x", "-C", folder], input=archive, check=True)
        release(folder, version.name)
    _empty(folder)
    template_copy(folder)
    release(folder, newest())
    return folder


def release(folder: Path, name: str) -> None:
    """Commit what is there, under that tag."""
    commit(folder, name)
    git(folder, "tag", name)


def require_history() -> None:
    """Fail with what to do where this clone has not the commits of the released versions."""
    missing = [version.name for version in released() if not _has(version.commit)]
    if missing:
        shallow = git(ROOT, "rev-parse", "--is-shallow-repository").strip() == "true"
        cure = "run `git fetch --unshallow`" if shallow else "clone the template's own repository, with its history"
        pytest.fail(
            f"Here are no commits of the versions {', '.join(missing)} (tests/updates/versions.toml): {cure}.",
            pytrace=False,
        )


def _has(name: str) -> bool:
    found = subprocess.run(["git", "cat-file", "-e", f"{name}^{{commit}}"], cwd=ROOT, capture_output=True, check=False)
    return found.returncode == 0


def _git_bytes(*arguments: str) -> bytes:
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, check=True).stdout


def _empty(folder: Path) -> None:
    for path in folder.iterdir():
        if path.is_dir() and path.name != ".git":
            shutil.rmtree(path)
        elif path.is_file():
            path.unlink()
