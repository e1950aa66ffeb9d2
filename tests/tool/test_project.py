"""Which project is meant, and what is said where there is none: one line, exit code 2."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from copier_polar import cli, project
from copier_polar.console import BadCall
from copier_polar.project import Store, find
from tests.tool.conftest import ANSWERS, Tool

GOOD = "polar_catalog: {}\nruntime: worker\n"
CONFLICT = "polar_catalog: {}\n<<<<<<< before updating\nruntime: worker\n=======\nruntime: fastapi\n>>>>>>> after\n"


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({}, r"^/.* is no project of copier-polar: it has no answers file\. --project names one\.$"),
        ({ANSWERS: CONFLICT}, r"^\.copier-answers\.polar\.yml has conflict markers: resolve them first\.$"),
        ({ANSWERS: "a: [\n"}, r"^\.copier-answers\.polar\.yml cannot be read\.$"),
        ({ANSWERS: "a: !!python/object:os.system {}\n"}, r"cannot be read\.$"),
        ({ANSWERS: "a: \x07\n"}, r"cannot be read\.$"),
        ({ANSWERS: b"polar_catalog: [\xff"}, r"cannot be read\.$"),
        ({ANSWERS: "polar_catalog: {}\nruntime: 2026-13-45\n"}, r"cannot be read\.$"),
        ({ANSWERS: CONFLICT, ".copier-answers.yml": GOOD}, r"has conflict markers"),
        ({ANSWERS: GOOD, ".copier-answers.yml": GOOD}, r"^There are two projects in one folder: .+ and .+\. Keep"),
        ({ANSWERS: "_src_path: gh:other/template\n"}, r"it has no answers file\."),
        ({ANSWERS: "- a\n- b\n"}, r"it has no answers file\."),
        ({ANSWERS: ""}, r"it has no answers file\."),
        ({ANSWERS: "polar_catalog: {}\n"}, r"names no runtime that this tool knows\.$"),
        ({ANSWERS: "polar_catalog: {}\nruntime: [worker]\n"}, r"names no runtime that this tool knows\.$"),
        ({ANSWERS: "polar_catalog: {}\nruntime: rails\n"}, r"names no runtime that this tool knows\.$"),
    ],
)
def test_a_folder_that_is_no_project_is_one_line(
    tmp_path: Path, files: dict[str, str | bytes], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, content in files.items():
        (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(BadCall) as raised:
        find(tmp_path)
    assert re.search(said, str(raised.value))
    with pytest.raises(SystemExit) as ended:
        cli.main(["--project", str(tmp_path), "block", "user_1"])
    printed = capsys.readouterr()
    assert (ended.value.code, printed.out) == (2, "")
    assert len(printed.err.splitlines()) == 1


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(BadCall, match="is no project of copier-polar"):
        find(tmp_path / "nowhere")


@pytest.mark.parametrize("name", [".copier-answers.yml", ".copier-answers.yaml", ANSWERS])
@pytest.mark.parametrize("before", ["", "\ufeff"])
def test_a_project_is_found_beside_other_templates(tmp_path: Path, name: str, before: str) -> None:
    (tmp_path / name).write_text(before + GOOD, encoding="utf-8")
    (tmp_path / ".copier-answers.other.yml").write_text("_src_path: gh:other/template\n")
    (tmp_path / ".copier-answers.broken.yml").write_text("a: [")
    (tmp_path / ".copier-answers.folder.yml").mkdir()
    assert find(tmp_path).runtime == "worker"


@pytest.mark.parametrize(
    ("runtime", "store", "expected"),
    [
        ("worker", Store(), ["node", "scripts/bridge.mjs"]),
        ("worker", Store(remote=True), ["node", "scripts/bridge.mjs", "--remote"]),
        ("fastapi", Store(), ["uv", "run", "--quiet", "python", "-m", "app.billing.bridge"]),
    ],
)
def test_how_the_bridge_is_started(
    tmp_path: Path, runtime: str, store: Store, expected: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[list[str]] = []

    class Started:
        def __init__(self, command: list[str], *_: object) -> None:
            self.runtime = runtime
            started.append(command)

    monkeypatch.setattr(project, "Bridge", Started)
    (tmp_path / ANSWERS).write_text(f"polar_catalog: {{}}\nruntime: {runtime}\n")
    find(tmp_path).start_bridge(store)
    python = tmp_path / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.touch()
    find(tmp_path).start_bridge(store)
    find(tmp_path, "docker compose exec -T 'my app' python -m app.billing.bridge").start_bridge(store)
    own = [str(python), *expected[4:]] if runtime == "fastapi" else expected
    elsewhere = ["docker", "compose", "exec", "-T", "my app", "python", "-m", "app.billing.bridge", *store.options]
    assert started == [expected, own, elsewhere]


@pytest.mark.parametrize("command", ["'open", " ", "#"])
def test_a_bridge_that_is_no_command(tool: Tool, command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    ran = tool.run("--bridge", command, "block", "user_1", code=2)
    assert ran.error.startswith("Error: --bridge: is no command.") or command == "#"


def test_the_environment_may_name_the_bridge(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ANSWERS).write_text(GOOD)
    project.choose_folder(tmp_path)
    monkeypatch.setenv(project.BRIDGE_VARIABLE, "ssh app bridge")
    project.choose_bridge(None)
    assert project.chosen().bridge_command == "ssh app bridge"
    project.choose_bridge("other")
    assert project.chosen().bridge_command == "other"
    monkeypatch.delenv(project.BRIDGE_VARIABLE)
    project.choose_bridge(None)
    assert project.chosen().bridge_command is None


def test_secrets_come_from_the_environment_alone_where_the_app_is_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("POLAR_ACCESS_TOKEN", raising=False)
    (tmp_path / ANSWERS).write_text(GOOD)
    (tmp_path / ".dev.vars").write_text("POLAR_ACCESS_TOKEN=of_the_file\n")
    assert find(tmp_path).settings()["POLAR_ACCESS_TOKEN"] == "of_the_file"
    assert "POLAR_ACCESS_TOKEN" not in find(tmp_path).settings(remote=True)
    assert "POLAR_ACCESS_TOKEN" not in find(tmp_path, "ssh app bridge").settings()
    monkeypatch.setenv("POLAR_ACCESS_TOKEN", "of_the_environment")
    assert find(tmp_path, "ssh app bridge").settings()["POLAR_ACCESS_TOKEN"] == "of_the_environment"
