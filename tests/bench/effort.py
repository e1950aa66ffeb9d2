"""How much is measured, and how that is told while it runs."""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import dataclass

from tests.support import apps

_BEGIN = time.monotonic()


@dataclass(frozen=True)
class Effort:
    """Numbers of requests, rounds and rows."""

    warm_up: int = 200
    requests: int = 750
    rounds: int = 5
    checks: int = 600
    sizes: tuple[int, ...] = (1_000, 10_000, 100_000)
    starts: int = 5


FULL = Effort()
QUICK = Effort(warm_up=16, requests=60, rounds=1, checks=60, sizes=(100, 1_000), starts=1)


def parser(description: str | None) -> argparse.ArgumentParser:
    """The options that every command has."""
    made = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = [variant.name for variant in apps.VARIANTS]
    made.add_argument("--quick", action="store_true", help="few requests: says that it works, not how fast")
    made.add_argument("--rounds", type=int, help="how often all are measured in turn")
    made.add_argument("--variants", nargs="+", choices=names, default=names)
    return made


def chosen(options: argparse.Namespace) -> tuple[list[apps.Variant], Effort]:
    """The variants and the effort that were asked for."""
    effort = QUICK if options.quick else FULL
    changes = {name: value for name in ("rounds", "requests") if (value := getattr(options, name, None))}
    variants = [variant for variant in apps.VARIANTS if variant.name in options.variants]
    return variants, Effort(**{**vars(effort), **changes})


def progress(message: str) -> None:
    """Say on stderr what is going on, after how many seconds."""
    print(f"[{time.monotonic() - _BEGIN:6.1f} s] {message}", file=sys.stderr, flush=True)
