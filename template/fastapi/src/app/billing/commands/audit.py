"""Who did what by command, and when: a row in the database, written with the change itself, and a line on stderr."""

import getpass
import json
import os
import sys
import time

from sqlalchemy import Connection

from app.billing.tables import audit as audit_table


def audit(connection: Connection, command: str, subject: str) -> None:
    """Record a command in the transaction of what it changes; the subject is an id, never personal data."""
    entry = announce(command, subject)
    connection.execute(audit_table.insert().values(at_us=time.time_ns() // 1000, **entry))


def announce(command: str, subject: str) -> dict[str, str]:
    """Say on stderr who did what; alone it is for what is changed at Polar only. Return the entry."""
    entry = {"command": command, "subject": subject, "actor": _actor()}
    print(json.dumps({"event": "audit", **entry}, separators=(",", ":"), ensure_ascii=False), file=sys.stderr)
    return entry


def _actor() -> str:
    """Return the operating system's name of the user; a container may have none for its number."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"
