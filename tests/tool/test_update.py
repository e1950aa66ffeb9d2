"""`copier-polar update`: the right version, its own tool, and one line for what is in the way."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from copier import _main

from copier_polar import source, start, target
from copier_polar.console import Refused
from tests.conftest import commit, git
from tests.support import registry
from tests.tool import repository
from tests.tool.calling import Call, answers, one_line
from tests.tool.maker import call, kept

__all__ = ["call", "kept"]  # fixtures
Start = list[tuple[str, str, list[str]]]


@pytest.fixture
def versions(git_template: Path, template: Path, tmp_path: Path) -> Path:
    """The small template with three versions."""
    folder = tmp_path / "template"
    shutil.copytree(git_template, folder)
    shutil.copytree(template / "template" / "common", folder / "template" / "common")
    for name in ("1.1.0", "2.0.0rc1"):
        (folder / "template" / "worker" / f"{name}.txt").write_text("new\n")
        commit(folder, name)
        git(folder, "tag", "--annotate", name, "--message", name)
    return folder


@pytest.fixture
def app(versions: Path, call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project of the first version, under git; the tool is of the second."""
    assert call("new", "app", "--defaults", "--vcs-ref", "1.0.0", "--quiet").code == 0
    folder = tmp_path / "app"
    _lie_at(folder, versions)
    git(folder, "init", "--quiet")
    commit(folder, "generated")
    _tool_of(monkeypatch, versions, "1.1.0")
    return folder


def _lie_at(folder: Path, place: object) -> None:
    file = folder / ".copier-answers.yml"
    file.write_text(file.read_text().replace(str(answers(folder)["_src_path"]), str(place)))


def _tool_of(monkeypatch: pytest.MonkeyPatch, versions: Path, version: str) -> None:
    head = git(versions, "rev-parse", f"{version}^{{commit}}").strip()
    monkeypatch.setattr(source, "origin", lambda: source.Origin(str(versions), head))


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Start:
    """The tools of other versions that would have been started; none is."""
    seen: Start = []

    def tool(wanted: str, name: str, arguments: list[str]) -> int:
        seen.append((wanted, name, arguments))
        return 7

    monkeypatch.setattr(start, "tool", tool)
    return seen


def test_the_newest_release_is_the_target_and_this_tool_does_it_if_it_is_of_it(
    call: Call, app: Path, versions: Path, kept: list[str], started: Start
) -> None:
    ended = call("--project", "app", "update", "--defaults")
    assert ended.code == 0, ended
    assert answers(app)["_commit"] == "1.1.0"
    assert git(app, "status", "--porcelain").split() == ["M", ".copier-answers.yml", "??", "1.1.0.txt"]
    assert started == []
    assert kept[-1] == f"git+file://{versions}@1.1.0"


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        (["--prereleases"], "2.0.0rc1"),
        (["--vcs-ref", "2.0.0rc1"], "2.0.0rc1"),
        (["--vcs-ref=HEAD"], None),
        (["-r", "HEAD~0"], None),
    ],
)
def test_another_version_is_made_by_its_own_tool(
    call: Call, app: Path, versions: Path, started: Start, arguments: list[str], name: str | None
) -> None:
    head = git(versions, "rev-parse", "HEAD").strip()
    ended = call("--project", "app", "update", *arguments, "--data", "project_name=New")
    assert ended.code == 7
    ((wanted, called, passed),) = started
    assert wanted == f"git+file://{versions}@{head}"
    assert called == (name or head)
    assert passed[:4] == ["--project", str(app), "update", "--in-place"]
    more = [] if any("ref" in each or each == "-r" for each in arguments) else ["--vcs-ref", "2.0.0rc1"]
    assert passed[4:] == [*arguments, "--data", "project_name=New", *more]
    assert git(app, "status", "--porcelain") == ""


