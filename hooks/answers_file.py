"""Filter that writes the answers file: the bytes that `to_nice_yaml` gives, without its time.

PyYAML takes half a second for the catalogue of 250 products. Here simple keys and values are written as they are, and
PyYAML is asked for the rest alone: texts that it would quote, escape or fold.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import yaml
from jinja2 import Environment
from jinja2.ext import Extension

_WIDTH = 80  # where PyYAML folds
_INDENT = 4
_LONGEST_KEY = 50
_LINE = re.compile("[^\n\x85\u2028\u2029]+")  # PyYAML ends one at each of these
# Words that YAML 1.1 takes for a boolean or for nothing are excepted, and so is what begins as a number does.
_TEXT = re.compile(
    r"(?!(?:y|n|yes|no|on|off|true|false|null)\Z)[a-z]\w*(?:[ .,/(-]*[\w)])*\.?"
    r"|[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}",
    re.IGNORECASE | re.ASCII,
)


def answers_yaml(answers: Mapping[str, Any]) -> str:
    """The answers as a YAML document in block style."""
    return "".join(_mapping(answers, 0))


def _mapping(value: Mapping[str, Any], column: int) -> Iterator[str]:
    for key in sorted(value):
        item = value[key]
        start = f"{' ' * column}{key}:"
        if not _TEXT.fullmatch(key) or len(key) > _LONGEST_KEY:
            yield _by_pyyaml({key: item}, column)
        elif item and isinstance(item, dict):
            yield f"{start}\n"
            yield from _mapping(item, column + _INDENT)
        elif item and isinstance(item, list):
            yield f"{start}\n"
            yield from _sequence(item, column)
        else:
            yield _simple(f"{start} ", item) or _by_pyyaml({key: item}, column)


def _sequence(value: list[Any], column: int) -> Iterator[str]:
    dash = f"{' ' * column}-"
    for item in value:
        if item and isinstance(item, dict):
            yield f"{dash:<{column + _INDENT}}" + "".join(_mapping(item, column + _INDENT))[column + _INDENT :]
        else:
            yield _simple(f"{dash} ", item) or _by_pyyaml([item], column)


def _simple(start: str, value: Any) -> str:
    """The line of a value that needs neither quotes nor a second line, empty for another."""
    if value is None or isinstance(value, bool):
        return f"{start}{'null' if value is None else str(value).lower()}\n"
    if type(value) is int or (type(value) is str and _TEXT.fullmatch(value)):
        line = f"{start}{value}\n"
        return line if len(line) <= _WIDTH else ""
    return ""


def _by_pyyaml(value: Any, column: int) -> str:
    """What PyYAML writes at that column; a line without text stays without spaces."""
    written = yaml.dump(value, indent=_INDENT, allow_unicode=True, default_flow_style=False, width=_WIDTH - column)
    return _LINE.sub(lambda line: " " * column + line[0], written)


class AnswersFile(Extension):
    """Registers the filter."""

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        environment.filters["answers_yaml"] = answers_yaml
