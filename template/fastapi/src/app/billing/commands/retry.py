"""`retry`: applies the events once more that could not be applied."""

import time

import typer

from app.billing.commands.console import AsJson, bad, good, show
from app.billing.commands.project import open_project
from app.billing.inbox import Outcome, retry_all

STUCK = {Outcome.FAILED, Outcome.UNAVAILABLE}


def retry(as_json: AsJson = False) -> None:
    """Apply the events that failed once more.

    For when their cause is gone. Those are included that are not tried again by themselves. Ends with 1 where one still
    cannot be applied.

    Example: uv run billing retry
    """
    with open_project() as billing:
        outcomes = retry_all(billing.database, time.time_ns() // 1000)
    stuck = sum(outcome in STUCK for outcome in outcomes.values())
    lines = [(bad if outcome in STUCK else good)(f"{webhook_id} {outcome}") for webhook_id, outcome in outcomes.items()]
    result = {"events": [{"webhook_id": webhook_id, "outcome": outcome} for webhook_id, outcome in outcomes.items()]}
    show(result, [*lines, f"Tried again: {len(outcomes)} event(s), {stuck} still cannot be applied."], as_json=as_json)
    if stuck:
        raise typer.Exit(1)