def test_nothing_newer_is_said_and_answers_can_still_change(
    call: Call, app: Path, versions: Path, monkeypatch: pytest.MonkeyPatch, started: Start
) -> None:
    assert call("--project", "app", "update", "--defaults").code == 0
    commit(app, "updated")
    ended = call("--project", "app", "update", "--defaults")
    assert (ended.code, ended.out) == (0, "There is nothing newer than 1.1.0, which this project has.\n")
    ended = call("--project", "app", "update", "--defaults", "--data", "project_name=New")
    assert ended.code == 0
    assert answers(app)["project_name"] == "New"
    assert started == []


def test_a_template_without_releases_is_taken_as_it_is(call: Call, app: Path, versions: Path, started: Start) -> None:
    for name in git(versions, "tag").split():
        git(versions, "tag", "--delete", name)
    _lie_at(app, versions)
    assert call("--project", "app", "update", "--defaults").code == 7
    assert started[0][1] == git(versions, "rev-parse", "HEAD").strip()


# --- in the way -------------------------------------------------------------------------------------------------------


def test_changes_that_are_not_committed_stop_it(call: Call, app: Path) -> None:
    (app / "new").write_text("")
    assert one_line(call("--project", "app", "update"), 1) == "1 file is not committed: commit or stash them first."


@pytest.mark.parametrize("begun", [False, True])
def test_a_project_without_commits_stops_it(call: Call, app: Path, begun: bool) -> None:
    shutil.rmtree(app / ".git")
    if begun:
        git(app, "init", "--quiet")
    assert "git init && git add -A && git commit" in one_line(call("--project", "app", "update"), 1)


def test_git_that_is_missing_stops_it(call: Call, app: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    assert "git is not installed" in one_line(call("--project", "app", "update"), 1)


def test_a_template_that_is_gone_is_named_with_what_helps(
    call: Call, app: Path, versions: Path, kept: list[str], started: Start
) -> None:
    moved = versions.rename(versions.with_name("moved"))
    message = one_line(call("--project", "app", "update", "--defaults"), 1)
    assert str(versions) in message
    assert "update --src PLACE" in message
    ended = call("--project", "app", "update", "--defaults", "--src", "moved")
    assert ended.code == 0, ended
    assert answers(app)["_src_path"] == str(moved)
    assert answers(app)["_commit"] == "1.1.0"
    assert kept[-1] == f"git+file://{moved}@1.1.0"


@pytest.mark.parametrize("place", ["https://user:secret@127.0.0.1:9/x.git", "http://127.0.0.1:9/x.git"])
def test_a_network_that_is_away_is_one_line_without_credentials(call: Call, app: Path, place: str) -> None:
    _lie_at(app, place)
    commit(app, "elsewhere")
    message = one_line(call("--project", "app", "update"), 1)
    assert "127.0.0.1:9/x.git" in message
    assert "secret" not in message


def test_a_folder_that_is_no_repository_is_one_line(call: Call, app: Path, tmp_path: Path) -> None:
    (tmp_path / "plain").mkdir()
    assert "cannot be reached" in one_line(call("--project", "app", "update", "--src", "plain"), 1)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--vcs-ref", "nope"],
        ["--vcs-ref", "--upload-pack=x"],
        ["--no-such-option"],
        ["app"],
        ["--src", "https://a:b@example.com/x.git"],
        ["--src", "-x"],
        ["--conflict", "x"],
    ],
    ids=" ".join,
)
def test_a_bad_call_is_one_line(call: Call, app: Path, arguments: list[str]) -> None:
    one_line(call("--project", "app", "update", *arguments), 2)
    assert git(app, "status", "--porcelain") == ""


def test_there_is_no_way_back(call: Call, app: Path, started: Start) -> None:
    assert call("--project", "app", "update", "--defaults").code == 0
    commit(app, "updated")
    assert "newer than 1.0.0" in one_line(call("--project", "app", "update", "--vcs-ref", "1.0.0"), 1)


