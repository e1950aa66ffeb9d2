"""What holds for the files of every variant: they parse, hold no template syntax, and each is there for a reason.

Every check yields one line for each fault. What only depends on the text of one file is checked once for all variants
that have the same file.
"""

from __future__ import annotations

import ast
import json
import re
import sqlite3
import tomllib
from collections.abc import Iterator
from contextlib import closing
from functools import cache, lru_cache
from pathlib import Path, PurePosixPath

import yaml
from jinja2 import Environment

from tests.variants.dependencies import imports, module, words

_COMMENT = re.compile(r'("(?:\\.|[^"\\])*")|//[^\n]*|/\*.*?\*/', re.DOTALL)
_TRAILING = re.compile(r'("(?:\\.|[^"\\])*")|,(?=\s*[}\]])')
_LEFT_OVER = re.compile(r"(?<!\$)\{\{|\{%|%\}|\{#|#\}")
# Read by tools under these names, and by nobody else.
_BY_TOOLS = re.compile(
    r"vitest\.config\.ts|.*\.d\.ts|.*\.test\.ts|test_\w+\.py|conftest\.py|__init__\.py|migrations/.*\.py"
)
_NAME = re.compile(r"\b(?:[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+|[a-z][a-z0-9]*(?:_[a-z0-9]+)+)\b")
_SETTINGS = ("wrangler.jsonc", ".dev.vars.example", ".env.example", "compose.yaml")
_BY_COMPOSE = re.compile(r"\$\{([A-Z]+(?:_[A-Z]+)+)[}:]")
_OFFERED = re.compile(r'^(?:# )?([A-Z]+(?:_[A-Z]+)+)=|^ +"([A-Z]+(?:_[A-Z]+)+)": "', re.MULTILINE)


class Project:
    """A rendered project: the text of every file, by its path."""

    def __init__(self, root: Path, template: Path) -> None:
        self.root = root
        self.files = {
            path.relative_to(root).as_posix(): path.read_text() for path in sorted(root.rglob("*")) if path.is_file()
        }
        self.template = template / "template" / ("worker" if "package.json" in self.files else "fastapi")
        self.answers = yaml.load(self.files[".copier-answers.yml"], getattr(yaml, "CSafeLoader", yaml.SafeLoader))

    def faults(self) -> Iterator[str]:
        """Everything that is wrong with its files."""
        for name, text in self.files.items():
            yield from (f"{name}: {fault}" for fault in _of_text(PurePosixPath(name).name, text))
        for check in (unfit_migrations, left_over, unused_files, unused_names, unused_errors, routes_of_others):
            yield from check(self)

    def code(self, *folders: str) -> dict[str, str]:
        """Its TypeScript and Python below these folders."""
        return {
            name: text
            for name, text in self.files.items()
            if name.endswith((".ts", ".py")) and name.startswith(folders or ("",))
        }


@cache
def _of_text(name: str, text: str) -> list[str]:
    """What is wrong with one file whatever the others are."""
    faults = []
    if name.endswith((".jinja", ".pyc")) or "{" in name:
        faults.append("belongs to the template")
    if text and (not text.endswith("\n") or text.endswith("\n\n")):
        faults.append("does not end in one newline")
    try:
        _parse(name, text)
    except (ValueError, SyntaxError, yaml.YAMLError) as error:
        faults.append(f"does not parse: {error}")
    return faults


def unfit_migrations(project: Project) -> Iterator[str]:
    """Migrations in SQL that do not run one after another on an empty database."""
    yield from _unfit(tuple((name, text) for name, text in project.files.items() if name.endswith(".sql")))


@cache
def _unfit(migrations: tuple[tuple[str, str], ...]) -> list[str]:
    with closing(sqlite3.connect(":memory:")) as database:
        for name, text in migrations:
            try:
                database.executescript(text)
            except sqlite3.Error as error:
                return [f"{name}: does not run after those before it: {error}"]
    return []


def _parse(name: str, text: str) -> None:
    """TypeScript is parsed by its formatter, see `checks.py`."""
    match PurePosixPath(name).suffix:
        case ".json" | ".jsonc":
            json.loads(strict(text))
        case ".toml":
            tomllib.loads(text)
        case ".yml" | ".yaml":
            list(yaml.load_all(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader)))
        case ".py":
            ast.parse(text, name)


def strict(text: str) -> str:
    """JSON of a file that may have comments and trailing commas."""
    return _TRAILING.sub(lambda m: m[1] or "", _COMMENT.sub(lambda m: m[1] or "", text))


