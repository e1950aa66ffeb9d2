"""What is stuck, told every minute in the log as long as it is: something for an alarm to listen to."""

import logging

from sqlalchemy import func, select

from app.billing.log import log_line
from app.billing.tables import reactions, webhook_events
from app.database import Database


def report_stuck(db: Database) -> bool:
    """Log how many events failed or are dead, and how many reactions are dead. Whether there was anything to tell."""
    state = webhook_events.c.state
    events = select(
        func.count().filter(state == "failed").label("failed"),
        func.count().filter(state == "dead").label("dead"),
        select(func.count()).where(reactions.c.state == "dead").scalar_subquery().label("dead_reactions"),
    ).where(state.in_(["failed", "dead"]))
    with db.read() as connection:
        stuck = connection.execute(events).one()._asdict()
    if not any(stuck.values()):
        return False
    log_line("inbox", level=logging.ERROR, **stuck)
    return True
