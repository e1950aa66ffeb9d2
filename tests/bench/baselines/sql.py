"""Statements on the database of a generated FastAPI app, with the Python of its project.

`python sql.py fill FILE` makes the tables and runs the statements of a file; `python sql.py plan USER` prints how the
database answers the app's own query of an access check, a step a line.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from app.billing.repository import PURCHASES
from app.migrate import upgrade
from sqlalchemy import Engine, create_engine


def main() -> None:
    """Run the command."""
    url = os.environ["DATABASE_URL"]
    engine = create_engine(url)
    if sys.argv[1] == "fill":
        upgrade(url)
        fill(engine, Path(sys.argv[2]).read_text())
    else:
        print("\n".join(plan(engine, sys.argv[2])))


def fill(engine: Engine, statements: str) -> None:
    """Run statements that end with a semicolon each."""
    with engine.begin() as connection:
        for statement in filter(str.strip, statements.split(";")):
            connection.exec_driver_sql(statement)


def plan(engine: Engine, user_id: str) -> list[str]:
    """The database's own account of the query."""
    query = PURCHASES.params(user_id=user_id).compile(engine, compile_kwargs={"literal_binds": True})
    explain = "EXPLAIN QUERY PLAN" if engine.dialect.name == "sqlite" else "EXPLAIN"
    with engine.connect() as connection:
        return [str(row[-1]) for row in connection.exec_driver_sql(f"{explain} {query}")]


if __name__ == "__main__":
    main()
