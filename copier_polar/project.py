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

from copier_polar.bridge import Bridge, BridgeBroken, SettingsProblem
from copier_polar.console import BadCall, Refused, note
from copier_polar.environment import settings_of
from copier_polar.facts import Facts, read_facts

RUNTIMES = ("worker", "fastapi")
# Where the app answers that `dev` starts.
ADDRESSES = {"worker": "http://127.0.0.1:8787", "fastapi": "http://127.0.0.1:8000"}
BRIDGE_VARIABLE = "POLAR_BILLING_BRIDGE"
_OURS = "polar_catalog"  # the answer that no other template has
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


def store_of(remote: bool, persist_to: str | None) -> Store:
    """Return the store that the options of a command mean. Raises BadCall where both are given."""
    if remote and persist_to is not None:
        raise BadCall("option '--remote' cannot be used with option '--persist-to <folder>'.")
    # The bridge runs in the project's folder, the person may be elsewhere.
    return Store(remote, None if persist_to is None else str(Path(persist_to).absolute()))


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
        bridge = Bridge([*self._command(), *store.options], self.folder, os.environ)
        if bridge.runtime != self.runtime:
            bridge.close()
            raise BridgeBroken("The bridge is of another project: its runtime is not the one of the answers file.")
        return bridge

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
        try:
            return read_facts(self.bridge.call("facts"))
        except (AttributeError, KeyError, TypeError):
            raise BridgeBroken("The bridge answers nonsense: its facts are incomplete.") from None

    @cached_property
    def settings(self) -> dict[str, str]:
        """The settings that a command needs, secrets included."""
        return self.project.settings(remote=self.store.remote)

    def require_settings(self) -> None:
        """Raise SettingsProblem where the app would not start."""
        if self.facts.settings.problem:
            raise SettingsProblem(self.facts.settings.problem)


class _Chosen:
    """What the command line says of the project; set once, before a command runs."""

    folder: Path = Path()
    bridge: str | None = None


def choose_folder(folder: Path) -> None:
    """Say in which folder the project is that commands work on."""
    _Chosen.folder = folder


def choose_bridge(command: str | None) -> None:
    """Say what starts the bridge; without a command POLAR_BILLING_BRIDGE does, or else the project's own way."""
    _Chosen.bridge = command or os.environ.get(BRIDGE_VARIABLE) or None


def chosen() -> Project:
    """Return the project that the command line means. Raises BadCall where there is none."""
    return find(_Chosen.folder, _Chosen.bridge)


def find(folder: Path, bridge_command: str | None = None) -> Project:
    """Return the project in a folder. Raises BadCall where there is none, or more than one."""
    answers: dict[str, dict[str, Any]] = {}
    unreadable: list[BadCall] = []
    for path in _answers_files(folder):
        try:
            text = path.read_bytes().decode("utf-8-sig", "replace")
        except OSError:
            raise BadCall(f"{path.name} cannot be read.") from None
        try:
            found = _read(path.name, text)
        except BadCall as error:
            if _OURS in text:
                raise
            unreadable.append(error)  # of another template, where there is a project beside it
            continue
        if found is not None:
            answers[path.name] = found
    if not answers:
        missing = BadCall(
            f"{folder.absolute()} is no project of copier-polar: it has no answers file. --project names one."
        )
        raise next(iter(unreadable), missing)
    if len(answers) > 1:
        raise BadCall(f"There are two projects in one folder: {' and '.join(answers)}. Keep the one that is meant.")
    (only,) = answers.values()
    return Project(folder.absolute(), only, bridge_command)


def _answers_files(folder: Path) -> list[Path]:
    patterns = (".copier-answers*.yml", ".copier-answers*.yaml")
    return sorted(path for pattern in patterns for path in folder.glob(pattern) if path.is_file())


def _read(name: str, text: str) -> dict[str, Any] | None:
    """Return the answers; None where they are of another template. Raises BadCall for what cannot be read."""
    import yaml

    try:
        answers = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError):
        marks = any(line.startswith(("<<<<<<<", ">>>>>>>")) for line in text.splitlines())
        what = "has conflict markers: resolve them first" if marks else "cannot be read"
        raise BadCall(f"{name} {what}.") from None
    if not isinstance(answers, dict) or _OURS not in answers:
        return None
    if answers.get("runtime") not in RUNTIMES:
        raise BadCall(f"{name} names no runtime that this tool knows.")
    return answers


@contextmanager
def open_bridge(store: Store | None = None) -> Generator[Opened]:
    """Open the bridge of the chosen project, whatever its settings and its database are like, and close it after."""
    store = store or Store()
    project = chosen()
    with project.start_bridge(store) as bridge:
        yield Opened(project, bridge, store)


@contextmanager
def open_project(store: Store | None = None, *, any_state: bool = False) -> Generator[Opened]:
    """Open the bridge of the chosen project, and close it after.

    Says first which database it is. Raises SettingsProblem where the settings are invalid, and Refused where the
    database does not answer or misses migrations; neither for a command that is there for such a project (`any_state`).
    """
    with open_bridge(store) as opened:
        needs_settings = not any_state and not opened.store.remote
        # The database of a Worker is known without settings, that of the other runtime is one of them.
        if needs_settings and opened.project.runtime == "fastapi":
            opened.require_settings()
        if opened.facts.target:
            note(f"Target: {opened.facts.target}")
        if needs_settings:
            opened.require_settings()
        if not any_state and not opened.bridge.call("migrations")["current"]:
            raise Refused(OUT_OF_DATE)
        yield opened
