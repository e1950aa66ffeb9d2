"""Filters that write a value as a safe literal of a language: the only way text from outside reaches a file.

Every filter takes any JSON value. Strings stay readable, but whatever could end the literal, the line, the comment or
an HTML script element, and whatever does not print (right-to-left marks, joiners), is written as an escape.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from typing import Any

from jinja2 import Environment
from jinja2.ext import Extension

_IDENTIFIER = re.compile(r"[A-Za-z_$][A-Za-z0-9_$]*")
_SPACES = re.compile(r"\s+")
_SHORT = {"\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
_MARKDOWN = re.compile(r"([\\`*_\[\]|~$#{}])")


def _utf16(character: str) -> str:
    """A character as JavaScript and JSON escape it: in UTF-16 units, two of them above U+FFFF."""
    raw = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{raw[at] << 8 | raw[at + 1]:04x}" for at in range(0, len(raw), 2))


def _code_point(character: str) -> str:
    """A character as TOML escapes it."""
    number = ord(character)
    return f"\\U{number:08x}" if number > 0xFFFF else f"\\u{number:04x}"


def _code_point_or_byte(character: str) -> str:
    """A character as Python and YAML escape it."""
    return f"\\x{ord(character):02x}" if ord(character) <= 0xFF else _code_point(character)


def _quoted(text: str, escape: Callable[[str], str], either_quote: bool = False) -> str:
    """A string in double quotes; in single ones where that needs fewer escapes and the language has both."""
    quote = "'" if either_quote and text.count('"') > text.count("'") else '"'
    if text.isprintable() and quote not in text and "\\" not in text:
        return quote + text + quote

    def safe(character: str) -> str:
        if character == quote:
            return "\\" + quote
        return _SHORT.get(character) or (character if character.isprintable() else escape(character))

    return quote + "".join(map(safe, text)) + quote


def _no_markup(literal: str) -> str:
    """No `</script>` and no `<!--`: the literal may end up inside an HTML page."""
    return literal.replace("</", "\\u003c/").replace("<!", "\\u003c!")


def _number(value: float) -> str:
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{value} is no JSON number")
    return repr(value)


def ts(value: Any) -> str:
    """A TypeScript literal, laid out as Biome would on one line."""
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case int() | float():
            return _number(value)
        case str():
            return _no_markup(_quoted(value, _utf16, either_quote=True))
        case dict():
            inner = ", ".join(f"{_ts_key(str(key))}: {ts(item)}" for key, item in value.items())
            return f"{{ {inner} }}" if inner else "{}"
        case list() | tuple():
            return f"[{', '.join(map(ts, value))}]"
    raise TypeError(f"{type(value).__name__} is no JSON value")


def _ts_key(key: str) -> str:
    if key == "__proto__":  # plain or quoted it would set the prototype
        return '["__proto__"]'
    return key if _IDENTIFIER.fullmatch(key) else ts(key)


def py(value: Any) -> str:
    """A Python literal, with the quotes that a formatter would choose."""
    match value:
        case None | bool():
            return repr(value)
        case int() | float():
            return _number(value)
        case str():
            return _quoted(value, _code_point_or_byte, either_quote=True)
        case dict():
            return "{" + ", ".join(f"{py(str(key))}: {py(item)}" for key, item in value.items()) + "}"
        case list() | tuple():
            return f"[{', '.join(map(py, value))}]"
    raise TypeError(f"{type(value).__name__} is no JSON value")


def json_literal(value: Any) -> str:
    """JSON text on one line, safe inside an HTML script element too."""
    return _no_markup(_json_like(value, _utf16))


def yaml(value: Any) -> str:
    """A YAML flow value on one line, every string double-quoted."""
    return _json_like(value, _code_point_or_byte)


def _json_like(value: Any, escape: Callable[[str], str]) -> str:
    match value:
        case str():
            return _quoted(value, escape)
        case dict():
            inner = (f"{_quoted(str(key), escape)}: {_json_like(item, escape)}" for key, item in value.items())
            return "{" + ", ".join(inner) + "}"
        case list() | tuple():
            return f"[{', '.join(_json_like(item, escape) for item in value)}]"
        case None | bool():
            return json.dumps(value)
        case int() | float():
            return re.sub(r"^(-?\d+)e", r"\1.0e", _number(value))  # 1e-05 is text in YAML 1.1
    raise TypeError(f"{type(value).__name__} is no JSON value")


def toml(value: Any) -> str:
    """A TOML value on one line. TOML has no null: empty text, and left out of tables and arrays."""
    match value:
        case None:
            return '""'
        case bool():
            return "true" if value else "false"
        case int() | float():
            return _number(value)
        case str():
            return _quoted(value, _code_point)
        case dict():
            pairs = [
                f"{_quoted(str(key), _code_point)} = {toml(item)}" for key, item in value.items() if item is not None
            ]
            return f"{{ {', '.join(pairs)} }}" if pairs else "{}"
        case list() | tuple():
            return f"[{', '.join(toml(item) for item in value if item is not None)}]"
    raise TypeError(f"{type(value).__name__} is no JSON value")


def sql(value: Any) -> str:
    """An SQL literal for SQLite and Postgres; lists and objects as JSON text."""
    match value:
        case None:
            return "NULL"
        case bool():
            return "1" if value else "0"
        case int() | float():
            return _number(value)
        case str():
            return "'" + value.replace("\0", "").replace("'", "''") + "'"
        case _:
            return sql(json_literal(value))


def md(value: Any) -> str:
    """Markdown text on one line that no mark-up, no HTML and no table cell gets out of."""
    text = _one_line(value).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    text = _MARKDOWN.sub(r"\\\1", text)
    return re.sub(r"^(\d*)([-+.)=])", r"\1\\\2", text)


def comment(value: Any) -> str:
    """Text for a line comment or a block comment of any of these languages."""
    text = "".join(character for character in _one_line(value) if character.isprintable())
    return text.replace("*/", "* /").replace("-->", "-- >").replace("</", "< /").rstrip("\\ ")


def _one_line(value: Any) -> str:
    text = value if isinstance(value, str) else json_literal(value)
    return _SPACES.sub(" ", "".join(c if c.isprintable() or ord(c) > 0x9F else " " for c in text)).strip()


class Literals(Extension):
    """Registers the filters."""

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        environment.filters |= {
            function.__name__: function for function in (ts, py, json_literal, toml, yaml, sql, md, comment)
        }
