"""`migrate`: brings the database up to date, all branches. Several processes may do it at once."""

from argparse import ArgumentParser, Namespace

from app.migrate import upgrade
from app.settings import load_settings

HELP = "bring the database up to date"


def arguments(_parser: ArgumentParser) -> None:
    """Declare no arguments."""


def run(_options: Namespace) -> None:
    """Apply what is missing."""
    upgrade(load_settings().database_url)
