"""Whether the app can work: its database answers, and has the tables of this version."""

from sqlalchemy.exc import SQLAlchemyError

from app.billing.errors import BillingError
from app.database import Database
from app.migrate import is_current


def check_health(database: Database) -> None:
    """Answer 503 when the database cannot be reached or migrations are missing; say nothing else about it."""
    try:
        with database.read() as connection:
            current = is_current(connection)
    except (SQLAlchemyError, OSError) as error:
        raise BillingError("unavailable") from error
    if not current:
        raise BillingError("unavailable")
