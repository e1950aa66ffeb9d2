"""`copier-polar new`: a project from the version that the tool itself is of, and one line for what is wrong."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from copier import _main

from copier_polar import generation, source
from tests.conftest import FACTS
from tests.tool.calling import Call, answers, one_line
from tests.tool.maker import call, kept

__all__ = ["call", "kept"]  # fixtures


def test_a_project_is_made_of_the_tools_own_commit(
    call: Call, git_template: Path, kept: list[str], tmp_path: Path
) -> None:
    ended = call("new", "app", "--defaults")
    assert ended.code == 0, ended
    assert answers(tmp_path / "app")["_src_path"] == str(git_template)
    assert answers(tmp_path / "app")["_commit"] == "1.0.0"
    assert kept == [f"git+file://{git_template}@1.0.0"]
    assert ended.err.count(generation.TRUST) == 1


def test_other_options_go_through(call: Call, tmp_path: Path) -> None:
    (tmp_path / "data.yml").write_text("project_name: From a file\n")
    ended = call("new", "--data-file", "data.yml", "--defaults", "--data", "runtime=fastapi", "--quiet", "app")
    assert ended.code == 0, ended
    assert ended.err == ""
    assert answers(tmp_path / "app")["runtime"] == "fastapi"
    assert answers(tmp_path / "app")["project_name"] == "From a file"


def test_another_version_can_be_named(call: Call, tmp_path: Path) -> None:
    assert call("new", "app", "--defaults", "--vcs-ref", "1.0.0").code == 0
    assert "nope" in one_line(call("new", "other", "--defaults", "--vcs-ref", "nope"), 2)
    assert not (tmp_path / "other").exists()


def test_changes_of_a_checkout_go_in_and_are_said(
    call: Call, git_template: Path, kept: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    new = git_template / "template" / "worker" / "draft.txt"
    new.write_text("draft\n")
    monkeypatch.setattr(source, "origin", lambda: source.Origin(str(git_template), "a" * 40, changed=True))
    try:
        ended = call("new", "app", "--defaults")
    finally:
        new.unlink()
    assert ended.code == 0, ended
    assert (tmp_path / "app" / "draft.txt").exists()
    assert "not committed" in ended.err
    assert f"POLAR_BILLING_TOOL={git_template}" in ended.err
    assert kept == []


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["a", "b"],
        ["app", "--no-such-option"],
        ["app", "--data"],
        ["app", "--data", "x"],
        ["app", "--data-file", "missing.yml"],
        ["app", "--defaults=yes"],
        ["app", "-h"],
        ["app", "-v"],
        ["file"],
        ["file/app"],
    ],
    ids=" ".join,
)
def test_a_bad_call_is_one_line_and_makes_nothing(call: Call, tmp_path: Path, arguments: list[str]) -> None:
    (tmp_path / "file").write_text("")
    one_line(call("new", *arguments), 2)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_what_is_there_is_not_touched_without_a_word(call: Call, tmp_path: Path) -> None:
    folder = tmp_path / "app"
    folder.mkdir()
    (folder / ".git").mkdir()
    assert call("new", "app", "--defaults").code == 0
    assert "copier-polar --project app update" in one_line(call("new", "app", "--defaults"), 1)
    (folder / ".copier-answers.yml").unlink()
    (folder / FACTS).write_text("mine")
    assert "--overwrite" in one_line(call("new", "app", "--defaults"), 1)
    assert (folder / FACTS).read_text() == "mine"
    assert call("new", "app", "--defaults", "--overwrite").code == 0
    assert (folder / FACTS).read_text() != "mine"


def test_a_wrong_answer_is_one_line(call: Call, tmp_path: Path) -> None:
    assert "runtime" in one_line(call("new", "app", "--defaults", "--data", "runtime=x"), 1)
    assert not (tmp_path / "app").exists()


@pytest.mark.parametrize("there", [False, True])
def test_ctrl_c_leaves_nothing_half_written(
    call: Call, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, there: bool
) -> None:
    if there:
        (tmp_path / "app").mkdir()

    def stop(*_: object) -> None:
        (tmp_path / "app").mkdir(exist_ok=True)
        (tmp_path / "app" / "half").write_text("")
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(_main.Worker, "_render_template", stop)
    ended = call("new", "app", "--defaults")
    assert ended.code == 130, ended
    assert ended.err.splitlines()[-1] == (
        "Stopped. app may have some of the files." if there else "Stopped. Nothing was made."
    )
    assert (tmp_path / "app").exists() is there


def test_the_help_names_the_options_that_matter() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "copier_polar", "new", "--help"], capture_output=True, text=True, check=True
    )
    assert all(option in done.stdout for option in ("DEST", "--defaults", "--data", "POLAR_ACCESS_TOKEN"))


def test_uv_that_is_missing_or_fails_is_a_note(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    uv = tmp_path / "uv"
    uv.write_text("#!/bin/sh\necho 'error: failed' >&2\necho '  cause: no https://a:b@example.com/x' >&2\nexit 2\n")
    uv.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    generation.keep_tool("git+https://example.com/x@1", quiet=True)
    said = capfd.readouterr().err
    assert said == ("That failed, so the first `billing` command needs the network: cause: no https://example.com/x\n")
    uv.unlink()
    generation.keep_tool("git+https://example.com/x@1", quiet=True)
    assert "uv is not installed" in capfd.readouterr().err
