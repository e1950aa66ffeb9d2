"""What a file of a project depends on, and by which of its test files a project differs from others.

A test is a matter of what it reads: its own file, what that imports or names, and the configuration of its runner. Two
projects where all of it is the same but for literals need to run that test once.
"""

from __future__ import annotations

import ast
import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import PurePosixPath

Files = Mapping[str, str]  # texts by path
_IMPORT = re.compile(r"""(?:from|import)\s*\(?\s*["'](\.[^"'?]+)(?:\?raw)?["']""")
_TEST = re.compile(r"test/.*\.test\.ts|tests/.*test_\w+\.py")
# Read by every run of tests; what these name is not followed.
_ALWAYS = re.compile(r"(?:pyproject\.toml|alembic\.ini|package\.json|wrangler\.jsonc)|(?:.*/)?migrations/.*")
_STARTS = re.compile(r"vitest\.config\.ts|tests/(?:.*/)?(?:conftest|__init__)\.py")
_WHOLE = re.compile(r"(?<!tmp_path\.)(?:\br?glob\(|\biterdir\(|\breaddir)")  # whoever lists folders reads anything
_LITERAL = re.compile(r'"(?:\\.|[^"\\])*"|\'(?:\\.|[^\'\\])*\'|\b\d[\d_.]*\b|(?<=[A-Z])=.*$|https?://\S+')
_SOURCE = re.compile(r"""\b(?:from|import|import\()\s*["']""")  # the name of a module is no literal
# Comments, and what is written where the tests' stand-in was asked: nobody's project has it.
_IGNORED = re.compile(r"\s*(?://|#)|POLAR_BASE_URL")


@cache
def imports(name: str, text: str) -> list[str]:
    """The project's own files that this one may import."""
    return list(_of_typescript(name, text) if name.endswith(".ts") else _of_python(name, text))


def _of_typescript(name: str, text: str) -> Iterator[str]:
    for target in _IMPORT.findall(text):
        path = _normal(PurePosixPath(name).parent / target)
        yield from (path, f"{path}.ts", f"{path}/index.ts")


def _normal(path: PurePosixPath) -> str:
    parts: list[str] = []
    for part in path.parts:
        if part == "..":
            parts.pop()
        elif part != ".":
            parts.append(part)
    return "/".join(parts)


def _of_python(name: str, text: str) -> Iterator[str]:
    package = PurePosixPath(name).parent.parts
    for node in ast.walk(ast.parse(text)):
        match node:
            case ast.Import(names=names):
                modules = [each.name for each in names]
            case ast.ImportFrom(module=module, names=names, level=level):
                base = list(package[: len(package) - level + 1]) if level else []
                stem = ".".join([*base, *([module] if module else [])])
                modules = [stem, *(f"{stem}.{each.name}" for each in names)]
            case _:
                continue
        for module in modules:
            path = module.replace(".", "/")
            yield from (f"{path}.py", f"src/{path}.py")


def module(name: str) -> str:
    """The name of a Python file as a module."""
    return name.removeprefix("src/").removesuffix(".py").replace("/", ".")


@cache
def words(text: str) -> frozenset[str]:
    """Every path and every module that a text may name."""
    return frozenset(word.removeprefix("./").rstrip(".") for word in re.findall(r"[\w./-]+", text))


def own_tests(files: Files, generated: Iterable[str], chosen: Iterable[str]) -> dict[str, str]:
    """The project's test files, with a key each: equal where nothing but literals differs.

    `chosen` tells apart what catalogues were made of: their texts are data, and count as literals.
    """
    named = {each: name for name in files for each in (name, PurePosixPath(name).name, module(name))}
    rendered = frozenset(generated)
    edges = {name: _edges(name, files, named) for name in files if name.endswith((".ts", ".py"))}
    return {
        name: _key({file: files[file] for file in _reached(name, files, edges)}, rendered, chosen)
        for name in files
        if _TEST.fullmatch(name)
    }


def _edges(name: str, files: Files, named: Mapping[str, str]) -> set[str]:
    text = files[name]
    if _WHOLE.search(text):
        return set(files)
    found = {other for other in imports(name, text) if other in files}
    return found | {named[word] for word in words(text) if word in named and "." in word}


def _reached(test: str, files: Files, edges: Mapping[str, set[str]]) -> set[str]:
    """All that a test file depends on."""
    reached = {name for name in files if _ALWAYS.fullmatch(name)}
    todo = [test, *(name for name in files if _STARTS.fullmatch(name) and not _TEST.fullmatch(name))]
    while todo:
        name = todo.pop()
        if name not in reached:
            reached.add(name)
            todo += edges.get(name, ())
    return reached


def _key(read: Files, generated: frozenset[str], chosen: Iterable[str]) -> str:
    digest = hashlib.sha256()
    for name, text in sorted(read.items()):
        if name in generated:
            is_data = PurePosixPath(name).stem == "catalog"
            text = str(list(chosen)) if is_data else _kinds_of_lines(text)
        digest.update(f"{name}\0{text}\0".encode())
    return digest.hexdigest()


@cache
def _kinds_of_lines(text: str) -> str:
    """A generated file counts by the kinds of lines it has, without comments: how often a loop ran is data."""
    return "\n".join(sorted({_kind(line) for line in text.splitlines() if not _IGNORED.match(line)}))


def _kind(line: str) -> str:
    return line if _SOURCE.search(line) else _LITERAL.sub("…", line)
