"""The access check with few and with many subscriptions in the store, and how the store finds them.

    uv run python -m tests.bench.access [--quick] [--rounds 5] [--variants worker-d1 fastapi-sqlite]

One app for each size runs on a store of its own; all are asked for the access of random users, in turn, over one
connection. Medians of the rounds.
"""

from __future__ import annotations

import random
import re
import statistics
from collections import defaultdict
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import httpx

from tests.bench import filling, payloads
from tests.bench.effort import Effort, chosen, parser, progress
from tests.bench.load import Measured, request, send
from tests.bench.servers import Projects, new_settings, projects, serving
from tests.support import apps, deliveries

SLOWER_AT_MOST = 1.3
USERS = 200

_INDEX = re.compile(r"INDEX (\w+)|Index(?: Only)? Scan using (\w+)|Bitmap Index Scan on (\w+)")
_WHOLE_TABLE = re.compile(r"(?:SCAN|Seq Scan on) (?!n\b)(\w+)")

Sizes = dict[int, list[Measured]]


def main() -> None:
    """Print the tables."""
    variants, effort = chosen(parser(__doc__).parse_args())
    with projects() as (made, root):
        report(variants, effort, made, root)


def report(variants: list[apps.Variant], effort: Effort, made: Projects, root: Path) -> None:
    """Measure, and print the tables."""
    print(f"\n### GET /billing/access: 1 connection, {effort.rounds} x {effort.checks} to each\n")
    titles = " | ".join(f"{size:,}: p50 / p99" for size in effort.sizes)
    print(f"| variant | {titles} | p99, most to fewest | goal: at most {SLOWER_AT_MOST} | query plan |")
    print("|---" * (len(effort.sizes) + 4) + "|")
    plans = {}
    for variant in variants:
        # Several processes share the same store and the same query: nothing new to see.
        if variant.processes == 1:
            sizes, plans[variant.name] = measure(variant, effort, made, root / "access" / variant.name)
            print(_row(variant, sizes, plans[variant.name]), flush=True)
    for name, plan in plans.items():
        print(f"\nReads of the query plan on {name}, {max(effort.sizes):,} subscriptions:\n\n```\n{_reads(plan)}\n```")


def measure(variant: apps.Variant, effort: Effort, made: Projects, folder: Path) -> tuple[Sizes, list[str]]:
    """Ask the apps of every size, round by round; and the plan of the query with the most rows."""
    sizes: Sizes = defaultdict(list)
    project, settings = made.of(variant), new_settings()
    bases, plan = {}, list[str]()
    with ExitStack() as stack:
        for size in effort.sizes:
            place = folder / str(size)
            place.mkdir(parents=True)
            url = "" if variant.runtime == "worker" else apps.database_url(variant, place, stack)
            filling.fill(variant, project, place, url, size)
            if size == max(effort.sizes):
                plan = filling.plan(variant, project, place, url, payloads.user(size // 2))
            bases[size] = stack.enter_context(serving("app", variant, project, place, settings, url)).base
            _check(bases[size], size, settings)
            ask(bases[size], size, effort.warm_up, settings)
        for number in range(effort.rounds):
            order = list(effort.sizes) if number % 2 else list(reversed(effort.sizes))
            for size in order:
                sizes[size].append(ask(bases[size], size, effort.checks, settings))
            last = ", ".join(f"{size:,}: {sizes[size][-1].percentile(99):.1f} ms" for size in effort.sizes)
            progress(f"{variant.name}: round {number + 1} of {effort.rounds}: p99 with {last}")
    return sizes, plan


def ask(base: str, size: int, count: int, settings: dict[str, str]) -> Measured:
    """Ask for the access of random users."""
    users = [payloads.user(number) for number in random.sample(range(size), min(size, USERS))]
    asked = [
        request("GET", base, "/billing/access", deliveries.bearer(user, settings["AUTH_JWT_SECRET"])) for user in users
    ]
    return send(base, [asked[number % len(asked)] for number in range(count)], 1)


def _check(base: str, size: int, settings: dict[str, str]) -> None:
    headers = deliveries.bearer(payloads.user(size - 1), settings["AUTH_JWT_SECRET"])
    answer = httpx.get(f"{base}/billing/access", headers=headers, timeout=30).raise_for_status().json()
    if not answer["access"]:
        raise RuntimeError("a subscriber has no access: the store was filled with something else")


def _median(measured: Sequence[Measured], percent: int) -> float:
    return statistics.median(one.percentile(percent) for one in measured)


def _row(variant: apps.Variant, sizes: Sizes, plan: list[str]) -> str:
    cells = [f"{_median(sizes[size], 50):.2f} / {_median(sizes[size], 99):.2f} ms" for size in sorted(sizes)]
    pairs = zip(sizes[max(sizes)], sizes[min(sizes)], strict=True)
    ratio = statistics.median(many.percentile(99) / few.percentile(99) for many, few in pairs)
    met = "met" if ratio <= SLOWER_AT_MOST else "**not met**"
    return f"| {variant.name} | {' | '.join(cells)} | {ratio:.2f} | {met} | {_indexes(plan)} |"


def _indexes(plan: list[str]) -> str:
    text = "\n".join(plan)
    used = {next(filter(None, names)) for names in _INDEX.findall(text)}
    whole = sorted({name for name in _WHOLE_TABLE.findall(text) if name.startswith("billing_")})
    return f"{len(used)} indexes; " + (f"reads **all** of {', '.join(whole)}" if whole else "no table is read whole")


def _reads(plan: list[str]) -> str:
    """The steps that read a table or an index."""
    return "\n".join(
        step.strip().split("  (cost")[0] for step in plan if _INDEX.search(step) or _WHOLE_TABLE.search(step)
    )


if __name__ == "__main__":
    main()
