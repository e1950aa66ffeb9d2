"""Every file of a project parses, holds no template syntax, and is there only if the answers call for it."""

from __future__ import annotations

import ast
import json
import re
import tomllib
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
import yaml

from tests.profiles import Profile
from tests.support.render import render

PROFILES = [
    Profile("worker", "worker"),
    Profile("worker-custom", "worker", "shop", {"polar_server": "sandbox", "auth": "custom", "products": ["lifetime"]}),
    Profile("fastapi", "fastapi"),
    Profile("fastapi-postgres", "fastapi", "shop", {"polar_server": "production", "database": "postgres"}),
    Profile("fastapi-custom", "fastapi", "hostile", {"polar_server": "sandbox", "auth": "custom"}),
]
_COMMENT = re.compile(r'("(?:\\.|[^"\\])*")|//[^\n]*|/\*.*?\*/', re.DOTALL)
_TRAILING = re.compile(r'("(?:\\.|[^"\\])*")|,(?=\s*[}\]])')


@pytest.fixture(scope="module", params=PROFILES, ids=lambda profile: profile.name)
def project(
    request: pytest.FixtureRequest,
    template: Path,
    polar_with: Callable[[str], str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """The project of each profile."""
    profile: Profile = request.param
    url = polar_with(profile.catalogue) if profile.catalogue else None
    return render(profile, template, tmp_path_factory.mktemp("rendered") / profile.name, url)


def files(project: Path, *suffixes: str) -> Iterable[Path]:
    return [file for file in sorted(project.rglob("*")) if file.is_file() and file.name.endswith(suffixes or ("",))]


def strict(text: str) -> str:
    """JSON of a file that may have comments and trailing commas."""
    return _TRAILING.sub(lambda m: m[1] or "", _COMMENT.sub(lambda m: m[1] or "", text))


def test_json_parses(project: Path) -> None:
    for file in files(project, ".json", ".jsonc"):
        json.loads(strict(file.read_text()))


def test_toml_parses(project: Path) -> None:
    for file in files(project, ".toml"):
        tomllib.loads(file.read_text())


def test_yaml_parses(project: Path) -> None:
    for file in files(project, ".yml", ".yaml"):
        list(yaml.safe_load_all(file.read_text()))


def test_python_parses(project: Path) -> None:
    for file in files(project, ".py"):
        ast.parse(file.read_text(), file.name)


def test_nothing_of_the_template_is_left(project: Path) -> None:
    for file in files(project):
        assert not file.name.endswith((".jinja", ".pyc")), file
        assert "{" not in str(file.relative_to(project)), file


def test_rendered_files_hold_no_template_syntax(project: Path, template: Path) -> None:
    """Only texts of the catalogue may have braces like these: in the catalogue, the answers file and Markdown."""
    runtime = "worker" if (project / "package.json").exists() else "fastapi"
    for source in (template / "template" / runtime).rglob("*.jinja"):
        file = project / source.relative_to(template / "template" / runtime).with_suffix("")
        if file.exists() and not file.name.startswith(("catalog.", "README")):
            left = re.findall(r"(?<!\$)\{\{|\{%|%\}|\{#|#\}", file.read_text())
            assert not left, f"{file} has {left}"


def test_files_end_in_one_newline(project: Path) -> None:
    for file in files(project):
        text = file.read_text()
        assert not text or (text.endswith("\n") and not text.endswith("\n\n")), file


def test_no_file_of_another_answer(project: Path) -> None:
    answers = yaml.safe_load((project / ".copier-answers.yml").read_text())
    for auth in ("jwt", "custom"):
        found = files(project, f"auth/{auth}.ts") or [
            f for f in files(project, f"{auth}.ts", f"{auth}.py") if f.parent.name == "auth" and "src" in f.parts
        ]
        assert bool(found) is (answers["auth"] == auth), found
    if answers["runtime"] == "fastapi":
        assert (project / "compose.yaml").exists() is (answers["database"] == "postgres")


def test_a_second_rendering_is_the_same(template: Path, polar_with: Callable[[str], str], tmp_path: Path) -> None:
    profile = Profile("twice", "worker", "hostile", {"polar_server": "sandbox"})
    url = polar_with("hostile")
    first, second = (render(profile, template, tmp_path / name / "app", url) for name in ("one", "two"))
    names = [file.relative_to(first) for file in files(first)]
    assert names == [file.relative_to(second) for file in files(second)]
    assert not [name for name in names if (first / name).read_bytes() != (second / name).read_bytes()]


def test_every_error_is_answered_somewhere(project: Path) -> None:
    """An error that no code of the project answers belongs to another answer of the questions."""
    source = project / "src"
    registry = next(iter(files(source, "errors.ts", "errors.py")))
    codes = re.findall(r'^ +"?([a-z_]+)"?: (?:\{ status|ErrorKind)', registry.read_text(), re.MULTILINE)
    assert len(codes) > 10
    code = "".join(file.read_text() for file in files(source, ".ts", ".py") if file != registry)
    assert not [name for name in codes if f'"{name}"' not in code]


def test_no_route_is_named_that_is_not_there(project: Path) -> None:
    subscriptions = "subscriptions" in yaml.safe_load((project / ".copier-answers.yml").read_text())["sells"]
    naming = [
        file.relative_to(project)
        for file in files(project, ".ts", ".py", ".md")
        if "/subscription/change" in file.read_text()
    ]
    assert bool(naming) is subscriptions, naming
