"""Text without any template syntax is its own rendering, and other text is compiled once.

Copier renders the type of a question anew for every pair of answer and choice: with 250 products 64,000 times the word
`str`, each compiled as a template, 13 of 15 seconds of a generation. Here such text is no template at all. Text that
Copier renders twice, such as the default of each derived answer, is compiled once.
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
    """Makes `from_string` cheap for plain text and for text that it has seen."""

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        compiled = environment.from_string
        known: dict[str, Any] = {}

        def from_string(source: Any, *arguments: Any, **named: Any) -> Any:
            if not isinstance(source, str) or arguments or named:
                return compiled(source, *arguments, **named)
            template = known.get(source)
            if template is None:
                plain = "{" not in source and "\r" not in source  # Jinja turns \r\n into \n
                template = known[source] = _Plain(source) if plain else compiled(source)
            return template

        environment.from_string = from_string  # type: ignore[method-assign]
