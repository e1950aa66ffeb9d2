"""Alembic's environment, for the command line and for `app.migrate`.

Your own tables: add their metadata below. The first migration of your own begins a branch:
`uv run alembic revision -m "..." --autogenerate --head base --branch-label app \
    --version-path src/app/migrations/versions`; those after it say `--head app@head`.
"""

import os

from alembic import context
from dotenv import load_dotenv
from sqlalchemy import Connection

from app.billing.dialect import lock
from app.billing.tables import metadata as billing_metadata
from app.database import Database

target_metadata = [billing_metadata]


def migrate(connection: Connection) -> None:
    """Bring the database of a connection up to date, in its transaction; one process at a time."""
    lock(connection, "migrations")
    context.configure(
        connection=connection,
        target_metadata=target_metadata,
        render_as_batch=True,  # SQLite alters a table by copying it
        transactional_ddl=True,
        transaction_per_migration=False,
    )
    with context.begin_transaction():
        context.run_migrations()


given = context.config.attributes.get("connection")
if given is not None:
    migrate(given)
else:
    load_dotenv()
    database = Database.from_url(os.environ.get("DATABASE_URL") or context.config.get_main_option("sqlalchemy.url", ""))
    with database.write() as opened:
        migrate(opened)
    database.close()
