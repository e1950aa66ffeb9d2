"""`copier` as a user runs it, watched: what it says, down to debug logs, and every process that it starts."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

_PROCESSES = Path("/proc")
_POLL = 0.02  # seconds
_TIMEOUT = 120
# All logging, and the arguments of every process that Python starts, are written to the standard error output.
_LOUD = """
import logging, sys
logging.basicConfig(level=logging.DEBUG, stream=sys.stderr)
sys.addaudithook(lambda event, details: event == "subprocess.Popen" and print("started", details[1], file=sys.stderr))
from copier.__main__ import CopierApp
CopierApp.run()
"""


@dataclass
class Run:
    """A run of the command, and what could be seen of it."""

    code: int
    said: str
    processes: set[str] = field(default_factory=set)  # command lines that were seen meanwhile, see `watch_for`


def copier_command(
    *arguments: str | Path, environment: Mapping[str, str] | None = None, watch_for: Sequence[str] = ()
) -> Run:
    """Run `copier` with nobody there to answer; the environment has no token and no server unless given.

    Command lines of any process of the machine that have one of the texts of `watch_for` are in the result.
    """
    plain = {name: value for name, value in os.environ.items() if not name.startswith("POLAR_")}
    with _watched(watch_for) as seen:
        done = subprocess.run(
            [sys.executable, "-c", _LOUD, *map(str, arguments)],
            env={**plain, "NO_COLOR": "1", **(environment or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT,
            check=False,
        )
    return Run(done.returncode, done.stdout + done.stderr, seen)


def data_file(folder: Path, data: Mapping[str, Any]) -> Path:
    """Answers as a file for `--data-file`."""
    file = folder / "data.yml"
    file.write_text(yaml.safe_dump(dict(data)))
    return file


@contextmanager
def _watched(texts: Sequence[str]) -> Generator[set[str]]:
    """The command lines with one of the texts, of all processes meanwhile; none where the system has no /proc."""
    seen: set[str] = set()
    ended = threading.Event()

    def look() -> None:
        while not ended.wait(_POLL):
            for process in _PROCESSES.glob("[0-9]*/cmdline"):
                try:
                    line = process.read_bytes().replace(b"\0", b" ").decode(errors="replace")
                except OSError:
                    continue  # it has ended
                if any(text in line for text in texts):
                    seen.add(line)

    watcher = threading.Thread(target=look, daemon=True)
    watcher.start()
    try:
        yield seen
    finally:
        ended.set()
        watcher.join(timeout=5)
