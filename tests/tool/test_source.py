"""Where a template lies becomes what `uvx --from` takes, and what is hostile in it is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from copier_polar import source
from copier_polar.console import BadCall
from tests.conftest import commit, git
from tests.tool.sources import BAD, GOOD, Row

SECRETS = {
    "https://user:secret@example.com/x.git": "https://example.com/x.git",
    "https://ghp_secret@example.com/x": "https://example.com/x",
    "fatal: 'git+https://a:b@c@example.com/x' and ssh://u:p@h/y": "fatal: 'git+https://example.com/x' and ssh://h/y",
    "ssh://git@example.com/x": "ssh://git@example.com/x",
    "git@example.com:team/x.git": "git@example.com:team/x.git",
}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return tmp_path / "work" / "project"


@pytest.mark.parametrize("row", GOOD, ids=lambda row: row.name)
def test_every_form_is_known(row: Row, project: Path, tmp_path: Path) -> None:
    assert row.wanted is not None
    wanted = row.wanted.format(project=project, above=project.parent, home=tmp_path / "home")
    assert source.for_uvx(row.place, row.commit, project) == wanted


@pytest.mark.parametrize("row", BAD, ids=lambda row: row.name)
def test_what_is_hostile_is_refused_in_one_line(row: Row, project: Path) -> None:
    with pytest.raises(BadCall) as refused:
        source.for_uvx(row.place, row.commit, project)
    assert str(refused.value).isprintable()


@pytest.mark.parametrize("text", SECRETS)
def test_credentials_are_not_shown(text: str) -> None:
    assert source.printable(text) == SECRETS[text]


# --- the tool itself --------------------------------------------------------------------------------------------------


@pytest.fixture
def installed_from(monkeypatch: pytest.MonkeyPatch) -> object:
    class Installed:
        text: str | None = None

        def read_text(self, name: str) -> str | None:
            assert name == "direct_url.json"
            return self.text

    here = Installed()
    monkeypatch.setattr(source, "distribution", lambda name: here)
    source.origin.cache_clear()
    yield lambda recorded: setattr(here, "text", json.dumps(recorded) if recorded else None)
    source.origin.cache_clear()


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("https://github.com/team/billing", "https://github.com/team/billing"),
        ("https://example.com/billing.git", "https://example.com/billing.git"),
        ("https://example.com/billing", "git+https://example.com/billing"),
        ("https://user:secret@example.com/billing.git", "https://example.com/billing.git"),
        ("ssh://git@example.com/billing.git", "ssh://git@example.com/billing.git"),
        ("file:///srv/my%20projects/billing", "/srv/my projects/billing"),
    ],
)
def test_a_tool_of_a_repository_knows_place_and_commit(installed_from, url: str, place: str) -> None:
    installed_from({"url": url, "vcs_info": {"vcs": "git", "commit_id": "a" * 40, "requested_revision": "0.3.0"}})
    assert source.origin() == source.Origin(place, "a" * 40)
    assert source.origin().reference == "a" * 40


def test_a_tool_of_a_checkout_knows_its_commit_and_its_changes(installed_from, tmp_path: Path) -> None:
    folder = tmp_path / "my template"
    folder.mkdir()
    (folder / "copier.yml").write_text("")
    installed_from({"url": folder.as_uri(), "dir_info": {"editable": True}})
    assert source.origin() == source.Origin(str(folder))
    git(folder, "init", "--quiet")
    commit(folder, "first")
    head = git(folder, "rev-parse", "HEAD").strip()
    source.origin.cache_clear()
    assert source.origin() == source.Origin(str(folder), head)
    (folder / "new").write_text("")
    source.origin.cache_clear()
    assert source.origin() == source.Origin(str(folder), head, changed=True)
    assert source.origin().reference == "HEAD"


def test_a_checkout_that_is_gone_is_said_in_one_line(installed_from, tmp_path: Path) -> None:
    installed_from({"url": (tmp_path / "gone").as_uri(), "dir_info": {}})
    with pytest.raises(BadCall, match="is gone"):
        source.origin()


def test_a_tool_that_is_not_installed_is_that_of_its_checkout(installed_from) -> None:
    installed_from(None)
    assert source.origin().place == str(Path(source.__file__).parents[1])
