"""The settings that a command needs: the operator's environment, then the project's file, read as the app reads it."""

from __future__ import annotations

import os
from pathlib import Path

from copier_polar.console import BadCall

FILES = {"worker": ".dev.vars", "fastapi": ".env"}

# What Node takes for space.
_SPACE = " \t\n"


def settings_file(folder: Path, runtime: str) -> Path:
    """Return where the app of this runtime keeps its settings for development."""
    return folder / FILES[runtime]


def settings_of(folder: Path, runtime: str, *, with_file: bool) -> dict[str, str]:
    """Return every setting that has a value; the operator's environment wins over the file, also with nothing."""
    file = settings_file(folder, runtime)
    in_file = read_file(file, runtime) if with_file and file.is_file() else {}
    return {name: value for name, value in {**in_file, **os.environ}.items() if value}


def read_file(file: Path, runtime: str) -> dict[str, str]:
    """Read a file of settings as the app of this runtime does. Raises BadCall where it cannot be read."""
    try:
        if runtime == "worker":
            return parse_node(file.read_bytes().decode("utf-8", "replace"))
        from dotenv.main import DotEnv  # only where it is needed

        found = DotEnv(file, encoding="utf-8", override=False).dict()
    except (OSError, UnicodeDecodeError):
        raise BadCall(f"{file.name} cannot be read.") from None
    return {name: value for name, value in found.items() if value is not None}


def parse_node(text: str) -> dict[str, str]:
    r"""Read a text as Node's `util.parseEnv` does, oddities included.

    `\n` in double quotes is a line break, nothing else is an escape; a value that is only spaces goes on in the next
    line; a quote that is not closed is part of the value.
    """
    found: dict[str, str] = {}
    rest = text.replace("\r", "").strip(_SPACE)
    while rest:
        line, _, following = rest.partition("\n")
        name, equals, _ = line.partition("=")
        if not line or line.startswith("#"):
            rest = following
            continue
        if not equals:
            rest = following.lstrip(_SPACE)
            continue
        name, rest = name.strip(_SPACE), rest[len(name) + 1 :]
        if not rest or rest.startswith("\n"):
            found[name] = ""
            rest = following
            continue
        rest = rest.lstrip(_SPACE)
        if name:
            found[name.removeprefix("export ").strip(_SPACE)], rest = _value(rest)
    return found


def _value(rest: str) -> tuple[str, str]:
    """Return the value that a text begins with, and what follows its line."""
    quote = rest[0]
    end = rest.find(quote, 1) if quote in "\"'`" else -1
    if end > 0:
        value = rest[1:end]
        _, _, following = rest[end + 1 :].partition("\n")
        return value.replace(r"\n", "\n") if quote == '"' else value, following.lstrip(_SPACE)
    line, _, following = rest.partition("\n")
    if quote not in "\"'`":
        line = line.partition("#")[0].strip(_SPACE)
    return line, following.lstrip(_SPACE)
