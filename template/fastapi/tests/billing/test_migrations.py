"""Migrations make the tables that the code means, from any number of processes at once."""

import multiprocessing
from concurrent.futures import ProcessPoolExecutor

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import inspect

from app.billing.tables import metadata
from app.database import Database
from app.migrate import is_current, make_config, upgrade


def test_migrations_match_the_tables(database: Database) -> None:
    with database.read() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []


def test_an_empty_database_is_not_current(empty_url: str) -> None:
    database = Database.from_url(empty_url)
    with database.read() as connection:
        assert not is_current(connection)
    upgrade(empty_url)
    with database.read() as connection:
        assert is_current(connection)
    database.close()


def test_several_processes_migrate_at_once(empty_url: str) -> None:
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(3, mp_context=spawn) as pool:
        list(pool.map(upgrade, [empty_url] * 3))
    database = Database.from_url(empty_url)
    with database.read() as connection:
        assert is_current(connection)
        assert set(metadata.tables) <= set(inspect(connection).get_table_names())
    database.close()


def test_down_and_up_again(empty_url: str) -> None:
    upgrade(empty_url)
    database = Database.from_url(empty_url)
    config = make_config()
    with database.write() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "billing@base")
        assert not set(metadata.tables) & set(inspect(connection).get_table_names())
    upgrade(empty_url)
    database.close()


def test_billing_is_a_branch_of_its_own() -> None:
    script = ScriptDirectory.from_config(make_config())
    revision = script.get_revision("billing@head")
    assert revision is not None
    assert revision.path.replace("\\", "/").split("/")[-2] == "billing"
