"""Starts the tool of another version through uv."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Generator, Sequence
from contextlib import contextmanager

from copier_polar.console import Refused, note
from copier_polar.generation import last_line

STDERR = "COPIER_POLAR_STDERR"  # tells the tool the number of the real stderr
STARTED = b"\x06"  # what the tool writes first, where that variable is set


def tool(wanted: str, name: str, arguments: Sequence[str]) -> int:
    """Run the tool that `uvx --from` finds there, and return its exit code.

    What uv prints is held back. Raises Refused where the tool does not start.
    """
    uv = shutil.which("uv")
    if uv is None:
        raise Refused("uv is not installed, and it starts the tool of the new version: https://docs.astral.sh/uv/.")
    note(f"Starting the tool of {name}; it is fetched first where it is new …")
    real = os.dup(2)
    try:
        with _interrupts_left_to_it():
            process = subprocess.Popen(
                [uv, "tool", "run", "--from", wanted, "copier-polar", *arguments],
                stderr=subprocess.PIPE,
                pass_fds=(real,),
                env={**os.environ, STDERR: str(real)},
            )
            _, said = process.communicate()
    finally:
        os.close(real)
    if STARTED not in said:
        why = last_line(said.decode(errors="replace")) or f"uv ends with {process.returncode}"
        raise Refused(f"The tool of {name} does not start: {why}")
    return process.returncode if process.returncode >= 0 else 128 - process.returncode


@contextmanager
def _interrupts_left_to_it() -> Generator[None]:
    """Go on on Ctrl-C: it reaches what was started too, which ends and says so."""
    before = signal.signal(signal.SIGINT, lambda _signal, _frame: None)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
