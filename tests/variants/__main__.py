"""`uv run python -m tests.variants [NUMBER…] [--tiers abc]`: render and check variants by hand.

The projects stay in `.cache/variants`, to be looked at. Ends with 1 where something is wrong.
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
import time
from pathlib import Path

from tests.support.node import CACHE
from tests.support.render import template_copy
from tests.variants import tiers
from tests.variants.combinations import legal, pairwise, polar_servers, variants


def main() -> int:
    """Run the checks that were asked for."""
    parser = argparse.ArgumentParser(prog="python -m tests.variants", description=__doc__)
    parser.add_argument("numbers", nargs="*", type=int, help="variants; all where there are none")
    parser.add_argument("--tiers", default="abc", help="a: files, b: types and lint, c: own tests")
    parser.add_argument("--pairwise", action="store_true", help="the subset that `uv run pytest` takes")
    parser.add_argument("--list", action="store_true", help="name the variants and stop")
    asked = parser.parse_args()
    with polar_servers() as polar_with, tempfile.TemporaryDirectory() as folder:
        template = template_copy(Path(folder, "template"))
        every = variants(legal(template, polar_with))
        some = pairwise(every) if asked.pairwise else every
        wanted = [each for each in some if not asked.numbers or each.number in asked.numbers]
        if asked.list:
            print(*wanted, sep="\n")
            return 0
        shutil.rmtree(CACHE / "variants", ignore_errors=True)
        began = time.monotonic()
        done = tiers.render(template, wanted, CACHE / "variants", polar_with, print)
        _took("a", began, len(wanted))
        faults = done.faults
        for tier in "bc":
            if tier in asked.tiers:
                began = time.monotonic()
                of = tiers.different(done, wanted) if tier == "c" else wanted
                more = tiers.check(done, of, f"variants-{os.getpid()}", CACHE / "mypy", tier, print)
                _took(tier, began, len(wanted))
                faults = tiers.together(faults, more)
    print(tiers.report(wanted, faults) or "nothing is wrong")
    print(f"the projects are in {CACHE / 'variants'}")
    return 1 if faults else 0


def _took(tier: str, began: float, count: int) -> None:
    seconds = time.monotonic() - began
    print(f"tier {tier}: {seconds:.1f} s, {seconds / count:.2f} s a variant of {count}")


if __name__ == "__main__":
    raise SystemExit(main())
