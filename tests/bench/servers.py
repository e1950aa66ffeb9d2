"""What is measured, started the same way each: a generated app, or a handler to compare it with."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Generator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tests.bench.effort import progress
from tests.catalogues import CATALOGUES
from tests.polar_server import PolarServer
from tests.support import apps, deliveries, node
from tests.support.process import free_port, run, server
from tests.support.render import TOKEN, render, template_copy

BASELINES = {"readme": "(a) SDK README, no store", "plain": "(b) a commit each write", "bare": "(c) verify + 1 insert"}
LABELS = {**BASELINES, "app": "**generated app**"}
BASELINE_FOLDER = Path(__file__).parent / "baselines"


@dataclass(frozen=True)
class Server:
    """A server that runs; `group` is the id of its process group."""

    base: str
    group: int
    database_url: str
    store: Path


class Projects:
    """Generated projects, each made and installed when first asked for."""

    def __init__(self, root: Path, polar_url: str) -> None:
        self._root = root
        self._polar_url = polar_url
        self._template = template_copy(root / "template")
        self._made: dict[tuple[str, str], Path] = {}

    def of(self, variant: apps.Variant, kind: str = "app") -> Path:
        """The project of a variant; for a baseline of the Worker a copy of it with another entry point."""
        if variant.runtime != "worker":
            kind = "app"
        name = variant.profile("shop").name
        if (name, kind) not in self._made:
            self._made[name, kind] = self._app(variant) if kind == "app" else self._copy(variant, kind)
        return self._made[name, kind]

    def _app(self, variant: apps.Variant) -> Path:
        profile = variant.profile("shop")
        progress(f"generating {profile.name}")
        project = render(profile, self._template, self._root / "projects" / profile.name, self._polar_url)
        apps.install(variant, project)
        return project

    def _copy(self, variant: apps.Variant, kind: str) -> Path:
        project = self.of(variant)
        copy = project.with_name(f"{project.name}-{kind}")
        shutil.copytree(project, copy, symlinks=True)
        shutil.copy(BASELINE_FOLDER / f"worker_{kind}.ts", copy / "src" / "index.ts")
        return copy


@contextmanager
def projects() -> Generator[tuple[Projects, Path]]:
    """A place for projects, and a folder for what belongs to runs; both are gone afterwards, and all servers too."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # so that what was started is ended
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder, PolarServer(CATALOGUES["shop"]()) as polar:
        yield Projects(Path(folder), polar.url), Path(folder)


def new_settings() -> dict[str, str]:
    """Settings with fresh secrets; nobody listens where Polar would be."""
    return {
        "POLAR_ACCESS_TOKEN": TOKEN,
        "POLAR_WEBHOOK_SECRET": deliveries.new_secret("standard"),
        "AUTH_JWT_SECRET": secrets.token_hex(32),
        "POLAR_SERVER": "sandbox",
        "POLAR_BASE_URL": f"http://127.0.0.1:{free_port()}",
    }


@contextmanager
def running(
    kind: str, variant: apps.Variant, project: Path, folder: Path, settings: Mapping[str, str]
) -> Generator[Server]:
    """Start the app, or a baseline, as users start the app, on a store below `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        url = "" if variant.runtime == "worker" else apps.database_url(variant, folder, stack)
        yield stack.enter_context(serving(kind, variant, project, folder, settings, url))


@contextmanager
def undisturbed(
    kind: str, variant: apps.Variant, project: Path, folder: Path, settings: Mapping[str, str]
) -> Generator[Server]:
    """The same; but a Worker without what wrangler puts before it in development, which takes longer than it does."""
    if variant.runtime != "worker":
        with running(kind, variant, project, folder, settings) as started_app:
            yield started_app
        return
    folder.mkdir(parents=True, exist_ok=True)
    bundled = project / "node_modules" / ".bin" / "wrangler", "deploy", "--dry-run", "--outdir", folder / "bundle"
    run(bundled, cwd=project, env=environment(variant, {}), timeout=120)
    port = free_port()
    base = f"http://127.0.0.1:{port}"
    options = ["--port", str(port), "--persist-to", folder / "store", "--migrations", project / "migrations"]
    command = [node.NODE, BASELINE_FOLDER / "worker_serve.mjs", folder / "bundle" / "index.js", *options]
    env = environment(variant, {**settings, "APP_URL": base})
    with server(command, cwd=project, env=env, url=f"{base}/healthz", log=folder / f"{kind}.log") as process:
        yield Server(base, process.pid, "", folder / "store")


@contextmanager
def serving(
    kind: str, variant: apps.Variant, project: Path, folder: Path, settings: Mapping[str, str], database_url: str
) -> Generator[Server]:
    """The same on a store that is there."""
    port = free_port()
    base = f"http://127.0.0.1:{port}"
    with ExitStack() as stack:
        process = stack.enter_context(
            server(
                command(kind, variant, port, folder),
                cwd=project,
                env=environment(variant, {**settings, "APP_URL": base, "DATABASE_URL": database_url}),
                url=f"{base}/healthz",
                log=folder / f"{kind}.log",
            )
        )
        yield Server(base, process.pid, database_url, folder / "store")


def command(kind: str, variant: apps.Variant, port: int, folder: Path) -> list[str | Path]:
    """What starts the app, or a baseline."""
    if variant.runtime == "worker":
        return [node.NODE, "scripts/dev.ts", "--port", str(port), "--persist-to", folder / "store"]
    serving: list[str | Path] = ["python", BASELINE_FOLDER / "serving.py"]
    programs: dict[str, list[str | Path]] = {
        "app": ["dev"],
        "readme": [*serving, "fastapi_readme:create_app"],
        "plain": [*serving, "fastapi_handlers:create_plain", "--migrate"],
        "bare": [*serving, "fastapi_handlers:create_bare", "--migrate"],
    }
    return ["uv", "run", "--no-sync", *programs[kind], "--port", str(port), "--workers", str(variant.processes)]


def environment(variant: apps.Variant, settings: Mapping[str, str]) -> dict[str, str]:
    """The environment that it is started in."""
    if variant.runtime == "worker":
        return node.environment(**settings)
    return {**{name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}, **settings}


@contextmanager
def started(command: Sequence[str | Path], cwd: Path, env: Mapping[str, str], log: Path) -> Generator[int]:
    """Start a command and end it afterwards; yields its process group at once, whether it answers or not."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            [str(word) for word in command],
            cwd=cwd,
            env=dict(env),
            stdout=output,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            yield process.pid
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait(timeout=10)
