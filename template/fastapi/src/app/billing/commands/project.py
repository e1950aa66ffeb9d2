"""What the commands work on: this project's own settings, database and app."""

from collections.abc import Generator
from contextlib import contextmanager

from sqlalchemy.engine import make_url

from app.billing.commands.console import Refused, note
from app.billing.commands.polar import OperatorPolar
from app.billing.context import Billing
from app.billing.errors import BillingError
from app.billing.health import check_health
from app.cli import load_environment
from app.main import make_billing
from app.settings import Settings, load_settings


@contextmanager
def open_project(*, whatever_state: bool = False) -> Generator[Billing]:
    """Open settings, database and Polar as the app has them; `create_app(billing=…, background=False)` makes the app.

    Says first which database it is. Raises Refused when that does not answer or misses migrations, unless the command
    is there for such a database too; SettingsError when the settings are unfit.
    """
    settings = open_settings()
    note(f"Target: {make_url(settings.database_url).render_as_string(hide_password=True)}")
    billing = make_billing(settings, OperatorPolar)
    try:
        if not whatever_state:
            _check(billing)
        yield billing
    finally:
        if billing.polar is not None:
            billing.polar.close()
        billing.database.close()


def open_settings() -> Settings:
    """Read the settings, as the app does. Raises SettingsError."""
    load_environment()
    return load_settings()


def polar_of(billing: Billing) -> OperatorPolar:
    """Return Polar's API. Raises Refused for demo products: they do not exist at Polar."""
    if not isinstance(billing.polar, OperatorPolar):
        raise Refused("These are demo products: there is no Polar to ask. POLAR_SERVER names one.")
    return billing.polar


def _check(billing: Billing) -> None:
    try:
        check_health(billing.database)
    except BillingError:
        raise Refused("The database does not answer or is not up to date; `migrate` brings it up to date.") from None
