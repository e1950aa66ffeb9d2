"""`replay`: applies stored events once more, or has Polar deliver them once more."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Annotated, Any

import typer

from copier_polar.audit import Statement, audit
from copier_polar.bridge import Bridge, PolarGoneProblem
from copier_polar.console import (
    AsJson,
    PersistTo,
    Refused,
    Remote,
    Yes,
    bad,
    confirm,
    end_interrupted,
    good,
    interruptible,
    progress,
    show,
)
from copier_polar.instants import DAY, HOUR, MINUTE, to_iso, to_micros
from copier_polar.polar import Polar, polar_of
from copier_polar.project import open_project, store_of

UNITS = {"m": MINUTE, "h": HOUR, "d": DAY}
DONE = {"processed", "ignored", "redelivered"}
NAMES_A_STATEMENT = 50  # D1 takes 100 values in one

Again = Callable[[str], str]


@dataclass(frozen=True)
class Choice:
    """Which events are meant: those that failed, where nothing else is said."""

    ids: Sequence[str]
    types: Sequence[str]
    since: int | None
    failed: bool

    def __str__(self) -> str:
        """Say it in short."""
        since = [] if self.since is None else [f"since {to_iso(self.since)}"]
        return " ".join([*(["failed"] if self.failed else []), *self.ids, *self.types, *since])


def replay(
    ids: Annotated[list[str] | None, typer.Argument(metavar="[WEBHOOK_ID]...", help="Ids of events.")] = None,
    types: Annotated[list[str] | None, typer.Option("--type", help="Events of this type; may be repeated.")] = None,
    since: Annotated[
        str | None, typer.Option("--since", help="Events since then: 2026-11-01, an instant, or 30m, 12h, 7d ago.")
    ] = None,
    failed: Annotated[bool, typer.Option("--failed", help="Only those that failed.")] = False,
    from_polar: Annotated[
        bool, typer.Option("--from-polar", help="From Polar's delivery log instead of the inbox.")
    ] = False,
    reactions: Annotated[bool, typer.Option("--reactions", help="Run your reactions too.")] = False,
    yes: Yes = False,
    remote: Remote = False,
    persist_to: PersistTo = None,
    as_json: AsJson = False,
) -> None:
    """Apply events once more.

    Those that failed, unless ids, a type or a time choose others. From the inbox none of your reactions run, unless
    told so; what was reacted to already is not told again. From Polar, the app gets them as deliveries, and does with
    what it has not applied yet what it always does. Ends with 1 where an event could not be replayed.

    Example: uv run billing replay --type order.paid --since 7d
    """
    if from_polar and reactions:
        raise typer.BadParameter("with --from-polar the app itself reacts", param_hint="--reactions")
    if ids and (types or since or failed):
        raise typer.BadParameter("ids are meant as they are; leave out --type, --since and --failed")
    choice = Choice(ids or [], types or [], _instant(since), failed or not (ids or types or since))
    with ExitStack() as stack:
        opened = stack.enter_context(open_project(store_of(remote, persist_to)))
        if from_polar:
            events, again = _at_polar(stack.enter_context(polar_of(opened)), choice, opened.facts.settings.app_url)
        else:
            events, again = _in_inbox(opened.bridge, choice, reactions)
        if reactions and events:
            confirm(f"Replay {len(events)} event(s), and run your reactions to them?", yes=yes)
        if events:
            opened.bridge.batch(audit("replay", str(choice)))
        with interruptible() as interrupted:
            results = list(_replay(events, again, interrupted))
    stuck = sum(result["outcome"] not in DONE for result in results)
    lines = [
        (good if result["outcome"] in DONE else bad)(" ".join(part for part in result.values() if part))
        for result in results
    ]
    show({"events": results}, [*lines, f"Replayed: {len(results)} event(s), {stuck} failed."], as_json=as_json)
    if len(results) < len(events):
        end_interrupted(len(results), len(events), "Run it again: nothing is applied twice.")
    if stuck:
        raise typer.Exit(1)


def _instant(since: str | None) -> int | None:
    if since is None:
        return None
    if found := re.fullmatch(r"(\d{1,5})([mhd])", since, re.ASCII):
        return time.time_ns() // 1000 - int(found[1]) * UNITS[found[2]]
    moment = to_micros(f"{since}T00:00:00Z" if len(since) == len("2026-11-01") else since)
    if moment is None:
        raise typer.BadParameter("must be like 2026-11-01, 2026-11-01T12:00:00Z or 7d", param_hint="--since")
    return moment


def _replay(events: Mapping[str, str], again: Again, interrupted: Callable[[], bool]) -> Iterator[dict[str, str]]:
    for webhook_id, kind in progress(events.items(), "Replaying", len(events)):
        yield {"webhook_id": webhook_id, "type": kind, "outcome": again(webhook_id)}
        if interrupted():
            return


# From the inbox


def _in_inbox(bridge: Bridge, choice: Choice, reactions: bool) -> tuple[dict[str, str], Again]:
    """Return the types of the events by id, and what replays one.

    The type is empty for a named event whose body is not there, or not any more.
    """
    rows = [row for found in bridge.batch(*_statements(choice)) for row in found]
    rows.sort(key=lambda row: (row["received_us"], row["webhook_id"]))
    events = dict.fromkeys(choice.ids, "") | {row["webhook_id"]: row["type"] for row in rows}

    def again(webhook_id: str) -> str:
        return bridge.call("replay", webhook_id=webhook_id, reactions=reactions)["outcome"] or "missing"

    return events, again


def _statements(choice: Choice) -> Iterator[Statement]:
    """Return what reads the events that were chosen and still have their body."""
    chosen = "SELECT webhook_id, type, received_us FROM billing_webhook_events WHERE body IS NOT NULL"
    values: dict[str, Any] = {}
    if choice.since is not None:
        chosen += " AND received_us >= :since"
        values["since"] = choice.since
    if choice.failed:
        chosen += " AND state IN ('failed', 'dead')"
    column, names = ("webhook_id", choice.ids) if choice.ids else ("type", choice.types)
    if not names:
        yield chosen, values
    for start in range(0, len(names), NAMES_A_STATEMENT):
        named = {f"name{at}": name for at, name in enumerate(names[start : start + NAMES_A_STATEMENT])}
        yield f"{chosen} AND {column} IN ({', '.join(f':{name}' for name in named)})", values | named


# From Polar


def _at_polar(polar: Polar, choice: Choice, app_url: str | None) -> tuple[dict[str, str], Again]:
    """Return the types of the events by id, empty for a named one, and what has Polar deliver one."""

    def again(webhook_id: str) -> str:
        try:
            polar.redeliver(webhook_id)
        except PolarGoneProblem:
            return "missing"
        return "redelivered"

    if choice.ids:
        return dict.fromkeys(choice.ids, ""), again
    query: dict[str, object] = {"endpoint_id": _own_endpoint(polar, app_url)}
    if choice.types:
        query["event_type"] = list(choice.types)
    if choice.since is not None:
        query["start_timestamp"] = to_iso(choice.since)
    if choice.failed:
        query["succeeded"] = False
    attempts = [_event(delivery.get("webhook_event")) for delivery in polar.deliveries(query)]
    wanted = [event for event in reversed(attempts) if not (choice.failed and event.get("succeeded") is True)]
    return {str(event["id"]): str(event.get("type") or "") for event in wanted if "id" in event}, again


def _event(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _own_endpoint(polar: Polar, app_url: str | None) -> str:
    """Return the id of our webhook endpoint: an organization may have others, of other apps."""
    address = f"{app_url}/webhooks/polar"
    for endpoint in polar.endpoints():
        if str(endpoint.get("url")).rstrip("/") == address:
            return str(endpoint["id"])
    raise Refused(f"Polar has no webhook endpoint for {address}.")
