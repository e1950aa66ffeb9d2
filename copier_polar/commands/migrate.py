"""`migrate`: brings the database up to date."""

from __future__ import annotations

from copier_polar.console import AsJson, PersistTo, Remote, good, note, show
from copier_polar.project import chosen, open_bridge, store_of

LONGEST_SECONDS = 6 * 3600.0  # a large table takes its time, and half a migration is worse


def migrate(remote: Remote = False, persist_to: PersistTo = None, as_json: AsJson = False) -> None:
    """Bring the database up to date.

    The migrations that are missing are applied, yours too. Run it before a new version starts.

    Example: uv run billing migrate
    """
    with open_bridge(store_of(remote, persist_to)) as opened:
        if chosen().runtime == "fastapi":
            opened.require_settings()
            note(f"Target: {opened.facts.target}")
        opened.bridge.call("migrate", seconds=LONGEST_SECONDS)
    show({"current": True}, [good("The database is up to date.")], as_json=as_json)
