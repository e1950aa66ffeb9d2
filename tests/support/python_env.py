"""One Python environment for all generated FastAPI projects: what any of them depends on, installed once."""

from __future__ import annotations

import hashlib
import os
import re
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.metadata import Distribution, distributions
from pathlib import Path

from .alone import alone
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
    return installed(wanted)


def installed(wanted: Iterable[str]) -> PythonEnvironment:
    """Install these, once per set of versions."""
    requirements = "\n".join(sorted(set(wanted))) + "\n"
    root = CACHE / f"fastapi-{hashlib.sha256(requirements.encode()).hexdigest()[:12]}"
    done = root / "installed"
    with alone(root):
        if not done.exists():
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


_NAME = re.compile(r"[A-Za-z0-9._-]+")


def unused(project: Path, python: PythonEnvironment) -> Iterator[str]:
    """Dependencies that no code imports, no tool's section or workflow names, and no other one takes as an extra."""
    manifest = tomllib.loads((project / "pyproject.toml").read_text())
    wanted = [*manifest["project"]["dependencies"], *manifest["dependency-groups"]["dev"]]
    names = [_normal(_NAME.match(each)[0]) for each in wanted]  # type: ignore[index]
    texts = [
        path.read_text() for pattern in ("*.py", "*.yml", "*.ini", "Dockerfile") for path in project.rglob(pattern)
    ]
    words = frozenset(map(_normal, manifest["tool"])).union(*map(_words, texts))
    installed = _installed(python.root)
    extras = frozenset[str]().union(*(_extras(installed[name]) for name in names))
    for name in names:
        if not words & {name, *_modules(installed[name])} and name not in extras:
            yield f"pyproject.toml: {name} is used by nothing"


@cache
def _words(text: str) -> frozenset[str]:
    return frozenset(_normal(word) for word in re.findall(r"[\w-]+", text))


@cache
def _extras(package: Distribution) -> frozenset[str]:
    """What it takes as an extra, but for its own developers."""
    extras = [each for each in package.requires or () if "extra ==" in each]
    own = re.compile(r"extra == .(?:dev|test|docs?)")
    return frozenset(_normal(_NAME.match(each)[0]) for each in extras if not own.search(each))  # type: ignore[index]


@cache
def _modules(package: Distribution) -> frozenset[str]:
    return frozenset(_normal(path.parts[0]) for path in package.files or () if path.suffix in (".py", ".so"))


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower().removesuffix("-py")


@lru_cache
def _installed(root: Path) -> dict[str, Distribution]:
    site = next(root.glob("lib/python*/site-packages"))
    return {_normal(each.metadata["Name"]): each for each in distributions(path=[str(site)])}
