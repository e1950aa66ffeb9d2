"""Whether the app can work: its database answers, and has the tables of this version."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

from sqlalchemy.exc import SQLAlchemyError

from app.billing.errors import BillingError
from app.database import Database
from app.migrate import is_current

# Who asks waits no longer, whatever the database does.
ANSWER_SECONDS = 0.9

# Their own, so that it waits for no other route.
_threads = ThreadPoolExecutor(4, thread_name_prefix="health")


async def check_health(database: Database) -> None:
    """Answer 503 when the database does not answer or migrations are missing; say nothing else about it."""
    checked = asyncio.get_running_loop().run_in_executor(_threads, _is_usable, database)
    try:
        usable = await asyncio.wait_for(checked, ANSWER_SECONDS)
    except TimeoutError as error:
        raise BillingError("unavailable") from error
    if not usable:
        raise BillingError("unavailable")


def _is_usable(database: Database) -> bool:
    try:
        with database.read() as connection:
            return is_current(connection)
    except (SQLAlchemyError, OSError):
        return False
