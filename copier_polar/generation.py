"""Copier in this process: its own options and questions, and its errors as one line."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable, Sequence
from typing import Any

from copier import _cli
from copier.errors import CopierError, UnsafeTemplateError, UserMessageError
from plumbum import ProcessExecutionError
from plumbum.cli.switches import SwitchError, WrongArgumentType
from yaml import YAMLError

from copier_polar.console import BadCall, Refused, note
from copier_polar.source import printable

CopyOptions = _cli.CopierCopySubApp
UpdateOptions = _cli.CopierUpdateSubApp

TRUST = (
    "The template brings Jinja extensions of its own (the files in its folder hooks/), which ask Polar and write safe "
    "literals. They run as you, so Copier wants --trust, which this command gives. Nothing else of the template runs."
)
TOO_LONG = 600  # seconds


def read_copy(arguments: Sequence[str], template: str) -> tuple[CopyOptions, str]:
    """Read the arguments of `new` as `copier copy` does; the options, and the folder. Raises BadCall."""
    options = CopyOptions("copier-polar")
    given = _read(options, arguments, [template])
    if len(given) != 1:
        raise BadCall("Name one folder for the project: `copier-polar new DEST`.")
    return options, given[0]


def read_update(arguments: Sequence[str]) -> UpdateOptions:
    """Read the arguments of `update` as `copier update` does. Raises BadCall."""
    options = UpdateOptions("copier-polar")
    if _read(options, arguments, []):
        raise BadCall("`update` takes no folder: --project names the project.")
    return options


def _read(options: CopyOptions | UpdateOptions, arguments: Sequence[str], before: Sequence[str]) -> list[str]:
    """Set the options; return what is none. `before` are the places that the command adds."""
    try:
        switches, given = options._parse_args([*arguments])
        # With a folder, whatever was given: how many there are is checked above, in plainer words.
        ordered, _ = options._validate_args(switches, [*before, "."])
        for function, values in ordered:
            function(options, *values)
    except WrongArgumentType as problem:
        value = re.search(r"not '(.*?)'", one_line(problem))
        raise BadCall(f"{printable(value[1]) if value else 'A value'} is no value of that option.") from None
    except SwitchError as problem:
        said = one_line(problem).rstrip(".") or "That is no option of this command"
        raise BadCall(f"{said}. --help shows how to call it.") from None
    except (ValueError, TypeError, AttributeError, OSError, YAMLError):
        raise BadCall("--data takes NAME=VALUE, and --data-file a YAML file of answers.") from None
    options.unsafe = True
    return given


def run(options: CopyOptions | UpdateOptions, *places: str) -> None:
    """Let Copier work. Raises Refused where it will not go on, KeyboardInterrupt on Ctrl-C."""
    _cli._handle_exceptions = _unhandled  # it would end Ctrl-C with 1, and print what this tool prints
    try:
        options.main(*places)
    except UserMessageError as problem:
        raise Refused(one_line(problem)) from None
    except ProcessExecutionError as problem:
        raise Refused(f"git: {last_line(problem.stderr) or 'it failed'}") from None
    except (CopierError, UnsafeTemplateError, OSError) as problem:
        raise Refused(one_line(problem)) from None
    except ValueError as problem:
        if not str(problem).startswith("Unknown revision"):
            raise
        raise BadCall(f"The template has no version {options.vcs_ref}.") from None


def _unhandled(method: Callable[[], Any]) -> int:
    method()
    return 0


def keep_tool(wanted: str, *, quiet: bool) -> None:
    """Put the tool that a project's `billing` command starts into uv's cache; a note where it fails."""
    uv = shutil.which("uv")
    if uv is None:
        note("uv is not installed: the `billing` commands of the project need it (https://docs.astral.sh/uv/).")
        return
    if not quiet:
        note("Keeping the tool of this version for the `billing` commands, which work without network then …")
    command = [uv, "tool", "run", "--quiet", "--from", wanted, "copier-polar", "--version"]
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=TOO_LONG,
            check=False,
        )
    except subprocess.TimeoutExpired:
        trouble = "it takes too long"
    else:
        trouble = "" if done.returncode == 0 else last_line(done.stderr)
    if trouble:
        note(f"That failed, so the first `billing` command needs the network: {trouble}")


def last_line(text: str) -> str:
    """Return the last line that says something, without credentials."""
    lines = [line.strip(" \t│╰─▶├\N{MULTIPLICATION SIGN}") for line in text.splitlines()]
    return printable(next((line for line in reversed(lines) if line), ""))


def one_line(problem: object) -> str:
    """Return a message on one line, without credentials."""
    return printable(" ".join(str(problem).split()))
