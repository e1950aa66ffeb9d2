"""Which derived booleans decide about files and code: those that a template or a line of `_exclude` tests."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from jinja2 import nodes

from tests.variants.rendering import SandboxedEnvironment, Worker


def switches(worker: Worker) -> tuple[str, ...]:
    """Names of the derived questions of type bool that are tested somewhere, in their order in `copier.yml`."""
    template = worker.template
    root = template.local_abspath
    texts = [path.read_text() for path in (root / "template").rglob("*.jinja")]
    tested = {name for text in [*texts, *template.exclude] for name in _tested(worker.jinja_env, text)}
    return tuple(
        name
        for name, details in template.questions_data.items()
        if details.get("when") is False and details.get("type") == "bool" and name in tested
    )


def _tested(environment: SandboxedEnvironment, text: str) -> Iterable[str]:
    for node in environment.parse(text).find_all((nodes.If, nodes.CondExpr, nodes.For)):
        if node.test is not None:  # a loop without a condition
            yield from _names(node.test)


def _names(expression: nodes.Node) -> Iterable[str]:
    if isinstance(expression, nodes.Name):
        yield expression.name
    for name in expression.find_all(nodes.Name):
        yield name.name


def jinja_files(template: Path) -> list[Path]:
    """The files of the template that Jinja renders."""
    return sorted((template / "template").rglob("*.jinja"))
