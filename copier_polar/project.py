"""The project that a command works on: its answers, its bridge and its settings."""

from __future__ import annotations

import os
import shlex
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from copier_polar.bridge import Bridge
from copier_polar.console import BadCall, Refused, note
from copier_polar.environment import settings_of
from copier_polar.facts import Facts, read_facts

RUNTIMES = ("worker", "fastapi")
BRIDGE_VARIABLE = "POLAR_BILLING_BRIDGE"
OUT_OF_DATE = "The database does not answer or is not up to date; `migrate` brings it up to date."


@dataclass(frozen=True)
class Store:
    """Which database of a Worker is meant: the deployed one, or a local one in another folder than usual."""

    remote: bool = False
    persist_to: str | None = None

    @property
    def options(self) -> list[str]:
        """The same as options of the bridge."""
        if self.remote:
            return ["--remote"]
        return [] if self.persist_to is None else ["--persist-to", self.persist_to]


@dataclass(frozen=True)
class Project:
    """A generated project, as its answers file describes it."""

    folder: Path
    answers: Mapping[str, Any]
    bridge_command: str | None = None

    @property
    def runtime(self) -> str:
        """`worker` or `fastapi`."""
        return str(self.answers["runtime"])

    def settings(self, *, remote: bool = False) -> dict[str, str]:
        """Return the settings that a command needs, secrets included.

        They come from the operator's environment alone where the app runs elsewhere: its file is not this one.
        """
        return settings_of(self.folder, self.runtime, with_file=not remote and self.bridge_command is None)

    def start_bridge(self, store: Store) -> Bridge:
        """Start the project's bridge. Raises BridgeBroken."""
        return Bridge([*self._command(), *store.options], self.folder, os.environ)

    def _command(self) -> list[str]:
        if self.bridge_command is not None:
            try:
                command = shlex.split(self.bridge_command)
            except ValueError:
                command = []
            if not command:
                raise BadCall("--bridge: is no command.")
            return command
        if self.runtime == "worker":
            return ["node", "scripts/bridge.mjs"]
        python = self.folder / ".venv" / "bin" / "python"
        start = [str(python)] if python.exists() else ["uv", "run", "--quiet", "python"]
        return [*start, "-m", "app.billing.bridge"]


@dataclass(frozen=True)
class Opened:
    """A project whose bridge runs."""

    project: Project
    bridge: Bridge
    store: Store = field(default_factory=Store)

    @cached_property
    def facts(self) -> Facts:
        """What the project says of itself."""
        return read_facts(self.bridge.call("facts"))

    @cached_property
    def settings(self) -> dict[str, str]:
        """The settings that a command needs, secrets included."""
        return self.project.settings(remote=self.store.remote)

    def require_settings(self) -> None:
        """Raise SettingsProblem where the app would not start."""
        from copier_polar.bridge import SettingsProblem

        if self.facts.settings.problem:
            raise SettingsProblem(self.facts.settings.problem)


class _Chosen:
    """What the command line says of the project; set once, before a command runs."""

    folder: Path = Path()
    bridge: str | None = None


def choose(folder: Path, bridge: str | None) -> None:
    """Say which project the commands work on."""
    _Chosen.folder, _Chosen.bridge = folder, bridge or os.environ.get(BRIDGE_VARIABLE) or None


def chosen() -> Project:
    """Return the project that the command line means. Raises BadCall where there is none."""
    return find(_Chosen.folder, _Chosen.bridge)


def find(folder: Path, bridge_command: str | None = None) -> Project:
    """Return the project in a folder. Raises BadCall where there is none, or more than one."""
    answers = {path: found for path in _answers_files(folder) if (found := _read(path)) is not None}
    if not answers:
        raise BadCall(
            f"{folder.absolute()} is no project of copier-polar: it has no answers file. --project names one."
        )
    if len(answers) > 1:
        names = " and ".join(path.name for path in answers)
        raise BadCall(f"There are two projects in one folder: {names}. Keep the one that is meant.")
    (found,) = answers.values()
    return Project(folder.absolute(), found, bridge_command)


def _answers_files(folder: Path) -> list[Path]:
    return sorted(
        path for pattern in (".copier-answers*.yml", ".copier-answers*.yaml") for path in folder.glob(pattern)
    )


def _read(path: Path) -> dict[str, Any] | None:
    """Return the answers; None where they are of another template. Raises BadCall for what cannot be read."""
    import yaml

    try:
        text = path.read_text(encoding="utf-8")
        answers = yaml.safe_load(text)
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        text, answers = (path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""), None
        marks = any(line.startswith(("<<<<<<<", ">>>>>>>")) for line in text.splitlines())
        what = "has conflict markers: resolve them first" if marks else "cannot be read"
        raise BadCall(f"{path.name} {what}.") from None
    if not isinstance(answers, dict) or "polar_catalog" not in answers:
        return None
    if answers.get("runtime") not in RUNTIMES:
        raise BadCall(f"{path.name} names no runtime that this tool knows.")
    return answers


@contextmanager
def open_project(store: Store | None = None, *, any_state: bool = False) -> Generator[Opened]:
    """Open the bridge of the chosen project, and close it after.

    Says first which database it is. Raises SettingsProblem where the settings are invalid, and Refused where the
    database does not answer or misses migrations; neither for a command that is there for such a project (`any_state`).
    """
    store = store or Store()
    project = chosen()
    with project.start_bridge(store) as bridge:
        opened = Opened(project, bridge, store)
        if any_state:
            note(f"Target: {opened.facts.target}")
            yield opened
            return
        if not store.remote:
            opened.require_settings()
        note(f"Target: {opened.facts.target}")
        if not bridge.call("migrations")["current"]:
            raise Refused(OUT_OF_DATE)
        yield opened
