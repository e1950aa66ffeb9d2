"""Webhooks per second of every runtime, store and number of processes, beside three handlers on the same ground.

    uv run python -m tests.bench.webhooks [--quick] [--requests 750] [--rounds 5] [--variants worker-d1 fastapi-sqlite]

The app and the baselines run at the same time, each on a store of its own, and are sent signed subscription and order
events of 200 customers over 16 connections in turn: what disturbs the machine disturbs all of them, the background work
that the app does for the events before included. Every event must be accepted, and be in the store afterwards. Medians
of the rounds; ratios are medians of the ratios of each round.
"""

from __future__ import annotations

import statistics
from collections import defaultdict
from contextlib import ExitStack
from pathlib import Path
from uuid import uuid4

import httpx

from tests.bench import payloads
from tests.bench.effort import Effort, chosen, parser, progress
from tests.bench.load import Measured, request, send
from tests.bench.servers import LABELS, Projects, Server, new_settings, projects, undisturbed
from tests.support import apps, deliveries

CONNECTIONS = 16
AGAINST_PLAIN = 2.0
AGAINST_BARE = 0.8

Rounds = dict[str, list[Measured]]


def main() -> None:
    """Print the tables."""
    options = parser(__doc__)
    options.add_argument("--requests", type=int, help="to each server in each round")
    variants, effort = chosen(options.parse_args())
    with projects() as (made, root):
        report(variants, effort, made, root)


def report(variants: list[apps.Variant], effort: Effort, made: Projects, root: Path) -> None:
    """Measure, and print the tables."""
    print(f"\n### Webhooks: {CONNECTIONS} connections, {effort.rounds} x {effort.requests} to each\n")
    print("| variant | handler | webhooks/s | p50 | p99 | app / it |\n|---|---|---|---|---|---|")
    goals = []
    for variant in variants:
        rounds = measure(variant, effort, made, root / "webhooks" / variant.name)
        for kind in LABELS:
            print(_row(variant, kind, rounds), flush=True)
        goals.append(_goals(variant, rounds))
    print("\n| goal | app / (b) at least 2 | app / (c) at least 0.8 |\n|---|---|---|")
    print("\n".join(goals), flush=True)


def measure(variant: apps.Variant, effort: Effort, made: Projects, folder: Path) -> Rounds:
    """Send every server of a variant its events, round by round."""
    rounds: Rounds = defaultdict(list)
    sent = effort.warm_up
    with ExitStack() as stack:
        settings = new_settings()
        servers = {}
        for kind in LABELS:
            progress(f"{variant.name}: starting {kind}")
            project = made.of(variant, kind)
            servers[kind] = stack.enter_context(undisturbed(kind, variant, project, folder / kind, settings))
            post(servers[kind].base, range(effort.warm_up), settings)
        for number in range(effort.rounds):
            kinds = list(LABELS)[number % len(LABELS) :] + list(LABELS)[: number % len(LABELS)]
            for kind in kinds:
                rounds[kind].append(post(servers[kind].base, range(sent, sent + effort.requests), settings))
            rates = ", ".join(f"{kind} {rounds[kind][-1].rate:,.0f}/s" for kind in LABELS)
            progress(f"{variant.name}: round {number + 1} of {effort.rounds}: {rates}")
            sent += effort.requests
        _check(servers, sent, settings)
    return rounds


def post(base: str, numbers: range, settings: dict[str, str]) -> Measured:
    """Deliver the events of these numbers once each."""
    secret = settings["POLAR_WEBHOOK_SECRET"]
    messages = [
        request("POST", base, "/webhooks/polar", deliveries.headers(body, str(uuid4()), secret, "standard"), body)
        for body in payloads.bodies(numbers)
    ]
    return send(base, messages, CONNECTIONS)


def _check(servers: dict[str, Server], sent: int, settings: dict[str, str]) -> None:
    """The stores hold what was delivered."""
    for kind in ("plain", "bare"):
        events = httpx.get(f"{servers[kind].base}/healthz", timeout=30).raise_for_status().json()["events"]
        if events != sent:
            raise RuntimeError(f"{kind} has {events} of {sent} events")
    headers = deliveries.bearer(payloads.user(0), settings["AUTH_JWT_SECRET"])
    answer = httpx.get(f"{servers['app'].base}/billing/account", headers=headers, timeout=30)
    account = answer.raise_for_status().json()
    if len(account["subscriptions"]) != 1 or len(account["orders"]) != len(range(1, sent, 2 * payloads.CUSTOMERS)):
        raise RuntimeError("the events were accepted and not applied")


def ratio(rounds: Rounds, kind: str) -> float:
    """How many webhooks the app takes for each one that the other takes."""
    pairs = zip(rounds["app"], rounds[kind], strict=True)
    return statistics.median(app.rate / other.rate for app, other in pairs)


def _row(variant: apps.Variant, kind: str, rounds: Rounds) -> str:
    measured = rounds[kind]
    rate = statistics.median(one.rate for one in measured)
    p50, p99 = (statistics.median(one.percentile(percent) for one in measured) for percent in (50, 99))
    against = "" if kind == "app" else f"{ratio(rounds, kind):.2f}"
    return f"| {variant.name} | {LABELS[kind]} | {rate:,.0f} | {p50:.1f} ms | {p99:.1f} ms | {against} |"


def _goals(variant: apps.Variant, rounds: Rounds) -> str:
    plain, bare = ratio(rounds, "plain"), ratio(rounds, "bare")
    return f"| {variant.name} | {_met(plain, AGAINST_PLAIN)} | {_met(bare, AGAINST_BARE)} |"


def _met(value: float, goal: float) -> str:
    return f"{value:.2f}, {'met' if value >= goal else '**not met**'}"


if __name__ == "__main__":
    main()
