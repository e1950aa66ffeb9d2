"""`uv run billing COMMAND`: `migrate` here, so that production needs nothing else; all else is the billing tool's."""

import argparse
import json
import sys
from collections.abc import Sequence

from app.billing.launch import launch


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command and end the process with its code."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    sys.exit(_migrate(given[1:]) if given[:1] == ["migrate"] else launch(given))


def _migrate(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="billing migrate",
        description="Bring the database up to date: the migrations that are missing are applied, yours too. Run it "
        "before a new version starts.",
        epilog="Example: uv run billing migrate",
    )
    parser.add_argument("--json", action="store_true", help="Print the result as one JSON document.")
    as_json = parser.parse_args(arguments).json
    if problem := _upgrade():
        print(f"Error: {problem}", file=sys.stderr)
        return 1
    print(json.dumps({"current": True}, indent=2) if as_json else "The database is up to date.")
    return 0


def _upgrade() -> str | None:
    """Apply the migrations, or return what is wrong. Imported here: the tool starts faster without."""
    from sqlalchemy.exc import SQLAlchemyError

    from app.cli import load_environment
    from app.database import shown_address
    from app.migrate import upgrade
    from app.settings import SettingsError, load_settings

    load_environment()
    try:
        url = load_settings().database_url
        print(f"Target: {shown_address(url)}", file=sys.stderr)
        upgrade(url)
    except SettingsError as error:
        return f"Settings: {error}".replace("\n", " ")
    except (SQLAlchemyError, OSError) as error:
        return f"The database refused: {type(getattr(error, 'orig', error)).__name__}."
    return None


if __name__ == "__main__":
    main()
