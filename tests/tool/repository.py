"""The template with its tool as a git repository: the working tree, and a later version rehearsed."""

from __future__ import annotations

import re
from pathlib import Path

from tests.conftest import commit, git
from tests.support.render import template_copy

PARTS = ("copier.yml", "hooks", "template", "copier_polar", "pyproject.toml", "README.md")
OLDER_COPIER = "9.18.2"
NEW_DEPENDENCY = "iniconfig==2.3.0"
FIRST, SECOND = "0.3.0", "0.4.0"


def build(folder: Path) -> Path:
    """Make the working tree a first version that pins an older Copier, and behind it one whose hooks need more."""
    folder.mkdir(parents=True)
    template_copy(folder, parts=PARTS)
    settings, manifest, hook = folder / "copier.yml", folder / "pyproject.toml", folder / "hooks" / "plain_text.py"
    new_settings, new_manifest = settings.read_text(), manifest.read_text()
    (pinned,) = re.findall(r'"copier==(.+?)"', new_manifest)
    _replace(settings, f'_min_copier_version: "{pinned}"', f'_min_copier_version: "{OLDER_COPIER}"')
    _replace(manifest, f'"copier=={pinned}"', f'"copier=={OLDER_COPIER}"')
    git(folder, "init", "--quiet", "--initial-branch", "main")
    release(folder, FIRST)

    settings.write_text(new_settings)
    manifest.write_text(new_manifest)
    _replace(manifest, "dependencies = [\n", f'dependencies = [\n  "{NEW_DEPENDENCY}",\n')
    _replace(hook, "from typing import Any\n", "from typing import Any\n\nimport iniconfig as _needed  # noqa: F401\n")
    for runtime in ("worker", "fastapi"):
        (folder / "template" / runtime / "rehearsal.txt").write_text("new\n")
    release(folder, SECOND)
    return folder


def release(folder: Path, name: str) -> None:
    """Commit what is there, under that tag."""
    commit(folder, name)
    git(folder, "tag", name)


def _replace(file: Path, before: str, after: str) -> None:
    text = file.read_text()
    assert text.count(before) >= 1, before
    file.write_text(text.replace(before, after, 1))
