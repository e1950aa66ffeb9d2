"""Who did what by command, and when: a row in the database, and a line on stderr."""

from __future__ import annotations

import getpass
import json
import os
import sys
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager

from copier_polar.bridge import BridgeBroken, StoreProblem
from copier_polar.console import note
from copier_polar.project import Opened

Record = Callable[[str, str], None]
Statement = tuple[str, Mapping[str, object]]

_INSERT = "INSERT INTO billing_audit (at_us, command, subject, actor) VALUES (:at, :command, :subject, :actor)"


def audit(command: str, subject: str) -> Statement:
    """Record a command: the statement belongs in the batch of what it changes. The subject is never personal data."""
    return _INSERT, {"at": time.time_ns() // 1000, **announce(command, subject)}


@contextmanager
def trail(opened: Opened) -> Generator[Record]:
    """Record what is changed elsewhere, such as at Polar: told at once, and in the database when the block ends.

    Where the database cannot be reached, the change has happened all the same; that it has no row is said.
    """
    rows: list[Statement] = []
    try:
        yield lambda command, subject: rows.append(audit(command, subject))
    finally:
        if rows:
            _write(opened, rows)


def announce(command: str, subject: str) -> dict[str, str]:
    """Say on stderr who did what; alone it is for what changes nothing. Return the entry."""
    entry = {"command": command, "subject": subject, "actor": _actor()}
    print(json.dumps({"event": "audit", **entry}, separators=(",", ":"), ensure_ascii=False), file=sys.stderr)
    return entry


def _write(opened: Opened, rows: list[Statement]) -> None:
    try:
        opened.bridge.batch(*rows)
    except (StoreProblem, BridgeBroken):
        note("No row of this is in billing_audit: the database does not answer or is not up to date.")


def _actor() -> str:
    """Return the operating system's name of the user; a container may have none for its number."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"
