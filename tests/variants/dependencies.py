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
_REMARK = re.compile(r"^\s*(?://|/\*|\*).*$", re.MULTILINE)  # a comment that has lines of its own
_CODE = (".ts", ".py", ".json", ".jsonc", ".toml")
# Read by every run of tests; what these name is not followed.
_ALWAYS = re.compile(r"(?:pyproject\.toml|alembic\.ini|package\.json|wrangler\.jsonc)|(?:.*/)?migrations/.*")
_STARTS = re.compile(r"vitest\.config\.ts|tests/(?:.*/)?(?:conftest|__init__)\.py")
# Whoever lists folders reads anything, but for who looks for the answers file.
_WHOLE = re.compile(r'(?<!tmp_path\.)(?:\br?glob\((?!f?"\.copier-answers)|\biterdir\(|\breaddir)')
# What a project was made of: where it is other, so are the files that were rendered from it.
_ANSWERS = ".copier-answers.yml"
_LITERAL = re.compile(r'"(?:\\.|[^"\\])*"|\'(?:\\.|[^\'\\])*\'|\b\d[\d_.]*\b|(?<=[A-Z])=.*$|https?://\S+')
_SEVERAL = re.compile(r"…(?:, …)+")  # how long a list of literals is
_SOURCE = re.compile(r"""\b(?:from|import|import\()\s*["']""")  # the name of a module is no literal
# Comments, and what is written where the tests' stand-in was asked: nobody's project has it.
_IGNORED = re.compile(r"\s*(?://|#)|POLAR_BASE_URL")


@cache
def imports(name: str, text: str) -> list[str]:
    """The project's own files that this one may import."""
    return list(_of_typescript(name, text) if name.endswith((".ts", ".mjs")) else _of_python(name, text))


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


def own_tests(files: Files, generated: Iterable[str], data: Iterable[str]) -> dict[str, frozenset[str]]:
    """The project's test files, with keys: one that runs where all its keys were seen can find nothing new.

    One key is for the code that the test reaches, equal where nothing but literals differs. Another is for the `data`:
    what the catalogue was made of, whose texts count as literals. Code and data are each seen, not every pair of them,
    but where the test itself names the generated catalogue.
    """
    named = {each: name for name in files for each in (name, PurePosixPath(name).name, module(name))}
    rendered = frozenset(generated)
    edges = {name: _edges(name, files, named) for name in files if name.endswith((".ts", ".py"))}
    keys: dict[str, frozenset[str]] = {}
    for name in filter(_TEST.fullmatch, files):
        reached = _reached(name, files, edges)
        needs = {_key({file: files[file] for file in reached}, rendered)}
        if any(map(_is_data, reached)):
            needs.add(_digest(name, *data))
        keys[name] = frozenset([_digest(*sorted(needs))] if any(map(_is_data, edges[name])) else needs)
    return keys


def code_key(files: Files, generated: Iterable[str]) -> str:
    """Equal for projects whose code and configuration differ in nothing but literals and the catalogue.

    A Worker's scripts and tests are no part of it.
    """
    apart = ("scripts/", "test/")
    code = {name: text for name, text in files.items() if name.endswith(_CODE) and not name.startswith(apart)}
    return _key(code, frozenset(generated))


def _is_data(name: str) -> bool:
    return name.startswith("src/") and PurePosixPath(name).stem == "catalog"


def _edges(name: str, files: Files, named: Mapping[str, str]) -> set[str]:
    text = files[name]
    if _WHOLE.search(text):
        return set(files)
    found = {other for other in imports(name, text) if other in files}
    opened = {named[word] for word in words(_said(name, text)) if word in named and "." in word}
    return found | opened - {_ANSWERS}


@cache
def _said(name: str, text: str) -> str:
    """What its code may open or start by name: no comment and no docstring."""
    if name.endswith(".ts"):
        return _REMARK.sub("", text)
    tree = ast.parse(text)
    remarks = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    texts = (node for node in ast.walk(tree) if isinstance(node, ast.Constant) and id(node) not in remarks)
    return "\n".join(node.value for node in texts if isinstance(node.value, str))


def _reached(test: str, files: Files, edges: Mapping[str, set[str]]) -> set[str]:
    """All that a test file depends on."""
    reached = {name for name in files if _ALWAYS.fullmatch(name)}
    todo = [test, *(name for name in files if _STARTS.fullmatch(name) and _starts(name, test))]
    while todo:
        name = todo.pop()
        if name not in reached:
            reached.add(name)
            todo += edges.get(name, ())
    return reached


def _starts(name: str, test: str) -> bool:
    """Whether the runner reads that file before this test: what stands in a folder is for those in it and below it."""
    return PurePosixPath(name).parent in PurePosixPath(test).parents


def _key(read: Files, generated: frozenset[str]) -> str:
    return _digest(
        *(
            f"{name}\0{_kinds_of_lines(text) if name in generated else text}"
            for name, text in sorted(read.items())
            if not _is_data(name)
        )
    )


def _digest(*texts: str) -> str:
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()


@cache
def _kinds_of_lines(text: str) -> str:
    """A generated file counts by the kinds of lines it has, without comments: how often a loop ran is data."""
    return "\n".join(sorted({_kind(line) for line in text.splitlines() if not _IGNORED.match(line)}))


def _kind(line: str) -> str:
    return line if _SOURCE.search(line) else _SEVERAL.sub("…", _LITERAL.sub("…", line))