@pytest.mark.parametrize("line", ["_commit: ", "_src_path: "])
def test_a_project_of_a_folder_without_versions_has_none_to_update_from(call: Call, app: Path, line: str) -> None:
    file = app / ".copier-answers.yml"
    file.write_text("".join(each for each in file.read_text().splitlines(True) if not each.startswith(line)))
    commit(app, "without")
    assert "without versions" in one_line(call("--project", "app", "update"), 1)


def test_a_hostile_answers_file_is_one_line(call: Call, app: Path) -> None:
    _lie_at(app, "--upload-pack=touch${IFS}owned")
    commit(app, "hostile")
    one_line(call("--project", "app", "update"), 2)


def test_ctrl_c_says_how_to_go_back(call: Call, app: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_main.Worker, "_apply_update", lambda _: signal.raise_signal(signal.SIGINT))
    ended = call("--project", "app", "update", "--defaults")
    assert ended.code == 130
    assert ended.err.splitlines()[-1].startswith("Stopped. ")


# --- versions ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("recorded", "version"),
    [("0.3.0", "0.3.0"), ("v0.3.0", "0.3.0"), ("0.3.0-4-gabcdef0", "0.3.0.post4"), ("abcdef0", None), ("main", None)],
)
def test_a_recorded_commit_is_a_version(recorded: str, version: str | None) -> None:
    found = target.version_of(recorded)
    assert (str(found) if found else None) == version


# --- the other tool ---------------------------------------------------------------------------------------------------


def _uv(folder: Path, script: str) -> str:
    uv = folder / "uv"
    uv.write_text(f"#!{sys.executable}\nimport os, sys\n{script}\n")
    uv.chmod(0o755)
    return f"{folder}{os.pathsep}{os.environ['PATH']}"


def test_what_uv_says_is_held_back_and_its_code_is_passed_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    says = """
os.write(2, b"noise\\n\\x06")
os.write(int(os.environ["COPIER_POLAR_STDERR"]), b"tool\\n")
print(*sys.argv[1:])
sys.exit(3)
"""
    monkeypatch.setenv("PATH", _uv(tmp_path, says))
    assert start.tool("git+x@1", "1", ["update"]) == 3
    said = capfd.readouterr()
    assert said.out == "tool run --from git+x@1 copier-polar update\n"
    assert said.err.splitlines()[1:] == ["tool"]


def test_a_tool_that_does_not_start_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", _uv(tmp_path, "sys.exit('cause: no https://a:b@example.com/x')"))
    with pytest.raises(Refused, match=r"^The tool of 1 does not start: cause: no https://example\.com/x$"):
        start.tool("git+x@1", "1", [])
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(Refused, match="uv is not installed"):
        start.tool("git+x@1", "1", [])


def test_a_newer_version_updates_with_its_own_packages(tmp_path: Path) -> None:
    registry.require()
    template = repository.build(tmp_path / "template")
    app = tmp_path / "app"
    first = _uvx(tmp_path, f"git+file://{template}@{repository.FIRST}", "new", "app", "--defaults", "--quiet")
    assert first.returncode == 0, first.stderr
    assert answers(app)["_commit_hash"] == git(template, "rev-parse", repository.FIRST).strip()
    git(app, "init", "--quiet")
    commit(app, "generated")
    hidden = template.rename(tmp_path / "hidden")
    own = f"git+file://{template}@{answers(app)['_commit_hash']}"
    assert _uvx(tmp_path, own, "--version", offline=True).stdout.startswith("copier-polar ")
    hidden.rename(template)

    second = _uvx(tmp_path, own, "--project", "app", "update", "--defaults", offline=True)
    assert second.returncode == 0, second.stderr
    assert "Traceback" not in second.stderr
    assert answers(app)["_commit"] == repository.SECOND
    assert git(app, "status", "--porcelain").split() == ["M", ".copier-answers.yml", "??", "rehearsal.txt"]


def _uvx(folder: Path, wanted: str, *arguments: str, offline: bool = False) -> subprocess.CompletedProcess[str]:
    network = ["--offline"] if offline else []
    return subprocess.run(
        ["uv", "tool", "run", "--quiet", *network, "--from", wanted, "copier-polar", *arguments],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
