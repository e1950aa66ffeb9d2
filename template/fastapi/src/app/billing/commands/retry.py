"""`retry`: applies all events now that could not be applied, those included that are not tried again by themselves."""

import time
from argparse import ArgumentParser, Namespace

from app.billing.inbox import Outcome, retry_all
from app.database import Database
from app.settings import load_settings

HELP = "apply the events that failed once more, now"


def arguments(_parser: ArgumentParser) -> None:
    """Declare no arguments."""


def run(_options: Namespace) -> None:
    """Try them, and say what became of each. Fails where one still cannot be applied."""
    database = Database.from_url(load_settings().database_url)
    outcomes = retry_all(database, time.time_ns() // 1000)
    database.close()
    for webhook_id, outcome in outcomes.items():
        print(f"{webhook_id} {outcome}")
    if not {Outcome.FAILED, Outcome.UNAVAILABLE}.isdisjoint(outcomes.values()):
        raise SystemExit("Some still cannot be applied.")
    print(f"Tried again: {len(outcomes)} event(s).")
