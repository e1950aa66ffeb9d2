"""Copier's own rendering, many times in one process.

`copier.run_copy` loads the hooks, compiles every template anew and asks git about every file that it writes. Here one
template and one Jinja environment serve all renderings, and what git would be asked (whether the new folder is a
repository) is known. All else is Copier's: `test_renders_as_copier_does` holds it to that.
"""

from __future__ import annotations

import warnings
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

with warnings.catch_warnings():  # what renders is internal to Copier; its version is pinned
    warnings.simplefilter("ignore")
    from copier._jinja_ext import SandboxedEnvironment
    from copier._main import Worker
    from copier._template import Template
    from copier._user_data import AnswersMap, Question

from tests.support.render import polar_at

__all__ = ["AnswersMap", "Question", "SandboxedEnvironment", "Worker", "forget", "render", "worker"]


class _Worker(Worker):
    """A worker that shares the template and its environment with others."""

    @cached_property
    def template(self) -> Template:
        return _template(str(self.src_path))

    @cached_property
    def jinja_env(self) -> SandboxedEnvironment:
        return _environment(str(self.src_path))

    @cached_property
    def answers_relpath(self) -> Path:
        return super().answers_relpath

    def _render_template(self) -> None:
        """The answers are complete: what every path and file sees of them is put together once."""
        _ = self.answers_relpath  # now, before it can change the context that all share
        context = self._render_context()
        self._render_context = lambda: dict(context)  # type: ignore[method-assign]
        super()._render_template()

    def _sync_git_index_executable_bit(self, dst_relpath: Path, src_mode: int) -> None:
        """Nothing to do outside a repository."""


@lru_cache
def _template(source: str) -> Template:
    return Template(url=source)


@lru_cache
def _environment(source: str) -> SandboxedEnvironment:
    """The environment that Copier makes for this template; texts are compiled once."""
    environment: SandboxedEnvironment = Worker(src_path=source, unsafe=True).jinja_env
    compiled = lru_cache(maxsize=None)(environment.from_string)

    def from_string(text: Any, *arguments: Any, **named: Any) -> Any:
        cached = isinstance(text, str) and len(text) < 4000 and not arguments and not named
        return compiled(text) if cached else environment_from_string(text, *arguments, **named)

    environment_from_string = environment.from_string
    environment.from_string = from_string  # type: ignore[method-assign]
    environment.auto_reload = False  # the template does not change while it is tested
    return environment


def forget() -> None:
    """Read templates anew: they have changed."""
    _template.cache_clear()
    _environment.cache_clear()


def worker(template: Path, destination: Path, answers: dict[str, Any]) -> Worker:
    """Copier's worker for one rendering; answers that are missing take their defaults."""
    return _Worker(src_path=str(template), dst_path=destination, data=answers, defaults=True, unsafe=True, quiet=True)


def render(template: Path, destination: Path, answers: dict[str, Any], polar_url: str | None) -> Path:
    """Render into a folder that is not there yet; the messages that Copier would print are rendered too."""
    with polar_at(polar_url), worker(template, destination, answers) as working:
        working.run_copy()
        for message in (working.template.message_after_copy, working.template.message_after_update):
            working._render_string(message)
    return destination
