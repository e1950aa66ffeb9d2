"""Versions: what a release has to have, and that users hear of it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.version import Version as Number

from tests.conftest import commit, git
from tests.support.render import ROOT
from tests.updates import history
from tests.updates.command import copier_command
from tests.updates.conftest import Made
from tests.updates.test_edits import DEMOS

VERSIONS = history.released()


def sections() -> dict[str, str]:
    """What the changelog says of each version, the newest first."""
    parts = re.split(r"^## (\S+).*$", (ROOT / "CHANGELOG.md").read_text(), flags=re.MULTILINE)[1:]
    return dict(zip(parts[::2], parts[1::2], strict=True))


def test_versions_rise_with_the_history() -> None:
    numbers = [Number(version.name) for version in VERSIONS]
    assert numbers == sorted(set(numbers))
    assert Number(history.newest()) > numbers[-1], "a released version is in pyproject.toml: the next one has to be"
    for version, following in zip(VERSIONS, [*(later.commit for later in VERSIONS[1:]), "HEAD"], strict=True):
        git(ROOT, "merge-base", "--is-ancestor", version.commit, following)


def test_every_version_has_its_section_in_the_changelog() -> None:
    assert list(sections()) == [history.newest(), *(version.name for version in reversed(VERSIONS))]
    assert all(text.strip() for text in sections().values())


def _questions(text: str | bytes) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(text)
    shown = {name: question for name, question in found.items() if not name.startswith("_")}
    return {name: question for name, question in shown.items() if question.get("when") is not False}


def test_users_hear_of_every_question_that_is_new_or_gone() -> None:
    before, now = _questions(VERSIONS[-1].file("copier.yml")), _questions((ROOT / "copier.yml").read_text())
    said = sections()[history.newest()]
    assert [name for name in before.keys() ^ now.keys() if f"`{name}`" not in said] == []


@pytest.mark.parametrize("version", VERSIONS, ids=lambda version: version.name)
@pytest.mark.parametrize("runtime", DEMOS)
def test_defaults_keep_behaviour(runtime: str, version: history.Version, made: Made) -> None:
    """Whoever never chose gets today what that version gave; that updates keep it is in test_edits.py."""
    then, now = (
        made(DEMOS[runtime], version.name, "then").answers,
        made(DEMOS[runtime], history.newest(), "now").answers,
    )
    del then["_commit"]
    then.pop("polar_api_version", None)  # the one default that moves: what it was ceases to be
    assert {name: now.get(name) for name in then} == then


def test_copier_says_whether_there_is_a_newer_version(made: Made) -> None:
    project = made(DEMOS["worker"])
    oldest, newest = VERSIONS[0].name, history.newest()
    said = copier_command("check-update", project.folder)
    assert (said.code, f"Current version is {oldest}, latest version is {newest}." in said.said) == (0, True)
    assert copier_command("check-update", "--quiet", project.folder).code == 2
    project.update()
    commit(project.folder, "updated")
    assert copier_command("check-update", "--quiet", project.folder).code == 0
    told = copier_command("check-update", "--output-format", "json", project.folder)
    (line,) = [line for line in told.said.splitlines() if line.startswith("{")]
    assert json.loads(line) == {"update_available": False, "current_version": newest, "latest_version": newest}


def test_a_shallow_clone_says_what_it_lacks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    git(tmp_path, "clone", "--quiet", "--depth", "1", ROOT.as_uri(), "clone")
    monkeypatch.setattr(history, "ROOT", tmp_path / "clone")
    with pytest.raises(pytest.fail.Exception, match=r"no commits of the versions 0\.1\.0, .*git fetch --unshallow"):
        history.require_history()
