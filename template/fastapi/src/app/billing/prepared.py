"""Statements made once, as the driver takes them: SQLAlchemy's way there takes longer than the database does."""

from collections.abc import Collection, Iterable, Mapping
from typing import Any, NamedTuple

from sqlalchemy import Connection, Executable
from sqlalchemy.sql import ClauseElement

from app.billing.dialect import DIALECT, send

Rows = list[tuple[Any, ...]]


class Step(NamedTuple):
    """A statement with its values, ready to be run."""

    sql: str
    values: Mapping[str, Any]


class Prepared:
    """A statement that is compiled once. `names` are those of its values: the columns of an insert, or parameters."""

    def __init__(self, statement: Executable, names: Collection[str]) -> None:
        assert isinstance(statement, ClauseElement)
        compiled = statement.compile(dialect=DIALECT, column_keys=list(names))
        self._sql = str(compiled)
        self._constants = dict(compiled.construct_params(dict.fromkeys(names)) or {})

    def step(self, values: Mapping[str, Any]) -> Step:
        """Return the statement with these values."""
        return Step(self._sql, {**self._constants, **values})


def run(connection: Connection, steps: Iterable[Step]) -> list[Rows]:
    """Run statements one after the other, without waiting between them where the database allows it; return their rows.

    None of them may need an answer of another. What the driver raises is raised as it is: a `DriverError`.
    """
    waiting = list(steps)
    return send(connection.connection.driver_connection, waiting) if waiting else []
