"""The operating commands of a generated project, called as its user calls them: in one runtime, or in both at once."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import shutil
import signal
import sqlite3
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from copier_polar.cli import CALLED_AS
from copier_polar.console import SAME_PRESS_SECONDS
from copier_polar.project import CALL
from tests.operations.polar_operations import PolarOperations
from tests.support import apps, deliveries, node
from tests.support.process import free_port
from tests.support.render import ROOT, TOKEN

TIMEOUT = 120
WEBHOOK_SECRET = deliveries.new_secret("standard")
JWT_SECRET = "0123456789abcdefghijklmnopqrstuvwxyz"
_D1 = "store/v3/d1/miniflare-D1DatabaseObject"


@dataclass(frozen=True)
class Ran:
    """A command that ended: its exit code and what it printed, without what differs between two projects."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The document that `--json` printed."""
        return json.loads(self.out)


@dataclass
class Side:
    """A generated project with a store and a Polar of its own."""

    variant: apps.Variant
    project: Path
    folder: Path
    polar: PolarOperations
    port: int = field(default_factory=free_port)
    more: dict[str, str] = field(default_factory=dict)  # settings that a test adds

    @property
    def base(self) -> str:
        """The address of the app, while it is served."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def call(self) -> str:
        """How commands begin in this project."""
        return CALL[self.variant.runtime]

    @property
    def settings(self) -> dict[str, str]:
        """The settings of the app and of the commands alike."""
        return {
            "POLAR_ACCESS_TOKEN": TOKEN,
            "POLAR_WEBHOOK_SECRET": WEBHOOK_SECRET,
            "POLAR_SERVER": "sandbox",
            "POLAR_BASE_URL": self.polar.url,
            "APP_URL": self.base,
            "AUTH_JWT_SECRET": JWT_SECRET,
            **self.more,
        }

    @property
    def database(self) -> Path:
        """The SQLite file of the store, which D1 is on one's own machine too."""
        if self.variant.runtime == "fastapi":
            return self.folder / "billing.sqlite3"
        (file,) = (path for path in (self.folder / _D1).glob("*.sqlite") if path.name != "metadata.sqlite")
        return file

    def run(self, *command: str, stored: bool = True, **settings: str) -> Ran:
        """Call a command to its end; `stored` for one that reaches the store."""
        started, environment = self._called(command, stored)
        done = subprocess.run(
            started,
            cwd=ROOT,
            env={**environment, **self.settings, "NO_COLOR": "1", **settings},
            stdin=subprocess.DEVNULL,
            timeout=TIMEOUT,
            capture_output=True,
            text=True,
            check=False,
        )
        return Ran(done.returncode, self.plain(done.stdout), self.plain(done.stderr))

    def on_terminal(self, *command: str, stored: bool = True, typed: str = "") -> Ran:
        """Call a command on a terminal of its own, and type a line when it asks; all that it printed is in `out`."""
        started, environment = self._called(command, stored)
        environment |= {"TERM": "xterm-256color", "COLUMNS": "200"}
        plain = {name: value for name, value in environment.items() if name not in ("NO_COLOR", "FORCE_COLOR", "CI")}
        ours, theirs = pty.openpty()
        with subprocess.Popen(
            started,
            cwd=ROOT,
            env={**plain, **self.settings},
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # so that Ctrl-C reaches it
        ) as process:
            os.close(theirs)
            printed = b""
            # The end of a terminal is an error on Linux.
            with suppress(OSError), os.fdopen(ours, "r+b", buffering=0) as screen:
                while piece := screen.read(4096):
                    printed += piece
                    if typed and b"[y/N]: " in printed:
                        screen.write(f"{typed}\n".encode())
                        typed = ""
            process.wait(TIMEOUT)
        return Ran(process.returncode, self.plain(printed.decode(errors="replace")), "")

    def interrupted(self, ready: threading.Event, *command: str, stored: bool = True, presses: int = 1) -> Ran:
        """Call a command, and press Ctrl-C when it is so far: as on a terminal, for the command and all it started."""
        started, environment = self._called(command, stored)
        with subprocess.Popen(
            started,
            cwd=ROOT,
            env={**environment, **self.settings, "NO_COLOR": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # as a terminal; a script may ignore it
        ) as process:
            try:
                assert ready.wait(TIMEOUT), f"{command} did not come that far"
                for _ in range(presses):
                    os.killpg(process.pid, signal.SIGINT)
                    time.sleep(2 * SAME_PRESS_SECONDS)
                out, err = process.communicate(timeout=TIMEOUT)
            finally:
                process.kill()
        return Ran(process.returncode, self.plain(out), self.plain(err))

    def sql(self, statement: str, values: Sequence[object] = ()) -> list[dict[str, Any]]:
        """Run SQL on the store, which has the same tables in both runtimes."""
        with closing(sqlite3.connect(self.database, timeout=30)) as connection:
            connection.row_factory = sqlite3.Row
            rows = [dict(row) for row in connection.execute(statement, values)]
            connection.commit()
            return rows

    @contextmanager
    def serving(self) -> Generator[str]:
        """The app on this store, as its start command starts it; yields its address."""
        url = f"sqlite:///{self.database}" if self.variant.runtime == "fastapi" else ""
        settings = {name: value for name, value in self.settings.items() if name != "APP_URL"}  # known by the port
        with apps.started(self.variant, self.project, self.folder, settings, self.port, url):
            yield self.base

    def plain(self, text: str) -> str:
        """A text without what differs: the addresses, the folders, and how a command begins."""
        named = {"{app}": self.base, "{polar}": self.polar.url, "{folder}": str(self.folder), "{billing}": self.call}
        for name, mine in named.items():
            text = text.replace(mine, name)
        return text

    def _called(self, command: Sequence[str], stored: bool) -> tuple[list[str], dict[str, str]]:
        """The tool of this repository with a command, and its environment, as the project's launcher has them."""
        tool = [sys.executable, "-m", "copier_polar", "--project", str(self.project)]
        if self.variant.runtime == "fastapi":
            database = {"DATABASE_URL": f"sqlite:///{self.database}", CALLED_AS: self.call}
            return [*tool, *command], {**apps.python_environment(), **database}
        target = ["--persist-to", str(self.folder / "store")] if stored else []
        end = command.index("--") if "--" in command else len(command)
        return [*tool, *command[:end], *target, *command[end:]], node.environment(**{CALLED_AS: self.call})


@dataclass
class Pair:
    """The same project in both runtimes."""

    worker: Side
    fastapi: Side

    @property
    def sides(self) -> tuple[Side, Side]:
        """Both of them."""
        return self.worker, self.fastapi

    def both(self, *command: str, code: int = 0, stored: bool = True, **settings: str) -> Ran:
        """Call a command in both at once, and return what both said: the same code and output, JSON key for key."""
        with ThreadPoolExecutor(2) as pool:
            runs = list(pool.map(lambda side: side.run(*command, stored=stored, **settings), self.sides))
        worker, fastapi = runs
        said = "\n".join(f"{ran.code}\n{ran.out}\n{ran.err}" for ran in runs)
        assert (worker.code, fastapi.code) == (code, code), said
        if "--json" in command and worker.out:
            assert worker.json == fastapi.json, said
        assert worker.out == fastapi.out, said
        return worker

    def sql(self, statement: str, values: Sequence[object] = ()) -> list[dict[str, Any]]:
        """Run SQL on both stores; both give the same rows."""
        worker, fastapi = (side.sql(statement, values) for side in self.sides)
        assert worker == fastapi
        return worker


def migrated(variant: apps.Variant, project: Path, folder: Path, polar: PolarOperations) -> Side:
    """A side with an up-to-date, empty store below `folder`, made by the project's own command."""
    side = Side(variant, project, folder, polar)
    folder.mkdir(parents=True)
    ran = side.run("migrate")
    assert ran.code == 0, ran.out + ran.err
    return side


def copied(side: Side, folder: Path, polar: PolarOperations) -> Side:
    """The same project on a copy of the store."""
    shutil.copytree(side.folder, folder)
    return Side(side.variant, side.project, folder, polar)


def now_us() -> int:
    """This instant in microseconds, as the store has them."""
    return time.time_ns() // 1000
