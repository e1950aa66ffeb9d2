"""Fixtures for `new` and `update`: the tool called in this process, with nothing put into uv's cache."""

from __future__ import annotations

import os
import sys
from collections.abc import Generator
from pathlib import Path

import pytest
from copier import _cli, _subproject
from plumbum import local

from copier_polar import cli, generation, project, source
from tests.conftest import git
from tests.tool.calling import Call, Ended


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What would have been put into uv's cache."""
    seen: list[str] = []
    monkeypatch.setattr(generation, "keep_tool", lambda wanted, *, quiet: seen.append(wanted))
    return seen


@pytest.fixture
def call(
    git_template: Path,
    kept: list[str],
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> Generator[Call]:
    """Call the tool; it is of the newest commit of the small template."""
    head = git(git_template, "rev-parse", "HEAD").strip()
    monkeypatch.setattr(source, "origin", lambda: source.Origin(str(git_template), head))
    monkeypatch.setattr(_cli, "_handle_exceptions", _cli._handle_exceptions)
    monkeypatch.setattr(_subproject, "load_answersfile_data", _subproject.load_answersfile_data)
    monkeypatch.setattr(project._Chosen, "folder", Path())
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "stdin", Path(os.devnull).open())  # noqa: SIM115

    def called(*arguments: str | Path) -> Ended:
        with local.cwd(Path.cwd()), pytest.raises(SystemExit) as ended:
            cli.main([*map(str, arguments)])
        said = capfd.readouterr()
        return Ended(int(ended.value.code or 0), said.out, said.err)

    yield called
    sys.stdin.close()
