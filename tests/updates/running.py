"""Updated projects, really run: their own start command on a store that stays, and what is in that store."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Generator
from contextlib import closing, contextmanager
from pathlib import Path

from tests.support import node
from tests.support.process import free_port, run, server
from tests.support.python_env import PythonEnvironment

_OF_WRANGLER = ("_cf_", "d1_", "sqlite_")


class RunningWorker:
    """A Worker on a local D1."""

    def __init__(self, store: Path) -> None:
        self.store = store

    @contextmanager
    def started(self, project: Path) -> Generator[str]:
        """`npm run dev`: it migrates, then listens; yields its address."""
        link_modules(project)
        port = free_port()
        command = [node.NODE, "scripts/dev.ts", "--port", str(port), "--persist-to", self.store]
        url = f"http://127.0.0.1:{port}"
        env = node.environment(APP_URL=url)
        with server(command, cwd=project, env=env, url=f"{url}/healthz", log=self.store.with_suffix(".log")):
            yield url

    def migrate(self, project: Path) -> None:
        """Apply the migrations that the store has not yet."""
        link_modules(project)
        wrangler = project / "node_modules" / ".bin" / "wrangler"
        command = [wrangler, "d1", "migrations", "apply", "DB", "--local", "--persist-to", self.store]
        run(command, cwd=project, env=node.environment(), timeout=120)

    @property
    def database(self) -> Path:
        """The file that D1 is, in development."""
        found = [file for file in self.store.rglob("*.sqlite") if file.name != "metadata.sqlite"]
        (only,) = [file for file in found if "D1" in str(file)]
        return only


class RunningFastAPI:
    """A FastAPI app on a SQLite file."""

    def __init__(self, store: Path, python: PythonEnvironment) -> None:
        self.database = store.with_suffix(".sqlite3")
        self.python = python

    @contextmanager
    def started(self, project: Path) -> Generator[str]:
        """`uv run dev`: it migrates, then listens; yields its address."""
        port = free_port()
        command = [self.python.bin("python"), "-c", "from app.cli import dev; dev()", "--port", str(port)]
        url = f"http://127.0.0.1:{port}"
        with server(
            command,
            cwd=project,
            env=self._environment(project),
            url=f"{url}/healthz",
            log=self.database.with_suffix(".log"),
        ):
            yield url

    def migrate(self, project: Path) -> None:
        """Apply the migrations that the store has not yet."""
        command = [self.python.bin("python"), "-m", "alembic", "upgrade", "heads"]
        run(command, cwd=project, env=self._environment(project), timeout=60)

    def _environment(self, project: Path) -> dict[str, str]:
        return {**self.python.variables(project), "DATABASE_URL": f"sqlite:///{self.database}"}


def tables(database: Path) -> set[str]:
    """Names of the tables in a SQLite file, but for those that the tools keep for themselves."""
    with closing(sqlite3.connect(database)) as connection:
        names = [name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
    return {name for name in names if not name.startswith(_OF_WRANGLER) and name != "alembic_version"}


def execute(database: Path, statement: str) -> list[tuple[object, ...]]:
    """Run one statement on a SQLite file; its rows."""
    with closing(sqlite3.connect(database)) as connection, connection:
        return list(connection.execute(statement))


def link_modules(project: Path) -> None:
    """Give a Worker the packages that its manifest names."""
    modules = project / "node_modules"
    if not modules.exists():
        with (project / ".git" / "info" / "exclude").open("a") as ignored:
            ignored.write("node_modules\n")  # the project's own line means a folder, and this is a link
        modules.symlink_to(node.workspace(json.loads((project / "package.json").read_text())).root / "node_modules")
