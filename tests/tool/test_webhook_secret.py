"""The secret of the webhook endpoint: one line of the app's own file, or the standard input of wrangler."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from copier_polar.console import Refused
from copier_polar.environment import read_file
from copier_polar.project import Project
from copier_polar.webhook_secret import NAME, rotated, save_to_file, save_to_worker, split

FILES = {"worker": ".dev.vars", "fastapi": ".env"}
NEW, ONE, TWO = (
    "whsec_new_1234567890_abcdefghij",
    "whsec_one_1234567890_abcdefghij",
    "whsec_two_1234567890_abcdefghij",
)

both = pytest.mark.parametrize("runtime", ["worker", "fastapi"])


def _project(folder: Path, runtime: str, text: str | None) -> tuple[Project, Path]:
    file = folder / FILES[runtime]
    if text is not None:
        file.write_bytes(text.encode())
        file.chmod(0o644)
    return Project(folder, {"runtime": runtime}), file


@both
@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", f"{NAME}={NEW}\n"),
        ("A=1", f"A=1\n{NAME}={NEW}\n"),
        (f"A=1\n#{NAME}=old\n", f"A=1\n#{NAME}=old\n{NAME}={NEW}\n"),
        (f"A=1\n{NAME}=\nB=2\n", f"A=1\n{NAME}={NEW}\nB=2\n"),
        (f"A=1\r\n{NAME}={ONE}\r\nB=2\r\n", f"A=1\r\n{NAME}={NEW},{ONE}\r\nB=2\r\n"),
        (f"export {NAME} = '{ONE}'  # mine\nB='#'", f"{NAME}={NEW},{ONE}\nB='#'"),
        (f"{NAME}={ONE}\n{NAME}={TWO}\n", f"{NAME}={ONE}\n{NAME}={NEW},{TWO}\n"),
        (f'A="x\n{NAME}=no\ny"\n{NAME}={ONE}\n', f'A="x\n{NAME}=no\ny"\n{NAME}={NEW},{ONE}\n'),
        (f"{NAME}={ONE}, {TWO} ,x{ONE}\n", f"{NAME}={NEW},{ONE},{TWO}\n"),
        (f"{NAME}={ONE},{NEW}\n", f"{NAME}={ONE},{NEW}\n"),
        (f"{NAME}='a short one'\n", f"{NAME}='{NEW},a short one'\n"),
        (f'{NAME}="it\'s"\n', f'{NAME}="{NEW},it\'s"\n'),
    ],
)
def test_one_line_is_changed_and_all_others_stay(tmp_path: Path, runtime: str, before: str, after: str) -> None:
    project, file = _project(tmp_path, runtime, before)
    save_to_file(project, NEW)
    assert file.read_bytes().decode() == after
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert split(read_file(file, runtime)[NAME])[0] in (NEW, ONE)
    assert [path.name for path in tmp_path.iterdir()] == [file.name]
    save_to_file(project, NEW)
    assert file.read_bytes().decode() == after


@both
def test_a_link_stays_a_link(tmp_path: Path, runtime: str) -> None:
    (tmp_path / "shared").mkdir()
    project, file = _project(tmp_path, runtime, None)
    target = tmp_path / "shared" / "settings"
    target.write_text("A=1\n")
    file.symlink_to(target)
    save_to_file(project, NEW)
    assert file.is_symlink()
    assert target.read_text() == f"A=1\n{NAME}={NEW}\n"


@both
def test_a_file_that_is_not_there_is_not_made(tmp_path: Path, runtime: str) -> None:
    project, file = _project(tmp_path, runtime, None)
    with pytest.raises(Refused, match=rf"There is no {file.name} yet, which `(npm|uv) run dev` makes"):
        save_to_file(project, NEW)
    assert not file.exists()


@both
@pytest.mark.parametrize("text", [f"B=${{{NAME}}}\n{NAME}={ONE}\n", f'A="x\n{NAME}=no'])
def test_what_is_written_is_what_the_app_reads(tmp_path: Path, runtime: str, text: str) -> None:
    project, file = _project(tmp_path, runtime, text)
    save_to_file(project, NEW)
    assert split(read_file(file, runtime)[NAME])[0] == NEW


@both
@pytest.mark.parametrize("text", ["A=\udcff\n"])
def test_a_file_that_cannot_be_changed_safely_is_left_as_it_is(tmp_path: Path, runtime: str, text: str) -> None:
    project, file = _project(tmp_path, runtime, "")
    file.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(Refused) as refused:
        save_to_file(project, NEW)
    assert NEW not in str(refused.value)
    assert file.read_bytes() == text.encode("utf-8", "surrogateescape")


def test_a_secret_that_no_file_holds_is_refused() -> None:
    for secret in ("whsec_a\nAPP_URL=https://evil.example", "short", "whsec_with,a_comma_in_it", ""):
        with pytest.raises(Refused):
            rotated([], secret)
    assert rotated([ONE, TWO, "x"], NEW) == [NEW, ONE, TWO]


def _wrangler(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> Project:
    """A project whose `node` is a shell script, which writes down what it is given."""
    node = folder / "bin" / "node"
    node.parent.mkdir()
    node.write_text(f'#!/bin/sh\necho "$@" > arguments\ncat > input\n{script}\n')
    node.chmod(0o755)
    monkeypatch.setenv("PATH", f"{node.parent}:/usr/bin:/bin")
    return Project(folder, {"runtime": "worker"})


def test_wrangler_gets_the_secret_on_its_standard_input_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = _wrangler(tmp_path, monkeypatch, "")
    save_to_worker(project, [ONE], NEW)
    assert (tmp_path / "input").read_text() == f"{NEW},{ONE}"
    assert (tmp_path / "arguments").read_text() == f"node_modules/wrangler/bin/wrangler.js secret put {NAME}\n"


@pytest.mark.parametrize(
    ("script", "complaint"),
    [
        (r"printf '\033[31mX [ERROR] Authentication error\033[0m\nmore\n' >&2; exit 1", "Authentication error"),
        ("echo nothing; echo works; exit 1", "nothing works"),
    ],
)
def test_what_wrangler_complains_of_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, complaint: str
) -> None:
    project = _wrangler(tmp_path, monkeypatch, script)
    with pytest.raises(Refused) as refused:
        save_to_worker(project, [], NEW)
    assert str(refused.value) == f"wrangler did not take the secret. {complaint}"


def test_without_node_it_is_one_line_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Refused, match=r"wrangler did not take the secret\. node: No such file"):
        save_to_worker(Project(tmp_path, {"runtime": "worker"}), [], NEW)
