"""Text without any template syntax is its own rendering.

Copier renders the type of a question anew for every pair of answer and choice: with 250 products 64,000 times the word
`str`, each compiled as a template, 13 of 15 seconds of a generation. Here such text is no template at all.
"""

from __future__ import annotations

from typing import Any

from jinja2 import Environment
from jinja2.ext import Extension


class _Plain:
    """What Copier uses of a template: its `render`."""

    def __init__(self, text: str) -> None:
        self.text = text

    def render(self, *_context: Any, **_more: Any) -> str:
        return self.text


class PlainText(Extension):
    """Makes `from_string` of plain text cheap."""

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        compiled = environment.from_string

        def from_string(source: Any, *arguments: Any, **named: Any) -> Any:
            plain = isinstance(source, str) and not {"{", "\r"} & set(source)  # Jinja turns \r\n into \n
            return _Plain(source) if plain else compiled(source, *arguments, **named)

        environment.from_string = from_string  # type: ignore[method-assign]
