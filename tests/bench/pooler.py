"""Webhooks per second on Postgres through PgBouncer in transaction mode, beside the same app connected directly.

    uv run python -m tests.bench.pooler [--requests 400] [--rounds 3] [--connections 10]

Both apps run at the same time on databases of their own, and are sent signed events over 16 connections in turn.
"""

from __future__ import annotations

import argparse
import statistics
from contextlib import ExitStack

from tests.bench.servers import new_settings, projects, serving
from tests.bench.webhooks import post
from tests.support import apps
from tests.support.pgbouncer import pgbouncer

WARM_UP = 50


def main() -> None:
    """Print a line for each way to the database, and the ratio."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--requests", type=int, default=400)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--connections", type=int, default=10, help="of PgBouncer to the server")
    chosen = options.parse_args()
    variant = apps.Variant("fastapi-postgres", "fastapi", "postgres")
    settings = new_settings()
    rates: dict[str, list[float]] = {"direct": [], "pgbouncer": []}
    with projects() as (made, root), ExitStack() as stack:
        bases = {}
        for way in rates:
            folder = root / way
            folder.mkdir()
            url = apps.database_url(variant, folder, stack)
            if way == "pgbouncer":
                url = stack.enter_context(pgbouncer(url, chosen.connections))
            bases[way] = stack.enter_context(serving("app", variant, made.of(variant), folder, settings, url)).base
            post(bases[way], range(WARM_UP), settings)
        for number in range(chosen.rounds):
            begin = WARM_UP + number * chosen.requests
            for way in list(rates)[:: 1 if number % 2 else -1]:
                rates[way].append(post(bases[way], range(begin, begin + chosen.requests), settings).rate)
    for way, measured in rates.items():
        print(f"{way}: {statistics.median(measured):,.0f} webhooks/s")
    ratios = [through / direct for direct, through in zip(rates["direct"], rates["pgbouncer"], strict=True)]
    print(f"ratio: {statistics.median(ratios):.2f}")


if __name__ == "__main__":
    main()
