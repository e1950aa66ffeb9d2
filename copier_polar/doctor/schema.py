"""Tables, columns and indexes: those that a project was written for, and those of its database."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from copier_polar.bridge import Bridge
from copier_polar.doctor.skipped import Skipped
from copier_polar.facts import Facts

Statement = tuple[str, Mapping[str, object]]
Query = Callable[..., list[list[dict[str, Any]]]]

# A question that every database of the kind can answer.
ANY_TABLE = {
    "sqlite": "SELECT name FROM sqlite_master LIMIT 1",
    "postgres": "SELECT table_name AS name FROM information_schema.tables LIMIT 1",
}
TABLES = "SELECT name FROM sqlite_master WHERE type = 'table' AND name LIKE 'billing@_%' ESCAPE '@' ORDER BY name"
COLUMNS = "SELECT name FROM pragma_table_info(:of)"
INDEXES = "SELECT name FROM pragma_index_list(:of) WHERE origin = 'c'"
INDEXED = "SELECT name FROM pragma_index_info(:of) ORDER BY seqno"
POSTGRES_COLUMNS = """
    SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = current_schema()
"""
POSTGRES_INDEXES = """
    SELECT t.relname AS table_name, i.relname AS index_name, a.attname AS column_name
    FROM pg_index x JOIN pg_class t ON t.oid = x.indrelid JOIN pg_class i ON i.oid = x.indexrelid
    JOIN pg_namespace n ON n.oid = t.relnamespace
    CROSS JOIN LATERAL unnest(x.indkey) WITH ORDINALITY AS k(number, position)
    JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = k.number
    WHERE n.nspname = current_schema() AND NOT x.indisprimary ORDER BY t.relname, i.relname, k.position
"""


@dataclass(frozen=True)
class Table:
    """What is compared of a table: the names of its columns, and the columns of each index."""

    columns: frozenset[str]
    indexes: frozenset[tuple[str, ...]]


def tables_wanted(facts: Facts, folder: Path) -> dict[str, Table]:
    """Return the tables that the code was written for: the app names them, or its migrations make them."""
    if facts.tables is None:
        return _made_by(sorted((folder / "migrations").glob("*.sql")))
    return {
        name: Table(frozenset(table["columns"]), frozenset(map(tuple, table["indexes"])))
        for name, table in facts.tables.items()
    }


def tables_there(bridge: Bridge, database: str, names: Sequence[str]) -> dict[str, Table]:
    """Return those of these tables that the database has."""
    if database == "postgres":
        return _in_postgres(bridge, names)
    return _in_sqlite(bridge.batch, names)


def _made_by(migrations: Sequence[Path]) -> dict[str, Table]:
    """Apply migrations to a database in memory."""
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.row_factory = sqlite3.Row
        for file in migrations:
            try:
                connection.executescript(file.read_text(encoding="utf-8"))
            except sqlite3.Error:
                raise Skipped(f"The migration {file.name} cannot be applied to an empty database here.") from None

        def query(*statements: Statement) -> list[list[dict[str, Any]]]:
            return [[dict(row) for row in connection.execute(sql, values)] for sql, values in statements]

        return _in_sqlite(query, [row["name"] for row in query((TABLES, {}))[0]])


def _in_sqlite(query: Query, names: Sequence[str]) -> dict[str, Table]:
    """Ask for columns and indexes, and then for the columns of the indexes: three questions in all, for D1 is far."""
    if not names:
        return {}
    columns = _named(query, COLUMNS, names)
    there = [name for name in names if columns[name]]  # no table is without columns
    indexes = _named(query, INDEXES, there)
    indexed = _named(query, INDEXED, [index for name in there for index in indexes[name]])
    return {
        name: Table(frozenset(columns[name]), frozenset(tuple(indexed[index]) for index in indexes[name]))
        for name in there
    }


def _named(query: Query, sql: str, of: Sequence[str]) -> dict[str, list[str]]:
    """Run a statement for each of these, and return the names that each gives."""
    answers = query(*((sql, {"of": name}) for name in of)) if of else []
    return {name: [row["name"] for row in rows] for name, rows in zip(of, answers, strict=True)}


def _in_postgres(bridge: Bridge, names: Sequence[str]) -> dict[str, Table]:
    found_columns, found_indexes = bridge.batch((POSTGRES_COLUMNS, {}), (POSTGRES_INDEXES, {}))
    columns: dict[str, set[str]] = defaultdict(set)
    for row in found_columns:
        columns[row["table_name"]].add(row["column_name"])
    indexes: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for row in found_indexes:
        indexes[row["table_name"]][row["index_name"]].append(row["column_name"])
    return {
        name: Table(frozenset(columns[name]), frozenset(map(tuple, indexes[name].values())))
        for name in names
        if name in columns
    }
