"""What an update took away that its user has a part in: edited files, and imports of modules that are gone.

The operator's commands have moved from the projects into the tool (`copier_polar/`). Copier removes a file that a new
version does not have, with what its user changed in it. The message after an update names each, with its new place.
"""

from __future__ import annotations

import ast
import posixpath
import re
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment
from jinja2.ext import Extension

# What is gone, and where it is now in the template's repository; the first line that fits counts.
_PLACES = (
    (r"scripts/(?:polar|polar-admin)\.ts", "copier_polar/polar.py"),
    (r"scripts/webhook-secret\.ts", "copier_polar/commands/endpoint.py"),
    (r"scripts/out-of-reach\.ts", "copier_polar/console.py"),
    (r"scripts/(console|audit|project)\.ts", r"copier_polar/\1.py"),
    (r"scripts/((?:commands|doctor|simulation)/.+)\.ts", r"copier_polar/\1.py"),
    (r"scripts/(simulation/.+\.json)", r"copier_polar/\1"),
    (r"src/app/billing/commands/(?:polar|polar_admin)\.py", "copier_polar/polar.py"),
    (r"src/app/billing/commands/webhook_secret\.py", "copier_polar/commands/endpoint.py"),
    (r"src/app/billing/commands/(console|audit|project)\.py", r"copier_polar/\1.py"),
    (r"src/app/billing/((?:commands|doctor|simulation)/.+\.(?:py|json))", r"copier_polar/\1"),
    (r"tests/(?:http/)?test_(?:commands|doctor|operator_polar|simulate)\.py", "tests/tool"),
)
_ANSWERS = ".copier-answers.yml"
_IMPORT = re.compile(r"""(?:\bfrom|\bimport|\brequire)\s*\(?\s*["'](\.{1,2}/[^"'\n]+)["']""")
_SCRIPTS = (".ts", ".tsx", ".mts", ".js", ".mjs")


def place_of(path: str) -> str | None:
    """Return where a file is now that this template's projects do not have any more."""
    for pattern, place in _PLACES:
        if found := re.fullmatch(pattern, path):
            return found.expand(place).replace("-", "_") if "\\" in place else place
    return None


def moved_files(folder: str | Path, source: str) -> list[str]:
    """Say what its user has to look at, a line each; `source` is where the template comes from."""
    project = Path(folder)
    gone = {path: place for path in _removed(project) if (place := place_of(path))}
    if not gone:
        return []
    return [*_edited(project, source, gone), *_imports(project, gone)]


def _removed(project: Path) -> list[str]:
    """The files that the last commit has and the folder has not."""
    listed = _git(project, "diff", "-z", "--name-only", "--diff-filter=D", "--no-renames", "--relative", "HEAD")
    return [] if listed is None else listed.decode().split("\0")[:-1]


def _edited(project: Path, source: str, gone: Mapping[str, str]) -> Iterator[str]:
    commit = (_git(project, "rev-parse", "--short", "HEAD") or b"").decode().strip()
    with tempfile.TemporaryDirectory() as folder:
        _render_before(project, source, Path(folder, "before"))
        for path, place in gone.items():
            given = Path(folder, "before", path)
            if not given.exists() or given.read_bytes() != _git(project, "show", f"HEAD:./{path}"):
                yield f"{path} is gone, with your changes (git show {commit}:./{path}): it is {place} of the tool now."


def _render_before(project: Path, source: str, destination: Path) -> None:
    """What the old version of the template made of the answers of then."""
    import copier
    import yaml

    answers = yaml.safe_load(_git(project, "show", f"HEAD:./{_ANSWERS}") or b"{}")
    copier.run_copy(
        source,
        destination,
        data={name: answer for name, answer in answers.items() if not name.startswith("_")},
        vcs_ref=answers["_commit"],
        defaults=True,
        unsafe=True,
        quiet=True,
    )


def _imports(project: Path, gone: Mapping[str, str]) -> Iterator[str]:
    """The lines of the project that import what is gone."""
    listed = _git(project, "ls-files", "-z", "--cached", "--others", "--exclude-standard") or b""
    for name in sorted({*listed.decode().split("\0")[:-1]}):
        file = project / name
        if not file.is_file() or file.suffix not in (".py", *_SCRIPTS):
            continue
        text = file.read_text(encoding="utf-8", errors="replace")
        found = _python_imports(name, text) if file.suffix == ".py" else _script_imports(name, text)
        told = set()
        for line, candidates in found:
            path = next((path for path in candidates if path in gone), None)
            if path and (line, path) not in told:
                told.add((line, path))
                yield f"{name}:{line} imports {path}, which is gone: it is {gone[path]} of the tool now."


def _script_imports(name: str, text: str) -> Iterator[tuple[int, list[str]]]:
    for found in _IMPORT.finditer(text):
        path = posixpath.normpath(posixpath.join(posixpath.dirname(name), found[1]))
        stem = posixpath.splitext(path)[0] + ".ts"
        yield text.count("\n", 0, found.start()) + 1, [path, f"{path}.ts", f"{path}/index.ts", stem]


def _python_imports(name: str, text: str) -> Iterator[tuple[int, list[str]]]:
    try:
        tree = ast.parse(text)
    except SyntaxError:  # conflict markers: its imports are read line by line
        lines = enumerate(text.splitlines())
        tree = ast.Module([ast.increment_lineno(node, at) for at, line in lines for node in _statement(line)], [])
    package = list(Path(name).parts[:-1])
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for each in node.names:
                yield node.lineno, _modules(each.name.split("."))
        elif isinstance(node, ast.ImportFrom):
            parts = (node.module or "").split(".") if node.module else []
            if node.level:
                parts = package[: len(package) - node.level + 1] + parts
            for each in node.names:
                yield node.lineno, [*_modules([*parts, each.name]), *_modules(parts)]


def _statement(line: str) -> list[ast.stmt]:
    try:
        return ast.parse(line.strip()).body if line.lstrip().startswith(("from ", "import ")) else []
    except SyntaxError:
        return []


def _modules(parts: list[str]) -> list[str]:
    """The files that a module can be, in a project with a folder `src`."""
    path = "/".join(parts)
    return [f"{root}{path}{end}" for root in ("src/", "") for end in (".py", "/__init__.py")]


def _git(project: Path, *arguments: str) -> bytes | None:
    done = subprocess.run(["git", *arguments], cwd=project, capture_output=True, check=False)
    return done.stdout if done.returncode == 0 else None


class Moved(Extension):
    """Gives the function to the message after an update."""

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        functions: dict[str, Any] = {"moved_files": moved_files}
        environment.globals.update(functions)
