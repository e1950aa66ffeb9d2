"""Serving a baseline as the generated app's own `dev` command serves the app."""

from __future__ import annotations

import argparse

import uvicorn


def serve(application: str) -> None:
    """Serve `module:factory`; the port and the number of processes are arguments."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--workers", type=int, default=1)
    options = parser.parse_args()
    uvicorn.run(
        application,
        factory=True,
        host="127.0.0.1",
        port=options.port,
        workers=options.workers,
        server_header=False,
        proxy_headers=False,
    )
