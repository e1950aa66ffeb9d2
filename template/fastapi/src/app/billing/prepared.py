"""Statements made once, as the driver takes them: SQLAlchemy's way there takes longer than the database does."""

from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.sql.dml import ReturningInsert, ReturningUpdate

from app.billing.dialect import DIALECT, Rows, Step, send

AnyReturning = ReturningInsert[*tuple[Any, ...]] | ReturningUpdate[*tuple[Any, ...]]


class Prepared:
    """A statement that is compiled once; `names` are those of its values."""

    def __init__(self, statement: AnyReturning, names: Iterable[str]) -> None:
        names = list(names)
        compiled = statement.compile(dialect=DIALECT, column_keys=names)
        assert compiled.positiontup is not None
        self._table = str(statement.table)
        self._sql = str(compiled)
        self._order = compiled.positiontup
        self._constants = compiled.construct_params(dict.fromkeys(names))

    def step(self, values: Mapping[str, Any]) -> Step:
        """Return the statement with these values."""
        known = {**self._constants, **values}
        return Step(self._table, self._sql, [known[name] for name in self._order])


def run(connection: Connection, steps: Iterable[Step]) -> list[Rows]:
    """Run statements of which none needs the answer of another, and each touches one row; return their rows.

    What the driver raises is raised as it is: a `DriverError`.
    """
    waiting = list(steps)
    return send(connection.connection.driver_connection, waiting) if waiting else []
