"""Limits per user. All users share what Polar allows us, so that one of them must not use it up."""

from app.billing import records
from app.billing.errors import BillingError
from app.database import Database

REQUESTS_PER_MINUTE = 10


def limit(database: Database, key: str, now: int) -> None:
    """Count a request, in the database and so for all processes, and answer 429 when there were too many."""
    with database.write() as connection:
        requests = records.count_request(connection, key, now)
    if requests > REQUESTS_PER_MINUTE:
        raise BillingError("rate_limited", headers={"Retry-After": "60"})
