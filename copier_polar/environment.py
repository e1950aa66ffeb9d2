"""The settings that a command needs: the operator's environment, then the project's file, read as the app reads it."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

FILES = {"worker": ".dev.vars", "fastapi": ".env"}

# What Node's `util.parseEnv` reads: a name, `=`, and a value that is quoted in one of three ways or ends with its line.
_LINE = re.compile(
    r"""^[^\S\n]*(?:export[^\S\n]+)?(?P<name>[^\s=#][^\n=]*?)[^\S\n]*=[^\S\n]*"""
    r"""(?:"(?P<double>[^"]*)"|'(?P<single>[^']*)'|`(?P<back>[^`]*)`|(?P<bare>[^\n#]*))[^\n]*$""",
    re.MULTILINE,
)


def settings_file(folder: Path, runtime: str) -> Path:
    """Return where the app of this runtime keeps its settings for development."""
    return folder / FILES[runtime]


def settings_of(folder: Path, runtime: str, *, with_file: bool) -> dict[str, str]:
    """Return every setting that has a value; the operator's environment wins over the file."""
    file = settings_file(folder, runtime)
    in_file = read_file(file, runtime) if with_file and file.is_file() else {}
    return {name: value for name, value in {**in_file, **_filled(os.environ)}.items() if value}


def read_file(file: Path, runtime: str) -> dict[str, str]:
    """Read a file of settings as the app of this runtime does."""
    if runtime == "worker":
        return parse_node(file.read_text(encoding="utf-8"))
    from dotenv import dotenv_values  # only where it is needed

    return {name: value for name, value in dotenv_values(file).items() if value is not None}


def parse_node(text: str) -> dict[str, str]:
    r"""Read a text as Node's `util.parseEnv` does: `\n` in double quotes is a line break, nothing else is an escape."""
    found: dict[str, str] = {}
    for line in _LINE.finditer(text.replace("\r\n", "\n").replace("\r", "\n")):
        quoted = next((line[kind] for kind in ("single", "back") if line[kind] is not None), None)
        double = line["double"]
        value = quoted if quoted is not None else double.replace(r"\n", "\n") if double is not None else line["bare"]
        found[line["name"].strip()] = value.strip() if line["bare"] is not None else value
    return found


def _filled(values: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in values.items() if value}
