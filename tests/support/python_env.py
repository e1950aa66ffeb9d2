"""One Python environment for all generated FastAPI projects: what any of them depends on, installed once."""

from __future__ import annotations

import hashlib
import os
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from .node import CACHE
from .process import run


@dataclass(frozen=True)
class PythonEnvironment:
    """A virtual environment; the projects themselves are not installed in it."""

    root: Path

    def bin(self, name: str) -> Path:
        """An executable of an installed package."""
        return self.root / "bin" / name

    def variables(self, project: Path) -> dict[str, str]:
        """The environment of a process that works on a project."""
        plain = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
        path = os.pathsep.join([str(self.root / "bin"), os.environ["PATH"]])
        return {**plain, "PATH": path, "PYTHONPATH": str(project / "src"), "NO_COLOR": "1"}


def environment(projects: Iterable[Path]) -> PythonEnvironment:
    """Install what the projects depend on, once per set of versions."""
    wanted: set[str] = set()
    for project in projects:
        manifest = tomllib.loads((project / "pyproject.toml").read_text())
        wanted.update(manifest["project"]["dependencies"])
        wanted.update(manifest["dependency-groups"]["dev"])
    requirements = "\n".join(sorted(wanted)) + "\n"
    root = CACHE / f"fastapi-{hashlib.sha256(requirements.encode()).hexdigest()[:12]}"
    done = root / "installed"
    if not done.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        run(["uv", "venv", "--quiet", "--clear", root], cwd=CACHE, timeout=120)
        (root / "requirements.txt").write_text(requirements)
        install = [
            "uv",
            "pip",
            "install",
            "--quiet",
            "--python",
            root / "bin" / "python",
            "-r",
            root / "requirements.txt",
        ]
        run(install, cwd=CACHE, timeout=600)
        done.touch()
    return PythonEnvironment(root)
