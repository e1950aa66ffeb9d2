"""A folder in which one project after another stands, and pytest there.

What a project has as the one before it keeps its file and time: what Python made of it is not made again.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Self

from tests.support.python_env import PythonEnvironment
from tests.variants.processes import quick_folder

_RUNNER = Path(__file__).with_name("forked_pytest.py")
_MODULE = re.compile(r"^(?:from|import) ([a-z][\w.]*)", re.MULTILINE)
_COMPILED = "__pycache__"


def put(project: Path, stage: Path) -> None:
    """Make the stage have the project's files and no others."""
    files = {path.relative_to(project): path for path in _files(project)}
    for path in list(_files(stage)):
        if path.relative_to(stage) not in files:
            path.unlink()
    for name, source in files.items():
        target = stage / name
        if not target.is_file() or target.read_bytes() != source.read_bytes():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
            for compiled in target.parent.glob(f"{_COMPILED}/{target.stem}.*"):
                compiled.unlink()  # Python takes it for current where second and size are the same


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.is_file() and _COMPILED not in path.parts)


class Pytest:
    """pytest on a stage, for one project after another; see `forked_pytest.py`."""

    def __init__(self, python: PythonEnvironment, stage: Path, modules: Iterable[str]) -> None:
        self.stage = stage
        self.output = stage.with_suffix(".txt")
        stage.mkdir(parents=True)
        env = python.variables(stage)
        env.pop("PYTHONDONTWRITEBYTECODE", None)  # the next project has most of it too
        env["TMPDIR"] = quick_folder()
        with self.output.with_suffix(".log").open("w") as log:
            self.process = subprocess.Popen(
                [python.bin("python"), _RUNNER],
                env=env,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        self._send(sorted(modules))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.process.communicate()

    def _send(self, what: object) -> None:
        assert self.process.stdin
        self.process.stdin.write(json.dumps(what) + "\n")
        self.process.stdin.flush()

    def failure(self, project: Path, files: list[str], timeout: int) -> str | None:
        """What pytest says where these tests of the project fail."""
        assert self.process.stdout
        put(project, self.stage)
        self.output.unlink(missing_ok=True)
        self._send({"project": str(self.stage), "files": files, "output": str(self.output), "timeout": timeout})
        code = self.process.stdout.readline().strip()
        if code == "0":
            return None
        log = self.output if self.output.exists() else self.output.with_suffix(".log")
        return f"pytest {' '.join(files)} ended with {code or 'no code'}:\n{log.read_text(errors='replace')[-4000:]}"


def modules_of_others(projects: Iterable[Path]) -> set[str]:
    """What the code of these imports that is not their own."""
    texts = {path.read_text() for project in projects for path in project.rglob("*.py")}
    names = {name for text in texts for name in _MODULE.findall(text)}
    return {"pytest", *(name for name in names if name.split(".")[0] not in ("app", "tests"))}
