"""A project's folder with an answers file and a fake bridge, and the tool's command line, called in process."""

from __future__ import annotations

import json
from collections.abc import Generator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from copier_polar import cli, console, project
from tests.catalogues import CATALOGUES
from tests.operations.polar_operations import PolarOperations
from tests.support.render import TOKEN
from tests.tool.fake_bridge import FakeBridge, make_facts

ANSWERS = ".copier-answers.polar.yml"


@dataclass(frozen=True)
class Ran:
    """A command that ended: its exit code and what it printed."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The document that `--json` printed."""
        return json.loads(self.out)

    @property
    def error(self) -> str:
        """The last line on stderr, which says what went wrong."""
        return self.err.splitlines()[-1] if self.err else ""


@dataclass
class Tool:
    """The tool and the project that it works on."""

    folder: Path
    bridge: FakeBridge
    capture: pytest.CaptureFixture[str]
    stores: list[project.Store] = field(default_factory=list)  # for which bridges were started

    def run(self, *command: str, code: int = 0) -> Ran:
        """Call a command to its end, with the exit code that it must have."""
        self.capture.readouterr()
        with pytest.raises(SystemExit) as ended:
            cli.main(["--project", str(self.folder), *command])
        printed = self.capture.readouterr()
        ran = Ran(ended.value.code or 0, printed.out, printed.err)
        assert ran.code == code, ran.out + ran.err
        assert "Traceback" not in ran.err
        return ran

    def write_answers(self, runtime: str, **answers: object) -> None:
        """Write the answers file, which is JSON here and so YAML too."""
        text = json.dumps({"polar_catalog": {}, "runtime": runtime, "auth": "jwt", **answers})
        (self.folder / ANSWERS).write_text(text)

    def use(self, runtime: str) -> None:
        """Make it a project of the other runtime."""
        self.write_answers(runtime)
        self.bridge.facts = make_facts(runtime, **{"base_url": self.bridge.facts["settings"]["base_url"]})
        self.bridge.runtime = runtime


@pytest.fixture
def tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Tool:
    """A Worker project with an empty, up-to-date database and no Polar."""
    for name in (project.BRIDGE_VARIABLE, "POLAR_ACCESS_TOKEN", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "120")
    made = Tool(tmp_path, FakeBridge(tmp_path), capsys)
    made.write_answers("worker")

    def start(_project: project.Project, store: project.Store) -> FakeBridge:
        made.stores.append(store)
        return made.bridge

    monkeypatch.setattr(project.Project, "start_bridge", start)
    return made


@pytest.fixture
def polar(tool: Tool, monkeypatch: pytest.MonkeyPatch) -> Generator[PolarOperations]:
    """A Polar that has the shop's products, which the project and the tool ask."""
    with PolarOperations(CATALOGUES["shop"]()) as server:
        tool.bridge.facts["settings"]["base_url"] = server.url
        monkeypatch.setenv("POLAR_ACCESS_TOKEN", TOKEN)
        yield server


@pytest.fixture(autouse=True)
def every_press_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests press Ctrl-C faster than people: here no signal is taken for an echo of the one before."""
    monkeypatch.setattr(console, "SAME_PRESS_SECONDS", 0.0)
