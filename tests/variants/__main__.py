"""`uv run python -m tests.variants [NUMBER…] [--tiers abc]`: render and check variants by hand.

The projects stay in `.cache/variants`, to be looked at. Ends with 1 where something is wrong.
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
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
    with polar_servers() as polar_with, tempfile.TemporaryDirectory() as copy:
        template = template_copy(Path(copy, "template"))
        every = variants(legal(template, polar_with))
        some = pairwise(every) if asked.pairwise else every
        wanted = [each for each in some if not asked.numbers or each.number in asked.numbers]
        if asked.list:
            print(*wanted, sep="\n")
            return 0
        shutil.rmtree(CACHE / "variants", ignore_errors=True)
        watch = tiers.Watch()
        done = tiers.render(template, wanted, CACHE / "variants", polar_with, print)
        print(watch.told("a", len(wanted)))
        faults = done.faults
        folder = f"variants-{os.getpid()}"
        if "b" in asked.tiers:
            watch = tiers.Watch()
            faults = tiers.together(faults, tiers.types_and_lint(done, wanted, folder, CACHE / "mypy", print))
            print(watch.told("b", len(wanted)))
        if "c" in asked.tiers:
            watch = tiers.Watch()
            faults = tiers.together(faults, tiers.tests(done, wanted, folder, print))
            print(watch.told("c", len(wanted)))
    print(tiers.report(wanted, faults) or "nothing is wrong")
    print(f"the projects are in {CACHE / 'variants'}")
    return 1 if faults else 0


if __name__ == "__main__":
    raise SystemExit(main())
