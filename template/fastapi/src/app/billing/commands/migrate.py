"""`migrate`: brings the database up to date."""

from app.billing.commands.console import AsJson, good, show
from app.billing.commands.project import open_project
from app.migrate import upgrade


def migrate(as_json: AsJson = False) -> None:
    """Bring the database up to date.

    The migrations that are missing are applied, yours too. Run it before a new version starts.

    Example: uv run billing migrate
    """
    with open_project(whatever_state=True) as billing:
        upgrade(billing.settings.database_url)
    show({"current": True}, [good("The database is up to date.")], as_json=as_json)
