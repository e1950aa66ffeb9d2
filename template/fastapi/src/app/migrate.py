"""Brings the database up to date: all branches of the migrations, in one transaction.

Any number of processes may do so at once: one migrates, the others wait and find nothing to do.
"""

from functools import cache
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from app.database import Database

FOLDER = Path(__file__).parent / "migrations"


def upgrade(url: str) -> None:
    """Apply the migrations that are missing."""
    database = Database.from_url(url)
    try:
        with database.write() as connection:
            config = make_config()
            config.attributes["connection"] = connection
            command.upgrade(config, "heads")
    finally:
        database.close()


def is_current(connection: Connection) -> bool:
    """Whether no migration is missing."""
    return set(MigrationContext.configure(connection).get_current_heads()) == _heads()


def make_config() -> Config:
    """Return Alembic's configuration; the same as in alembic.ini, wherever the package is installed."""
    config = Config()
    config.set_main_option("script_location", str(FOLDER).replace("%", "%%"))
    folders = (FOLDER / "billing", FOLDER / "versions")
    config.set_main_option("path_separator", "newline")
    config.set_main_option("version_locations", "\n".join(str(folder) for folder in folders).replace("%", "%%"))
    return config


@cache
def _heads() -> frozenset[str]:
    return frozenset(ScriptDirectory.from_config(make_config()).get_heads())
