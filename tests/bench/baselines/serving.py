"""Serving a baseline as the generated app's own `dev` command serves the app.

`python serving.py fastapi_handlers:create_plain --port 8000 [--workers 2] [--migrate]`, with the Python of a generated
project. Every process imports this file first, and uvicorn ends those that take long to: so it imports little.
"""

from __future__ import annotations

import argparse

import uvicorn


def main() -> None:
    """Bring the database up to date if wanted, and serve."""
    parser = argparse.ArgumentParser()
    parser.add_argument("application", help="module:factory")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--migrate", action="store_true")
    options = parser.parse_args()
    if options.migrate:
        from app.cli import load_environment, prepare

        load_environment()
        prepare()
    uvicorn.run(
        options.application,
        factory=True,
        host="127.0.0.1",
        port=options.port,
        workers=options.workers,
        server_header=False,
        proxy_headers=False,
    )


if __name__ == "__main__":
    main()
