"""`replay`: applies stored events once more, or has Polar deliver them once more."""

import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated

import typer

from app.billing import inbox, repository
from app.billing.commands.audit import audit
from app.billing.commands.console import (
    AsJson,
    Refused,
    Yes,
    bad,
    confirm,
    end_interrupted,
    good,
    interruptible,
    progress,
    show,
)
from app.billing.commands.polar import OperatorPolar
from app.billing.commands.project import open_project, polar_of
from app.billing.context import Billing
from app.billing.read import mapping, text
from app.billing.reconcile import PolarGone
from app.billing.time import DAY, HOUR, MINUTE, to_iso, to_micros
from app.reactions import reactions as own_reactions

UNITS = {"m": MINUTE, "h": HOUR, "d": DAY}
DONE = {"processed", "ignored", "redelivered"}


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
    with open_project() as billing:
        events = _at_polar(billing, choice) if from_polar else _in_inbox(billing, choice)
        if reactions and events:
            confirm(f"Replay {len(events)} event(s), and run your reactions to them?", yes=yes)
        if events:
            with billing.database.write() as connection:
                audit(connection, "replay", str(choice))
        with interruptible() as interrupted:
            results = list(_replay(billing, events, interrupted, from_polar=from_polar, reactions=reactions))
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


def _in_inbox(billing: Billing, choice: Choice) -> dict[str, str]:
    """Return the types of the events by id; empty for a named one whose body is not there, or not any more."""
    with billing.database.read() as connection:
        rows = repository.events_to_replay(connection, choice.ids, choice.types, choice.since, failed=choice.failed)
    return dict.fromkeys(choice.ids, "") | {row.webhook_id: row.type for row in rows}


def _at_polar(billing: Billing, choice: Choice) -> dict[str, str]:
    """Return the types of the events by id; empty for a named one."""
    polar = polar_of(billing)
    if choice.ids:
        return dict.fromkeys(choice.ids, "")
    query: dict[str, object] = {"endpoint_id": _own_endpoint(polar, billing.settings.app_url)}
    if choice.types:
        query["event_type"] = list(choice.types)
    if choice.since is not None:
        query["start_timestamp"] = to_iso(choice.since)
    if choice.failed:
        query["succeeded"] = False
    attempts = [mapping(delivery, "webhook_event") for delivery in polar.deliveries(query)]
    wanted = [event for event in reversed(attempts) if not (choice.failed and event.get("succeeded") is True)]
    return {str(event["id"]): text(event, "type") or "" for event in wanted}


def _own_endpoint(polar: OperatorPolar, app_url: str) -> str:
    """Return the id of our webhook endpoint: an organization may have others, of other apps."""
    address = f"{app_url}/webhooks/polar"
    for endpoint in polar.endpoints():
        if str(endpoint.get("url")).rstrip("/") == address:
            return str(endpoint["id"])
    raise Refused(f"Polar has no webhook endpoint for {address}.")


def _replay(
    billing: Billing, events: dict[str, str], interrupted: Callable[[], bool], *, from_polar: bool, reactions: bool
) -> Iterator[dict[str, str]]:
    for webhook_id, kind in progress(events.items(), "Replaying", len(events)):
        if from_polar:
            outcome = _redeliver(polar_of(billing), webhook_id)
        else:
            handlers = own_reactions if reactions else None
            outcome = str(inbox.replay(billing.database, webhook_id, time.time_ns() // 1000, handlers) or "missing")
        yield {"webhook_id": webhook_id, "type": kind, "outcome": outcome}
        if interrupted():
            return


def _redeliver(polar: OperatorPolar, webhook_id: str) -> str:
    try:
        polar.redeliver(webhook_id)
    except PolarGone:
        return "missing"
    return "redelivered"
