"""What is emptied after a while: bodies of events and payloads of reactions. Ids and keys stay, they tell repeats."""

from app.billing import repository
from app.billing.time import DAY, MINUTE
from app.database import Database

BATCH = 500
LIMITS_KEPT = 10 * MINUTE


def clean_up(db: Database, retention_days: int, now: int) -> bool:
    """Empty what is older than the retention, events some at a time. Returns whether more is probably due."""
    before = now - retention_days * DAY
    with db.write() as connection:
        emptied = repository.empty_old_bodies(connection, before, BATCH)
        repository.empty_bodies_of_deleted(connection, BATCH)
        repository.empty_done_reactions(connection, before)
        repository.delete_old_limits(connection, now - LIMITS_KEPT)
    return emptied == BATCH
