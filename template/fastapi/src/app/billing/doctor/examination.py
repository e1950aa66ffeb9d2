"""What is examined: the project's own parts, opened when a check first needs them, and what Polar says about them."""

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from urllib.parse import urlsplit

from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from app.billing.context import Billing
from app.billing.doctor.polar_side import PolarSide
from app.billing.doctor.skipped import Skipped
from app.migrate import is_current
from app.settings import LOOPBACK


@dataclass(frozen=True)
class Found:
    """One thing that is wrong: where, and what exactly. Ids and names of settings, never personal data or secrets."""

    place: str
    what: str


class Examination:
    """The project under examination. What cannot be had is `Skipped`."""

    def __init__(self, billing: Billing | None, problem: str = "") -> None:
        self._billing = billing
        self.problem = problem

    @property
    def billing(self) -> Billing:
        """The parts of the app, with settings that are fit."""
        if self._billing is None:
            raise Skipped("The settings are not fit.")
        return self._billing

    @property
    def is_local(self) -> bool:
        """Whether the app is only reachable on this machine."""
        return urlsplit(self.billing.settings.app_url).hostname in LOOPBACK

    @property
    def webhook_url(self) -> str:
        """The address that Polar calls."""
        return f"{self.billing.settings.app_url}/webhooks/polar"

    @contextmanager
    def reading(self) -> Generator[Connection]:
        """A database that can be read, with all tables."""
        if not self._is_current:
            raise Skipped("The database does not answer or misses migrations.")
        with self.billing.database.read() as connection:
            yield connection

    @cached_property
    def polar(self) -> PolarSide:
        """Polar's API."""
        settings = self.billing.settings
        if settings.polar_server == "demo":
            raise Skipped("POLAR_SERVER is demo: there is no Polar to ask.")
        assert settings.polar_access_token is not None
        return PolarSide(settings.polar_access_token.get_secret_value(), settings.polar_server, settings.polar_base_url)

    @cached_property
    def _is_current(self) -> bool:
        try:
            with self.billing.database.read() as connection:
                return is_current(connection)
        except (SQLAlchemyError, OSError):
            return False
