"""What is examined: the project, asked over its bridge when a check first needs it, and what Polar says about it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Self

from copier_polar.bridge import Bridge, DemoProblem, SettingsProblem, StoreProblem
from copier_polar.doctor.polar_side import PolarSide
from copier_polar.doctor.skipped import Skipped
from copier_polar.facts import Facts, SettingsFacts
from copier_polar.polar import polar_of
from copier_polar.project import Opened
from copier_polar.webhook_secret import NAME, split


@dataclass(frozen=True)
class Found:
    """One thing that is wrong: where, and what exactly. Ids and names of settings, never personal data or secrets."""

    place: str
    what: str


class Examination:
    """The project under examination. What cannot be had is `Skipped`."""

    def __init__(self, opened: Opened) -> None:
        self.opened = opened

    def __enter__(self) -> Self:
        """Use it in a `with` block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the connections to Polar, where there are any."""
        if "polar" in self.__dict__:
            self.polar.close()

    @property
    def bridge(self) -> Bridge:
        """The bridge into the project."""
        return self.opened.bridge

    @property
    def facts(self) -> Facts:
        """What the project says of itself, whatever its settings are."""
        return self.opened.facts

    @property
    def problem(self) -> str:
        """What is wrong with the settings; empty where they are fit."""
        return self.facts.settings.problem

    @property
    def settings(self) -> SettingsFacts:
        """The settings, which are fit."""
        self.require_fit()
        return self.facts.settings

    @property
    def webhook_secrets(self) -> list[str]:
        """The secrets that the app verifies events with, as far as they are known here."""
        self.require_fit()
        secrets = split(self.opened.settings.get(NAME))
        if not secrets:
            raise Skipped(f"{NAME} is not in the environment of this command.")
        return secrets

    @property
    def is_local(self) -> bool:
        """Whether the app is only reachable on this machine."""
        return self.settings.is_local

    @property
    def webhook_url(self) -> str:
        """The address that Polar calls."""
        return f"{self.settings.app_url}/webhooks/polar"

    def require_fit(self) -> None:
        """Skip what asks the project: its settings are invalid."""
        if self.problem:
            raise Skipped("Invalid settings.")

    def store(self) -> Bridge:
        """Return the bridge to a database that can be read, with all tables."""
        self.require_fit()
        if not self._is_current:
            raise Skipped("The database does not answer or misses migrations.")
        return self.bridge

    @cached_property
    def polar(self) -> PolarSide:
        """Polar's API."""
        self.require_fit()
        try:
            return PolarSide(polar_of(self.opened))
        except DemoProblem:
            raise Skipped("POLAR_SERVER is demo: there is no Polar to ask.") from None
        except SettingsProblem:
            raise Skipped("POLAR_ACCESS_TOKEN is not in the environment of this command.") from None

    @cached_property
    def _is_current(self) -> bool:
        try:
            return bool(self.bridge.call("migrations")["current"])
        except StoreProblem:
            return False
