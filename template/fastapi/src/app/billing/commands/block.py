"""`block`: takes all access from a user, after a chargeback say (Polar sends no event); `--off` gives it back."""

import time
from argparse import ArgumentParser, Namespace

from app.billing import records
from app.database import Database
from app.settings import load_settings

HELP = "take all access from a user, after a chargeback say"


def arguments(parser: ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("user", help="the user's id")
    parser.add_argument("--off", action="store_true", help="give it back")


def run(options: Namespace) -> None:
    """Block the user, or take it back."""
    database = Database.from_url(load_settings().database_url)
    now = time.time_ns() // 1000
    with database.write() as connection:
        count = records.block_user(connection, options.user, None if options.off else now, now)
    database.close()
    if count == 0:
        raise SystemExit("No customer of this user is known, so nothing was changed.")
    print(f"{'Unblocked' if options.off else 'Blocked'}: {count} customer(s) of this user.")
