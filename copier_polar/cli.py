"""The command line: `copier-polar COMMAND`, and `billing COMMAND` in a project.

A command is imported when it is called.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Annotated

import typer
from typer.core import TyperCommand, TyperGroup

from copier_polar import project
from copier_polar.bridge import (
    BridgeBroken,
    DemoProblem,
    PolarProblem,
    SettingsProblem,
    StoreProblem,
    UnreadableProblem,
)
from copier_polar.console import CALLED_WRONGLY, NO_ANSWER, BadCall, Refused, complain

IN_A_PROJECT = (
    "block",
    "catalog",
    "doctor",
    "endpoint",
    "erase",
    "link",
    "migrate",
    "reconcile",
    "replay",
    "simulate",
    "token",
    "unlinked",
)
WITHOUT_A_PROJECT = ("new", "update")
ONLY_WORKER = {"remote", "persist_to"}
CALLED_AS = "COPIER_POLAR_CALLED_AS"  # set by the launchers: what the person typed before the command
CALL = {"worker": "npm run billing --", "fastapi": "uv run billing"}
STDERR = "COPIER_POLAR_STDERR"  # set by the launchers: the number of the real stderr


class Commands(TyperGroup):
    """All commands; what a project has no use for is left out of its list and of its options."""

    def list_commands(self, ctx: typer.Context) -> list[str]:
        """Return the names of the commands."""
        here = _here()
        names = [*IN_A_PROJECT, *WITHOUT_A_PROJECT]
        if here is not None and here.answers.get("auth") != "jwt":
            names.remove("token")
        return names

    def get_command(self, ctx: typer.Context, cmd_name: str) -> TyperCommand | TyperGroup | None:
        """Import a command."""
        if cmd_name not in self.list_commands(ctx):
            return None
        module = import_module(f"copier_polar.commands.{cmd_name}")
        command = getattr(module, cmd_name)
        made = _group(command) if isinstance(command, typer.Typer) else _alone(cmd_name, command)
        here = _here()
        _tailor(made, here.runtime if here else None)
        if here and hasattr(module, "tailor"):
            module.tailor(made, here.runtime)
        return made


def _group(commands: typer.Typer) -> TyperGroup:
    """Make a group of commands, also where it has only one, such as `catalog diff`."""
    commands.rich_markup_mode = _markup()
    return typer.main.get_group(commands)


def _alone(name: str, command: Callable[..., object]) -> TyperCommand | TyperGroup:
    """Make a command that belongs to no group."""
    alone = typer.Typer(add_completion=False, rich_markup_mode=_markup())
    # Options of another program go through as they are.
    passes_on = {"allow_extra_args": True, "ignore_unknown_options": True}
    alone.command(name, context_settings=passes_on if name in ("new", "update") else None)(command)
    return typer.main.get_command(alone)


def _here() -> project.Project | None:
    try:
        return project.chosen()
    except BadCall:
        return None


def _markup() -> typer.main.MarkupMode | None:  # type: ignore[name-defined]
    return "rich" if sys.stdout.isatty() else None


def _tailor(command: TyperCommand | TyperGroup, runtime: str | None) -> None:
    """Leave out what the runtime has not, and say the example as it is typed there."""
    for each in getattr(command, "commands", {}).values():
        _tailor(each, runtime)
    if runtime == "fastapi":
        command.params = [param for param in command.params if param.name not in ONLY_WORKER]
    for param in command.params:
        if runtime and (command.name, param.name) == ("simulate", "url"):
            param.default = project.ADDRESSES[runtime]
    if command.help and runtime:
        command.help = command.help.replace("Example: uv run billing", f"Example: {CALL[runtime]}")


app = typer.Typer(
    cls=Commands,
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=_markup(),
    pretty_exceptions_enable=False,
)


def _choose_folder(folder: Path) -> Path:
    project.choose_folder(folder)
    return folder


def _choose_bridge(bridge: str | None) -> str | None:
    project.choose_bridge(bridge)
    return bridge


def _say_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print(f"copier-polar {version('copier-polar')}")
        raise typer.Exit


@app.callback()
def choose_project(
    _folder: Annotated[
        Path,
        # Before anything else: help is about the project that is chosen.
        typer.Option("--project", metavar="DIR", help="The project's folder.", is_eager=True, callback=_choose_folder),
    ] = Path(),
    _bridge: Annotated[
        str | None,
        typer.Option(
            "--bridge",
            metavar="COMMAND",
            help="Starts the project's bridge elsewhere.",
            is_eager=True,
            callback=_choose_bridge,
        ),
    ] = None,
    version: Annotated[
        bool, typer.Option("--version", callback=_say_version, is_eager=True, help="Print the version and end.")
    ] = False,
) -> None:
    """Operate billing. `billing COMMAND --help` explains a command."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command and end the process with its code; what goes wrong is one line."""
    _take_stderr()
    try:
        app(args=arguments, prog_name=os.environ.get(CALLED_AS) or "copier-polar")
    except (Refused, StoreProblem, UnreadableProblem) as error:
        sys.exit(complain(str(error)))
    except DemoProblem:
        sys.exit(complain("These are demo products: there is no Polar to ask. POLAR_SERVER names one."))
    except SettingsProblem as error:
        sys.exit(complain(f"Settings: {error}".replace("\n", " ")))
    except PolarProblem as error:
        sys.exit(complain(f"{error}." if error.status else NO_ANSWER))
    except (BadCall, BridgeBroken) as error:
        sys.exit(complain(str(error), CALLED_WRONGLY))
    except UnicodeEncodeError:
        sys.exit(complain("An argument is no text."))


def _take_stderr() -> None:
    """Write to the terminal from here on: the launcher holds back what starting the tool prints."""
    number = os.environ.pop(STDERR, "")
    if number.isdecimal():
        os.write(2, b"\x06")  # tells the launcher that the tool has started
        os.dup2(int(number), 2)
        os.close(int(number))
