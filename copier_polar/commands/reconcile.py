"""`reconcile`: compares customers with Polar, and corrects what differs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Annotated, Any

import typer

from copier_polar.audit import audit
from copier_polar.bridge import Bridge, PolarGoneProblem, PolarProblem, UnreadableProblem
from copier_polar.console import (
    AsJson,
    PersistTo,
    Refused,
    Remote,
    bad,
    end_interrupted,
    good,
    interruptible,
    note,
    progress,
    show,
    warn,
)
from copier_polar.instants import to_iso
from copier_polar.polar import Pace, Polar, patiently, polar_of
from copier_polar.project import open_project, store_of

MAX_FAILURES_IN_A_ROW = 3
LEAST_CALLS = 4  # what the app asks Polar about a customer, where it does not say how much it was
PERSONAL = {"email", "name"}

_LIVING = "SELECT id FROM billing_customers WHERE deleted_us IS NULL"

Result = dict[str, Any]
Compare = Callable[[Bridge, str], tuple[Result, int]]


def reconcile(
    user: Annotated[str | None, typer.Option("--user", help="Only this user.")] = None,
    after: Annotated[str, typer.Option("--after", help="Go on after this customer.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what differs, and write nothing.")] = False,
    remote: Remote = False,
    persist_to: PersistTo = None,
    as_json: AsJson = False,
) -> None:
    """Correct what differs from Polar.

    For all customers: those known here, and those that only Polar knows. It takes four calls or more a customer, no
    faster than Polar allows, and tells where to go on when it is stopped. None of your reactions run. Ends with 1 where
    a customer could not be compared.

    Example: uv run billing reconcile --dry-run --user user_1
    """
    with open_project(store_of(remote, persist_to)) as opened, polar_of(opened) as polar:
        ids = _customers(opened.bridge, polar, user, after)
        if not dry_run:
            opened.bridge.batch(audit("reconcile", user or "all"))
        with interruptible() as interrupted:
            results, compared = _compare_all(opened.bridge, polar.pace, ids, interrupted, dry_run=dry_run)
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


def _following(ids: Sequence[str], compared: int, results: Sequence[Result], after: str) -> str | None:
    """Return the last customer before those that are to be compared, which are the last that failed too."""
    failed = {result["customer"] for result in results if result["outcome"] == "failed"}
    while compared and ids[compared - 1] in failed:
        compared -= 1
    return ids[compared - 1] if compared else after or None


def _customers(bridge: Bridge, polar: Polar, user: str | None, after: str) -> list[str]:
    """Return the ids of the customers that are meant, in the order in which they are compared."""
    rows = bridge.sql(_LIVING) if user is None else bridge.sql(f"{_LIVING} AND external_id = :user", user=user)
    known = {str(row["id"]) for row in rows}
    known |= {str(item["id"]) for item in polar.customers()} if user is None else _of_user(polar, user)
    if not known and user is not None:
        raise Refused("No customer of this user is known, here or at Polar.")
    return sorted(customer_id for customer_id in known if customer_id > after)


def _of_user(polar: Polar, user: str) -> set[str]:
    try:
        return {str(polar.external_customer(user)["id"])}
    except PolarGoneProblem:
        return set()


def _compare_all(
    bridge: Bridge, pace: Pace, ids: Sequence[str], interrupted: Callable[[], bool], *, dry_run: bool
) -> tuple[list[Result], int]:
    """Return what differed or failed, and how many were compared until it ended or was stopped."""
    results: list[Result] = []
    compared = failures = 0
    for result in _compare_each(bridge, pace, ids, _drift if dry_run else _correct):
        compared += 1
        failures = failures + 1 if result["outcome"] == "failed" else 0
        if result["outcome"] != "equal":
            results.append(result)
        if interrupted() or failures == MAX_FAILURES_IN_A_ROW:
            break
    return results, compared


def _compare_each(bridge: Bridge, pace: Pace, ids: Sequence[str], compare: Compare) -> Iterator[Result]:
    calls = 0
    for customer_id in progress(ids, "Reconciling", len(ids)):
        pace.wait(calls)
        try:
            found, calls = patiently(lambda customer_id=customer_id: compare(bridge, customer_id))  # type: ignore[misc]
        except (PolarProblem, UnreadableProblem) as problem:
            note(f"{customer_id}: {problem}")
            found, calls = {"outcome": "failed"}, LEAST_CALLS
        yield {"customer": customer_id, **found}


def _correct(bridge: Bridge, customer_id: str) -> tuple[Result, int]:
    report = bridge.call("reconcile", customer=customer_id)
    found = {"outcome": report["outcome"]}
    if report["outcome"] == "written":
        found["rows"] = report["rows"]
    return found, report["calls"]


def _drift(bridge: Bridge, customer_id: str) -> tuple[Result, int]:
    report = bridge.call("drift", customer=customer_id)
    differences, calls = report["differences"], report["calls"]
    if differences is None:
        return {"outcome": "gone"}, calls
    if not differences:
        return {"outcome": "equal"}, calls
    return {"outcome": "differs", "differences": [_shown(difference) for difference in differences]}, calls


def _shown(difference: Mapping[str, Any]) -> Result:
    """Return a difference as it may be printed: instants to be read, and no personal data."""
    column = difference["column"]
    here, polar = (_value(column, difference[side]) for side in ("here", "polar"))
    field = column and column.removesuffix("_us")
    return {"kind": difference["kind"], "id": difference["id"], "field": field, "here": here, "polar": polar}


def _value(column: str | None, value: object) -> object:
    if column in PERSONAL:
        return "(personal)"
    if isinstance(value, bool):
        return int(value)
    return to_iso(value) if column is not None and column.endswith("_us") and isinstance(value, int) else value


def _lines(result: Result) -> list[Any]:
    colour = {"failed": bad, "written": good}.get(result["outcome"], warn)
    rows = f", {result['rows']} row(s)" if "rows" in result else ""
    return [
        colour(f"{result['customer']} {result['outcome']}{rows}"),
        *(_line(difference) for difference in result.get("differences", [])),
    ]


def _line(difference: Result) -> str:
    which = f"  {difference['kind']} {difference['id']}"
    if difference["field"] is None:
        return f"{which} is missing here"
    here, polar = ("-" if value is None else value for value in (difference["here"], difference["polar"]))
    return f"{which} {difference['field']}: {here}, at Polar {polar}"
