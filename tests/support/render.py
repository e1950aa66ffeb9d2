"""Rendering a profile through Copier's own API, from a plain copy of the working tree."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path

import copier

from tests.profiles import Profile

ROOT = Path(__file__).resolve().parents[2]
TOKEN = "polar_oat_" + "t0k3n" * 8


PARTS = ("copier.yml", "hooks", "template")


def template_copy(destination: Path, root: Path = ROOT, parts: Sequence[str] = PARTS) -> Path:
    """Copy what git knows of the template (uncommitted changes included) into a folder that is no repository.

    Copier renders a plain folder as it is; from a repository with changes it would first make a commit of them.
    """
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", *parts],
        cwd=root,
        capture_output=True,
        check=True,
        text=True,
    )
    for name in filter(None, listed.stdout.split("\0")):
        source, target = root / name, destination / name
        if source.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target)
    return destination


@contextmanager
def polar_at(url: str | None) -> Generator[None]:
    """Let the questions ask the Polar server at `url`; without one, no server and no token are known."""
    wanted = {"POLAR_BASE_URL": url, "POLAR_ACCESS_TOKEN": TOKEN if url else None}
    before = {name: os.environ.get(name) for name in wanted}
    _set(wanted)
    try:
        yield
    finally:
        _set(before)


def _set(values: dict[str, str | None]) -> None:
    for name, value in values.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


def render(profile: Profile, template: Path, destination: Path, polar_url: str | None) -> Path:
    """Render a profile, anew each time; what `copier copy --defaults` gives for its answers."""
    shutil.rmtree(destination, ignore_errors=True)
    with polar_at(polar_url if profile.catalogue else None):
        copier.run_copy(
            str(template), destination, data=profile.data(), defaults=True, unsafe=True, quiet=True, overwrite=True
        )
    return destination