def left_over(project: Project) -> Iterator[str]:
    """Syntax of Jinja. Texts of the catalogue may look like it: in the catalogue, the answers and in Markdown."""
    for source in generated(project.template):
        text = project.files.get(source)
        if text and not PurePosixPath(source).name.startswith(("catalog.", "README", ".copier-answers")):
            own_name = str(project.answers["project_name"])
            found = _LEFT_OVER.findall(text.replace(own_name, "").replace(json.dumps(own_name)[1:-1], ""))
            if found:
                yield f"{source}: has {sorted(set(found))}"


@lru_cache
def generated(template: Path) -> list[str]:
    """The files that Jinja renders, under their names in a project, of one runtime's part of the template."""
    return [path.relative_to(template).with_suffix("").as_posix() for path in template.rglob("*.jinja")]


# --- unused -------------------------------------------------------------------------------------------------------


def unused_files(project: Project) -> Iterator[str]:
    """Code that no entry point reaches. Entry points are what tools find by name, and what configuration names."""
    code = project.code()
    named = set[str]().union(*(words(text) for name, text in project.files.items() if _configures(name)))
    entries = [name for name in code if _BY_TOOLS.fullmatch(_tail(name)) or {name, module(name)} & named]
    # What package.json starts as plain JavaScript, so that an old Node can be told of.
    entries += [one for name, text in project.files.items() if name.endswith(".mjs") for one in imports(name, text)]
    reached, todo = set[str](), [name for name in entries if name in code]
    while todo:
        name = todo.pop()
        if name not in reached:
            reached.add(name)
            todo += [other for other in imports(name, code[name]) if other in code]
    for name in sorted(set(code) - reached):
        yield f"{name}: nothing uses it"


def _tail(name: str) -> str:
    """Its last part; for a migration with the folder, whose tool finds it there."""
    return name[name.index("migrations/") :] if "migrations/" in name else PurePosixPath(name).name


def _configures(name: str) -> bool:
    """Whether a file may name code that a tool is to run: what is no code itself, and a tool's own."""
    plain = not name.endswith((".ts", ".py", ".md", ".sql", ".txt")) and name != ".copier-answers.yml"
    return plain or ".config." in name


def unused_names(project: Project) -> Iterator[str]:
    """Names of environment variables that no code reads, and those that belong to other answers.

    Tests may hand a secret to whichever sign-in there is.
    """
    read = set[str]().union(*map(_names, project.code("src/", "scripts/").values()))
    read |= set(_BY_COMPOSE.findall(project.files.get("compose.yaml", "")))
    settings = {name: text for name, text in project.files.items() if PurePosixPath(name).name in _SETTINGS}
    offered = set[str]().union(*map(_offered, settings.values()))
    yield from (f"{name}: offered, and read by no code" for name in sorted(offered - read))
    shipped = {file: text for file, text in project.files.items() if not file.startswith(("test/", "tests/"))}
    known = offered | _names(project.files["README.md"])
    for name in environment_names(project.template.parents[1]):
        if name not in known and (where := [file for file in shipped if name in _names(shipped[file])]):
            yield f"{name}: of other answers, and named in {', '.join(where)}"


@cache
def _names(text: str) -> set[str]:
    """Every word that may be an environment variable, whose names pydantic has in lower case."""
    return {name.upper() for name in _NAME.findall(text)}


@cache
def _offered(text: str) -> set[str]:
    """Names that a file of settings has: `NAME=`, also behind `# `, and `"NAME": "`."""
    return {one or other for one, other in _OFFERED.findall(text)}


@lru_cache
def environment_names(template: Path) -> list[str]:
    """Every environment variable that some project has."""
    source = (template / "template" / "common" / "environment.jinja").read_text()
    module = Environment().from_string(source).make_module()
    return [variable["name"] for variable in module.ENVIRONMENT]


def unused_errors(project: Project) -> Iterator[str]:
    """Errors of the registry that no code answers: they belong to other answers."""
    registry = next(name for name in project.files if name.endswith(("/errors.ts", "/errors.py")))
    codes = re.findall(r'^ +"?([a-z_]+)"?: (?:\{ status|ErrorKind)', project.files[registry], re.MULTILINE)
    code = "".join(text for name, text in project.code("src/").items() if name != registry)
    if len(codes) <= 10:
        yield f"{registry}: the registry was not understood: {codes}"
    yield from (f"{registry}: nothing answers {error}" for error in codes if f'"{error}"' not in code)


def routes_of_others(project: Project) -> Iterator[str]:
    """Routes that are named where the answers bring none, or not named where they do."""
    named = [
        name
        for name, text in project.files.items()
        if name.endswith((".ts", ".py", ".md")) and "/subscription/change" in text
    ]
    if bool(named) is not ("subscriptions" in project.answers["sells"]):
        yield f"/subscription/change is named in: {', '.join(named) or 'no file'}"
