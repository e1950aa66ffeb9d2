"""The template stays easy to work on: most of it is ordinary code, linted where it lies, and its documents are true."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest
from jinja2 import Environment, FileSystemLoader

from tests.profiles import Profile
from tests.support import node
from tests.support.render import ROOT, render
from tests.variants.checks import Workers

AT_LEAST = 0.8  # of the files under template/ carry no Jinja
_JINJA = re.compile(r"\{%-? *(?:if|for|set|macro|include|from|block|raw)\b|\{\{-? *_copier")


def template_files() -> list[str]:
    """What git has of the template, with what is not committed yet."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "template"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return [name for name in done.stdout.splitlines() if (ROOT / name).exists()]


def carries_jinja(name: str) -> bool:
    return name.endswith(".jinja") or _JINJA.search((ROOT / name).read_text()) is not None


def test_most_files_carry_no_jinja(capfd: pytest.CaptureFixture[str]) -> None:
    files = template_files()
    plain = [name for name in files if not carries_jinja(name)]
    share = len(plain) / len(files)
    with capfd.disabled():
        print(f"\n{len(plain)} of {len(files)} files of the template carry no Jinja: {share:.1%}")
    assert not [name for name in files if carries_jinja(name) and not name.endswith(".jinja")], "it is not rendered"
    assert share >= AT_LEAST


@pytest.mark.parametrize("name", ["identity-providers.json", "ways-to-a-plan.json"])
def test_both_runtimes_test_the_same_table(name: str) -> None:
    worker = (ROOT / "template/worker/test/support" / name).read_bytes()
    own_name = name if name.startswith("identity") else name.replace("-", "_")
    assert worker == (ROOT / "template/fastapi/tests/support" / own_name).read_bytes()


def test_the_document_about_identity_providers_is_what_is_tested() -> None:
    loader = Environment(loader=FileSystemLoader(ROOT))
    documented = loader.get_template("template/common/identity_providers.jinja").make_module({}).IDENTITY_PROVIDERS
    tested = ROOT / "template/worker/test/support/identity-providers.json"
    assert json.loads(tested.read_text()) == json.loads(json.dumps(documented))


def test_typescript_passes_its_linter_in_place(template: Path, tmp_path: Path) -> None:
    workspace = Workers(tmp_path.name, {}, template).workspace
    folder = template / "template" / "worker"
    done = node.run(workspace.bin("biome"), "ci", "--error-on-warnings", cwd=folder, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    checked = int(re.findall(r"Checked (\d+) files", re.sub(r"\x1b\[\d*m", "", done.stdout + done.stderr))[0])
    assert checked > 80


def test_python_passes_its_linter_in_place(template: Path, tmp_path: Path) -> None:
    project = render(Profile("plain", "fastapi"), template, tmp_path / "app", None)
    folder = template / "template" / "fastapi"
    # Ruff looks for a module to see whose it is; here some end in .jinja.
    ours = 'lint.isort.known-first-party=["app", "tests"]'
    for command in (["check"], ["format", "--check"]):
        rules = ["--no-cache", "--config", str(project / "pyproject.toml"), "--config", ours]
        done = subprocess.run(["ruff", *command, *rules, "."], cwd=folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


# --- documents --------------------------------------------------------------------------------------------------------

_PATH = re.compile(r"`([\w./{},*-]+/[\w./{},*-]*|[\w-]+\.(?:md|yml|py|toml|ts))`")


def named_paths(text: str) -> list[str]:
    """What is set as code and looks like a path of this repository: not what only a generated project has."""
    return [path for path in _PATH.findall(text) if not path.startswith((".cache", "/", ".."))]


def missing(document: str) -> list[str]:
    """Paths that a document names and the repository has not, with or without `.jinja`."""
    files = [name.removesuffix(".jinja") for name in _all_files()]
    text = (ROOT / document).read_text()
    return [path for path in named_paths(text) if not any(_is(path, name) for name in files)]


def _is(path: str, name: str) -> bool:
    """Whether a path means this file, or a folder that it is in; `{ts,py}` is one or the other, `*` any."""
    pattern = re.escape(path.rstrip("/").removesuffix(".jinja")).replace(r"\*", "[^/]*")
    pattern = re.sub(r"\\\{(.*?)\\\}", lambda found: "(?:" + found[1].replace(",", "|") + ")", pattern)
    return re.fullmatch(rf"(?:.*/)?{pattern}(?:/.*)?", name) is not None


def _all_files() -> list[str]:
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return [name for name in done.stdout.splitlines() if (ROOT / name).exists()]


@pytest.mark.parametrize("document", ["CONTRIBUTING.md", "README.md", "tests/conformance/README.md"])
def test_files_that_documents_name_exist(document: str) -> None:
    assert missing(document) == []


def test_a_file_that_does_not_exist_is_noticed() -> None:
    assert named_paths("see `hooks/gone.py`, `src/billing/{a,b}.ts` and `uv run`") == [
        "hooks/gone.py",
        "src/billing/{a,b}.ts",
    ]
    files = ["hooks/answers.py", "template/worker/src/billing/b.ts"]
    found = {path: any(_is(path, name) for name in files) for path in ("hooks/gone.py", "hooks/", "billing/{a,b}.ts")}
    assert found == {"hooks/gone.py": False, "hooks/": True, "billing/{a,b}.ts": True}


def test_the_map_of_the_readme_has_ten_lines_and_is_true() -> None:
    readme = (ROOT / "README.md").read_text()
    block = readme.split("## The repository", 1)[1].split("```")[1].strip().splitlines()
    assert len(block) <= 10
    named = [line.split()[0] for line in block]
    assert [name for name in named if not (ROOT / name).exists()] == []
    top = {name.split("/", 1)[0] for name in _all_files() if "/" in name and not name.startswith(".")}
    assert {name.split("/", 1)[0] for name in named} >= top


CHANGES = (
    "A new question",
    "A new optional feature",
    "A new command",
    "A new check of the doctor",
    "A new operation of the bridge",
    "A new event reaction",
)


@pytest.mark.parametrize("change", CHANGES)
def test_contributing_says_which_files_a_change_touches(change: str) -> None:
    paragraphs = (ROOT / "CONTRIBUTING.md").read_text().split("\n\n")
    (paragraph,) = [each for each in paragraphs if each.startswith(f"**{change}**")]
    assert len(named_paths(paragraph)) >= 3


def test_every_printed_call_of_copier_trusts_the_template() -> None:
    """Without --trust Copier refuses the template's own Jinja extensions."""
    called = re.compile(r"copier (?:update|copy)\b[^`\n]*--[^`\n]*")
    wrong = [
        f"{path.relative_to(ROOT)}: {call}"
        for folder in ("template", "copier_polar", "hooks")
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and path.suffix != ".pyc"
        for call in called.findall(path.read_text("utf-8", "replace"))
        if "--trust" not in call
    ]
    assert not wrong, wrong


def test_generated_workflows_name_the_commit_of_every_action() -> None:
    """A tag can be moved to other code; the version stands beside the commit for people."""
    used = [
        line.strip()
        for file in (ROOT / "template").glob("*/.github/workflows/*.yml")
        for line in file.read_text().splitlines()
        if "uses:" in line
    ]
    assert len(used) >= 4
    assert [line for line in used if not re.fullmatch(r"- uses: [\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", line)] == []
