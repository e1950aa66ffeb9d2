"""The database: whether it answers, and has the tables that the migrations make."""

from collections.abc import Iterator

from sqlalchemy import Connection, inspect
from sqlalchemy.engine import Inspector
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.sql.schema import Table

from app.billing.doctor.examination import Examination, Found
from app.billing.doctor.skipped import Skipped
from app.billing.tables import metadata
from app.migrate import is_current


def store_unreachable(x: Examination) -> Iterator[Found]:
    """Ask for nothing but an answer."""
    try:
        with x.billing.database.read() as connection:
            inspect(connection).get_table_names()
    except (SQLAlchemyError, OSError):
        yield Found("database", "does not answer a query")


def migrations_missing(x: Examination) -> Iterator[Found]:
    """Compare the migrations that were applied with those of the project."""
    try:
        with x.billing.database.read() as connection:
            current = is_current(connection)
    except (SQLAlchemyError, OSError):
        raise Skipped("The database does not answer.") from None
    if not current:
        yield Found("database", "not all migrations are applied")


def schema_drift(x: Examination) -> Iterator[Found]:
    """Compare tables, columns and indexes with those that the code was written for."""
    with x.reading() as connection:
        yield from _drift(connection)


def _drift(connection: Connection) -> Iterator[Found]:
    inspector = inspect(connection)
    there = set(inspector.get_table_names())
    for name, table in sorted(metadata.tables.items()):
        if name not in there:
            yield Found(name, "the table is missing")
            continue
        yield from _columns(inspector, table)
        yield from _indexes(inspector, table)


def _columns(inspector: Inspector, table: Table) -> Iterator[Found]:
    there = {column["name"] for column in inspector.get_columns(table.name)}
    for name in sorted(set(table.columns.keys()) ^ there):
        what = "the column is of no migration" if name in there else "the column is missing"
        yield Found(f"{table.name}.{name}", what)


def _indexes(inspector: Inspector, table: Table) -> Iterator[Found]:
    there = {tuple(index["column_names"]) for index in inspector.get_indexes(table.name)}
    wanted = {tuple(column.name for column in index.columns) for index in table.indexes}
    for columns in sorted(wanted - there):
        yield Found(table.name, f"the index on {', '.join(columns)} is missing")
