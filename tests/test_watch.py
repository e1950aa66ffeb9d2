"""Live feedback: a saved file of the template is rendered into the profile's project, and its tests run again."""

from __future__ import annotations

import queue
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.profiles import Profile
from tests.watch import follow, main, own_tests, take_over

SECONDS = 60.0  # until a busy machine has noticed


@pytest.fixture
def repository(small_template: Path, tmp_path: Path) -> Path:
    """A template of few files that git knows, as the real one is known."""
    root = shutil.copytree(small_template, tmp_path / "repository")
    for command in (["init", "--quiet"], ["add", "--all"]):
        subprocess.run(["git", *command], cwd=root, check=True)
    return root


@contextmanager
def following(repository: Path, project: Path) -> Iterator[queue.Queue[str]]:
    """Follow the template; what the catalogue's file says whenever tests would run."""
    seen: queue.Queue[str] = queue.Queue()
    stop = threading.Event()
    arguments = (Profile("small", "worker"), repository, project)
    run = lambda path: seen.put((path / "catalog.txt").read_text())  # noqa: E731
    thread = threading.Thread(target=follow, args=(*arguments, run, stop), daemon=True)
    thread.start()
    try:
        yield seen
    finally:
        stop.set()
        thread.join(SECONDS)
        assert not thread.is_alive()


def test_a_saved_file_is_rendered_and_tested_at_once(
    repository: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    source = repository / "template" / "worker" / "catalog.txt.jinja"
    with following(repository, tmp_path / "small") as seen:
        first = seen.get(timeout=SECONDS)
        assert "# yours" in first
        source.write_text(source.read_text() + "{{ nobody_defined_this }}\n")
        with pytest.raises(queue.Empty):
            seen.get(timeout=5)
        source.write_text(first + "# saved: {{ project_name }}\n")
        assert seen.get(timeout=SECONDS).endswith("# saved: Profile small\n")
    assert "does not render: UndefinedError: 'nobody_defined_this' is undefined" in capfd.readouterr().out


def test_only_what_differs_is_written_and_what_tools_made_stays(tmp_path: Path) -> None:
    def rendered(**files: str) -> Path:
        folder = tmp_path / "rendered"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        for name, text in files.items():
            (folder / name).write_text(text)
        return folder

    project = tmp_path / "project"
    assert take_over(rendered(one="1", two="2", three="3"), project) == ["one", "three", "two"]
    (project / "made_by_a_tool").touch()
    before = (project / "one").stat().st_mtime_ns
    assert take_over(rendered(one="1", two="changed"), project) == ["two", "three"]
    assert {path.name for path in project.iterdir()} == {"one", "two", "made_by_a_tool"}
    assert (project / "one").stat().st_mtime_ns == before


def test_a_profile_that_is_not_there_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["no-such-profile"])
    assert "fastapi-demo" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("runtime", "files"),
    [
        ("fastapi", ["tests/billing/test_time.py"]),
        ("worker", ["test/settings.test.ts"]),
    ],
)
def test_the_projects_own_tests_run(runtime: str, files: list[str], template: Path, tmp_path: Path) -> None:
    from tests.support.render import render

    project = render(Profile(f"watched-{runtime}", runtime), template, tmp_path / "app", None)
    assert own_tests(project, files) == 0
    (project / files[0]).write_text("assert 1 == 2\n" if runtime == "fastapi" else "throw new Error('x');\n")
    assert own_tests(project, files) != 0
