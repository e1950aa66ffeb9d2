"""Webhooks per second of every runtime, store and number of processes.

    uv run python -m tests.bench.webhooks [--requests 2000] [--variants worker-d1 fastapi-sqlite]

Each app is generated, started as its users start it, and sent signed subscription and order events of 200 customers
over 16 connections, on loopback. Every event must be answered 202; the store must have them all afterwards.
"""

from __future__ import annotations

import argparse
import json
import secrets
import statistics
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection
from pathlib import Path
from uuid import uuid4

import httpx

from tests.catalogues import CATALOGUES
from tests.polar_server import PolarServer
from tests.support import apps, deliveries
from tests.support.process import free_port
from tests.support.render import render, template_copy

CONNECTIONS = 16
CUSTOMERS = 200
WARM_UP = 64
BEGIN = datetime(2026, 1, 31, 12, tzinfo=UTC)


def main() -> None:
    """Print the table."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = [variant.name for variant in apps.VARIANTS]
    arguments.add_argument("--requests", type=int, default=2000)
    arguments.add_argument("--variants", nargs="+", choices=names, default=names)
    options = arguments.parse_args()
    print(f"| {CONNECTIONS} connections | webhooks/s | p50 | p99 |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder, PolarServer(CATALOGUES["shop"]()) as polar:
        root = Path(folder)
        template = template_copy(root / "template")
        projects: dict[str, Path] = {}
        for variant in apps.VARIANTS:
            if variant.name in options.variants:
                project = _project(variant, projects, template, root, polar.url)
                print(_row(variant, project, root / variant.name, options.requests), flush=True)


def _project(variant: apps.Variant, made: dict[str, Path], template: Path, root: Path, polar_url: str) -> Path:
    """Generate and install the variant's project, once."""
    profile = variant.profile("shop")
    if profile.name not in made:
        made[profile.name] = render(profile, template, root / "projects" / profile.name, polar_url)
        apps.install(variant, made[profile.name])
    return made[profile.name]


def _row(variant: apps.Variant, project: Path, folder: Path, requests: int) -> str:
    settings = {
        "POLAR_ACCESS_TOKEN": "polar_oat_" + "0" * 40,
        "POLAR_WEBHOOK_SECRET": deliveries.new_secret("standard"),
        "AUTH_JWT_SECRET": secrets.token_hex(32),
        "POLAR_BASE_URL": f"http://127.0.0.1:{free_port()}",  # nobody listens there
    }
    with apps.running(variant, project, folder, settings) as base:
        post(base, [_event(number) for number in range(WARM_UP)], settings["POLAR_WEBHOOK_SECRET"])
        events = [_event(number) for number in range(WARM_UP, WARM_UP + requests)]
        start = time.perf_counter()
        times = post(base, events, settings["POLAR_WEBHOOK_SECRET"])
        seconds = time.perf_counter() - start
        _check(base, settings["AUTH_JWT_SECRET"])
    cuts = statistics.quantiles(times, n=100)
    return f"| {variant.name} | {requests / seconds:,.0f} | {cuts[49] * 1000:.1f} ms | {cuts[98] * 1000:.1f} ms |"


def post(base: str, bodies: list[bytes], secret: str) -> list[float]:
    """Deliver every event once; the seconds that each took. Raises where one was not accepted."""
    signed = [(body, deliveries.headers(body, str(uuid4()), secret, "standard")) for body in bodies]
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        parts = pool.map(_deliver, [base] * CONNECTIONS, [signed[n::CONNECTIONS] for n in range(CONNECTIONS)])
        return [seconds for part in parts for seconds in part]


def _deliver(base: str, signed: list[tuple[bytes, dict[str, str]]]) -> list[float]:
    """Deliver events one after the other over one connection. No client library: it would be what is measured."""
    times = []
    connection = HTTPConnection(base.removeprefix("http://"), timeout=30)
    for body, headers in signed:
        start = time.perf_counter()
        connection.request("POST", "/webhooks/polar", body, headers)
        answer = connection.getresponse()
        text = answer.read()
        times.append(time.perf_counter() - start)
        if answer.status != 202:
            raise RuntimeError(f"{answer.status} {text[:200]!r}")
    connection.close()
    return times


def _event(number: int) -> bytes:
    """A renewal of a subscription, or an order for it: both about the size of real ones."""
    buyer = number // 2 % CUSTOMERS
    kind, make = ("order.paid", _order) if number % 2 else ("subscription.updated", _subscription)
    stamp = _instant(timedelta(seconds=number))
    customer = {
        "id": f"00000000-0000-4000-8000-{buyer:012}",
        "external_id": f"user_{buyer}",
        "email": f"user_{buyer}@example.com",
        "name": f"User {buyer}",
        "created_at": _instant(timedelta(days=-90)),
        "deleted_at": None,
        "metadata": {},
        "billing_address": {"country": "NL", "city": "Utrecht", "line1": "Oudegracht 1", "postal_code": "3511"},
    }
    data = make(number, buyer) | {
        "customer_id": customer["id"],
        "customer": customer,
        "product_id": "prod-pro-monthly",
        "currency": "usd",
        "metadata": {"app_user_id": f"user_{buyer}"},
        "created_at": _instant(timedelta(days=-10)),
        "modified_at": stamp,
    }
    return json.dumps({"type": kind, "timestamp": stamp, "api_version": "2026-10", "data": data}).encode()


def _subscription(number: int, buyer: int) -> dict[str, object]:
    return {
        "id": f"10000000-0000-4000-8000-{buyer:012}",
        "status": "active",
        "amount": 1900 + number,
        "recurring_interval": "month",
        "recurring_interval_count": 1,
        "current_period_start": _instant(timedelta(days=-10)),
        "current_period_end": _instant(timedelta(days=20)),
        "cancel_at_period_end": False,
        "started_at": _instant(timedelta(days=-10)),
    }


def _order(number: int, buyer: int) -> dict[str, object]:
    return {
        "id": f"20000000-0000-4000-8000-{number:012}",
        "subscription_id": f"10000000-0000-4000-8000-{buyer:012}",
        "status": "paid",
        "billing_reason": "subscription_cycle",
        "total_amount": 1900,
        "refunded_amount": 0,
    }


def _check(base: str, jwt_secret: str) -> None:
    """One customer's account holds what was delivered."""
    answer = httpx.get(f"{base}/billing/account", headers=deliveries.bearer("user_0", jwt_secret), timeout=30)
    account = answer.raise_for_status().json()
    if len(account["subscriptions"]) != 1 or not account["orders"]:
        raise RuntimeError("the events were accepted and not applied")


def _instant(after: timedelta) -> str:
    return (BEGIN + after).isoformat().replace("+00:00", "Z")


if __name__ == "__main__":
    main()
