"""Alembic's environment, for the command line and for `app.migrate`.

Your own tables: add their metadata below. The first migration of your own begins a branch:
`uv run alembic revision -m "..." --autogenerate --head base --branch-label app \
    --version-path src/app/migrations/versions`; those after it say `--head app@head`.
"""

import os

from alembic import context
from sqlalchemy import Connection

from app.billing.dialect import lock
from app.billing.tables import metadata as billing_metadata
from app.cli import load_environment
from app.database import Database
from app.settings import Settings
from app.values import trimmed

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
    load_environment()
    default = str(Settings.model_fields["database_url"].default)
    database = Database.from_url(trimmed(os.environ.get("DATABASE_URL", "")) or default)
    with database.write() as opened:
        migrate(opened)
    database.close()
