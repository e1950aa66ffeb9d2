"""`uv run dev`: the development server."""

import argparse
import os
import re
import secrets
import sys
from pathlib import Path

import uvicorn
from dotenv import load_dotenv

ENV_FILE = Path(".env")
EXAMPLE_FILE = Path(".env.example")
GENERATED = "generated-at-first-start"


def dev() -> None:
    """Read .env, apply migrations, and serve on loopback."""
    parser = argparse.ArgumentParser(prog="dev", description="Start the development server on 127.0.0.1.")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--workers", type=int, default=1)
    options = parser.parse_args()
    make_environment()
    load_environment()
    prepare()
    uvicorn.run(
        "app.main:create_app",
        factory=True,
        host="127.0.0.1",
        port=options.port,
        workers=options.workers,
        server_header=False,
        proxy_headers=False,
    )


def make_environment() -> None:
    """Write .env from the example, with fresh secrets, where it is missing."""
    if ENV_FILE.exists() or not EXAMPLE_FILE.exists() or _is_production():
        return
    text = re.sub(GENERATED, lambda _: secrets.token_urlsafe(32), EXAMPLE_FILE.read_text(encoding="utf-8"))
    ENV_FILE.touch(mode=0o600)
    ENV_FILE.write_text(text, encoding="utf-8")
    print("Wrote .env from .env.example, with new development secrets.", file=sys.stderr)


def load_environment() -> None:
    """Read .env. The environment itself wins, and is all there is where it is production's: .env fills no gap there."""
    if not _is_production():
        load_dotenv(ENV_FILE)


def _is_production() -> bool:
    return os.environ.get("POLAR_SERVER", "").strip() == "production"


def prepare() -> None:
    """Refuse unfit settings before any process is started, then bring the database up to date."""
    from app.migrate import upgrade
    from app.settings import load_settings_or_exit

    upgrade(load_settings_or_exit().database_url)
