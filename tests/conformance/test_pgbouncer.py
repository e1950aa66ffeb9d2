"""A pooler in transaction mode, as hosts hand out: each transaction may have another connection to the server."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from tests.bench import payloads
from tests.bench.servers import new_settings, serving
from tests.support import apps, deliveries
from tests.support.pgbouncer import PGBOUNCER, pgbouncer

CONNECTIONS = 2
THREADS = 8
REQUESTS = 240


@pytest.mark.skipif(PGBOUNCER is None, reason="PgBouncer is not installed: apt-get install pgbouncer")
def test_access_checks_and_webhooks_through_two_connections(
    black_box_project: Callable[[apps.Variant], Path], tmp_path: Path
) -> None:
    variant = apps.Variant("fastapi-postgres", "fastapi", "postgres")
    settings = new_settings()
    with ExitStack() as stack:
        direct = apps.database_url(variant, tmp_path, stack)
        url = stack.enter_context(pgbouncer(direct, CONNECTIONS))
        app = stack.enter_context(serving("app", variant, black_box_project(variant), tmp_path, settings, url))
        client = stack.enter_context(httpx.Client(base_url=app.base, timeout=20))
        signed_in = deliveries.bearer(payloads.user(0), settings["AUTH_JWT_SECRET"])
        bodies = payloads.bodies(range(REQUESTS))

        def ask(number: int) -> int:
            if number % 2:
                return client.get("/billing/access", headers=signed_in).status_code
            headers = deliveries.headers(bodies[number], str(uuid4()), settings["POLAR_WEBHOOK_SECRET"], "standard")
            return client.post("/webhooks/polar", content=bodies[number], headers=headers).status_code

        with ThreadPoolExecutor(THREADS) as threads:
            assert Counter(threads.map(ask, range(REQUESTS))) == {200: REQUESTS // 2, 202: REQUESTS // 2}
