"""Statements made once, as the driver takes them: SQLAlchemy's way there takes longer than the database does."""

from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import Connection, Insert, Update

from app.billing.dialect import DIALECT, Rows, Step, send


class Prepared:
    """A statement that is compiled once. `key` names the value that tells its row, `columns` those that it inserts."""

    def __init__(self, name: str, statement: Insert | Update, key: str, columns: Iterable[str] | None = None) -> None:
        compiled = statement.compile(dialect=DIALECT, column_keys=None if columns is None else list(columns))
        assert compiled.positiontup is not None
        self._name = name
        self._table = str(statement.table)
        self._key = key
        self._sql = str(compiled)
        self._order = compiled.positiontup
        self._constants = compiled.params
        self._returns = tuple(column.name for column in statement.exported_columns)

    def step(self, values: Mapping[str, Any], name: str | None = None) -> Step:
        """Return the statement with these values; under a name of its own where several are run together."""
        known = {**self._constants, **values}
        row = (self._table, known.get(self._key))
        return Step(name or self._name, row, self._sql, [known[each] for each in self._order], self._returns)


def run(connection: Connection, steps: Iterable[Step]) -> Rows:
    """Run statements that touch one row each and return it, by name. One may refer to what those before have written.

    What the driver raises is raised as it is: a `DriverError`.
    """
    waiting = list(steps)
    return send(connection.connection.driver_connection, waiting) if waiting else {}
