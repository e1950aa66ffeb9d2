"""Who did what by command, and when: a row in the database, and a line on stderr."""

import getpass
import json
import os
import sys
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing, contextmanager

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from app.billing.commands.console import note
from app.billing.dialect import DriverError
from app.billing.tables import audit as audit_table
from app.database import Database

Record = Callable[[str, str], None]


def audit(connection: Connection, command: str, subject: str) -> None:
    """Record a command in the transaction of what it changes; the subject is an id, never personal data."""
    connection.execute(audit_table.insert().values(_row(command, subject)))


@contextmanager
def trail(database_url: str) -> Generator[Record]:
    """Record what is changed elsewhere, such as at Polar: told at once, and in the database when the block ends.

    Where the database cannot be reached, the change has happened all the same; that it has no row is said.
    """
    rows: list[Mapping[str, object]] = []
    try:
        yield lambda command, subject: rows.append(_row(command, subject))
    finally:
        if rows:
            _write(database_url, rows)


def announce(command: str, subject: str) -> dict[str, str]:
    """Say on stderr who did what; alone it is for what changes nothing. Return the entry."""
    entry = {"command": command, "subject": subject, "actor": _actor()}
    print(json.dumps({"event": "audit", **entry}, separators=(",", ":"), ensure_ascii=False), file=sys.stderr)
    return entry


def _row(command: str, subject: str) -> dict[str, object]:
    return {"at_us": time.time_ns() // 1000, **announce(command, subject)}


def _write(database_url: str, rows: Sequence[Mapping[str, object]]) -> None:
    try:
        with closing(Database.from_url(database_url)) as database, database.write() as connection:
            connection.execute(audit_table.insert(), rows)
    except (DBAPIError, DriverError, OSError):
        note("No row of this is in billing_audit: the database does not answer or is not up to date.")


def _actor() -> str:
    """Return the operating system's name of the user; a container may have none for its number."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"
