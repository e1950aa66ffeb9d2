"""`reconcile`: compares customers with Polar, and corrects what differs."""

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Annotated, Any

import typer

from app.billing import repository
from app.billing.commands.audit import audit
from app.billing.commands.console import (
    AsJson,
    Refused,
    bad,
    end_interrupted,
    good,
    interruptible,
    note,
    progress,
    show,
    warn,
)
from app.billing.commands.polar import OperatorPolar
from app.billing.commands.project import open_project, polar_of
from app.billing.context import Billing
from app.billing.polar import PolarApiError
from app.billing.read import Unreadable
from app.billing.reconcile import Difference, PolarGone, drift_of, reconcile_customer
from app.billing.time import to_iso

MAX_FAILURES_IN_A_ROW = 3
PERSONAL = {"email", "name"}


def reconcile(
    user: Annotated[str | None, typer.Option("--user", help="Only this user.")] = None,
    after: Annotated[str, typer.Option("--after", help="Go on after this customer.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what differs, and write nothing.")] = False,
    as_json: AsJson = False,
) -> None:
    """Correct what differs from Polar.

    For all customers: those known here, and those that only Polar knows. It takes four calls or more a customer, no
    faster than Polar allows, and tells where to go on when it is stopped. None of your reactions run. Ends with 1 where
    a customer could not be compared.

    Example: uv run billing reconcile --dry-run --user user_1
    """
    with open_project() as billing:
        ids = _customers(billing, user, after)
        if not dry_run:
            with billing.database.write() as connection:
                audit(connection, "reconcile", user or "all")
        with interruptible() as interrupted:
            results, compared = _compare_all(billing, ids, interrupted, dry_run=dry_run)
    failed = sum(result["outcome"] == "failed" for result in results)
    lines = [line for result in results for line in _lines(result)]
    verb = "Compared" if dry_run else "Reconciled"
    lines.append(f"{verb}: {compared} customer(s), {len(results) - failed} differed, {failed} failed.")
    is_stopped = compared < len(ids)
    following = _following(ids, compared, results, after) if is_stopped else None
    show({"compared": compared, "customers": results, "next": following}, lines, as_json=as_json)
    advice = f"Go on with --after {following}" if following else "Run it again."
    if is_stopped and interrupted():
        end_interrupted(compared, len(ids), advice)
    if is_stopped:
        note(f"Stopped after {compared} of {len(ids)}: three in a row failed. {advice}")
    if failed:
        raise typer.Exit(1)


def _following(ids: Sequence[str], compared: int, results: Sequence[dict[str, Any]], after: str) -> str | None:
    """Return the last customer before those that are to be compared, which are the last that failed too."""
    failed = {result["customer"] for result in results if result["outcome"] == "failed"}
    while compared and ids[compared - 1] in failed:
        compared -= 1
    return ids[compared - 1] if compared else after or None


def _customers(billing: Billing, user: str | None, after: str) -> list[str]:
    """Return the ids of the customers that are meant, in the order in which they are compared."""
    polar = polar_of(billing)
    with billing.database.read() as connection:
        known = repository.living_customers(connection, user)
    known |= {str(item["id"]) for item in polar.customers()} if user is None else _of_user(polar, user)
    if not known and user is not None:
        raise Refused("No customer of this user is known, here or at Polar.")
    return sorted(customer_id for customer_id in known if customer_id > after)


def _of_user(polar: OperatorPolar, user: str) -> set[str]:
    try:
        return {str(polar.external_customer(user)["id"])}
    except PolarGone:
        return set()


def _compare_all(
    billing: Billing, ids: Sequence[str], interrupted: Callable[[], bool], *, dry_run: bool
) -> tuple[list[dict[str, Any]], int]:
    """Return what differed or failed, and how many were compared until it ended or was stopped."""
    results: list[dict[str, Any]] = []
    compared = failures = 0
    for result in _compare_each(billing, ids, dry_run=dry_run):
        compared += 1
        failures = failures + 1 if result["outcome"] == "failed" else 0
        if result["outcome"] != "equal":
            results.append(result)
        if interrupted() or failures == MAX_FAILURES_IN_A_ROW:
            break
    return results, compared


def _compare_each(billing: Billing, ids: Sequence[str], *, dry_run: bool) -> Iterator[dict[str, Any]]:
    compare = _drift if dry_run else _correct
    for customer_id in progress(ids, "Reconciling", len(ids)):
        try:
            found = compare(billing, customer_id)
        except (PolarApiError, Unreadable) as error:
            note(f"{customer_id}: {error}")
            found = {"outcome": "failed"}
        yield {"customer": customer_id, **found}


def _correct(billing: Billing, customer_id: str) -> dict[str, Any]:
    report = reconcile_customer(billing.database, polar_of(billing), customer_id, time.time_ns() // 1000)
    return {"outcome": report.outcome} | ({"rows": report.written} if report.outcome == "written" else {})


def _drift(billing: Billing, customer_id: str) -> dict[str, Any]:
    differences = drift_of(billing.database, polar_of(billing), customer_id)
    if differences is None:
        return {"outcome": "gone"}
    if not differences:
        return {"outcome": "equal"}
    return {"outcome": "differs", "differences": [_shown(difference) for difference in differences]}


def _shown(difference: Difference) -> dict[str, object]:
    """Return a difference as it may be printed: instants to be read, and no personal data."""
    here, polar = (_value(difference.column, value) for value in (difference.here, difference.polar))
    field = difference.column and difference.column.removesuffix("_us")
    return {"kind": difference.kind, "id": difference.id, "field": field, "here": here, "polar": polar}


def _value(column: str | None, value: object) -> object:
    if column in PERSONAL:
        return "(personal)"
    if column is not None and column.endswith("_us") and isinstance(value, int):
        return to_iso(value)
    return int(value) if isinstance(value, bool) else value


def _lines(result: dict[str, Any]) -> list[Any]:
    colour = {"failed": bad, "written": good}.get(result["outcome"], warn)
    rows = f", {result['rows']} row(s)" if "rows" in result else ""
    return [
        colour(f"{result['customer']} {result['outcome']}{rows}"),
        *(_line(difference) for difference in result.get("differences", [])),
    ]


def _line(difference: dict[str, Any]) -> str:
    which = f"  {difference['kind']} {difference['id']}"
    if difference["field"] is None:
        return f"{which} is missing here"
    here, polar = ("-" if value is None else value for value in (difference["here"], difference["polar"]))
    return f"{which} {difference['field']}: {here}, at Polar {polar}"
