"""The database: whether it answers, and has the tables that the migrations make."""

from __future__ import annotations

from collections.abc import Iterator

from copier_polar.bridge import StoreProblem
from copier_polar.doctor.examination import Examination, Found
from copier_polar.doctor.schema import ANY_TABLE, Table, tables_there, tables_wanted
from copier_polar.doctor.skipped import Skipped


def store_unreachable(x: Examination) -> Iterator[Found]:
    """Ask for nothing but an answer."""
    x.require_fit()
    try:
        x.bridge.sql(ANY_TABLE["postgres" if x.facts.database == "postgres" else "sqlite"])
    except StoreProblem:
        yield Found("database", "does not answer a query")


def migrations_missing(x: Examination) -> Iterator[Found]:
    """Compare the migrations that were applied with those of the project."""
    x.require_fit()
    try:
        state = x.bridge.call("migrations")
    except StoreProblem:
        state = {"answers": False, "current": False}
    if not state["answers"]:
        raise Skipped("The database does not answer.")
    if not state["current"]:
        yield Found("database", "not all migrations are applied")


def schema_drift(x: Examination) -> Iterator[Found]:
    """Compare tables, columns and indexes with those that the code was written for."""
    bridge, wanted = x.store(), tables_wanted(x.facts, x.opened.project.folder)
    there = tables_there(bridge, x.facts.database, sorted(wanted))
    for name, table in sorted(wanted.items()):
        if name in there:
            yield from _difference(name, table, there[name])
        else:
            yield Found(name, "the table is missing")


def _difference(name: str, wanted: Table, there: Table) -> Iterator[Found]:
    for column in sorted(wanted.columns ^ there.columns):
        what = "the column is of no migration" if column in there.columns else "the column is missing"
        yield Found(f"{name}.{column}", what)
    for columns in sorted(wanted.indexes - there.indexes):
        yield Found(name, f"the index on {', '.join(columns)} is missing")
