"""Wall time of generating a project from a live catalogue, beside a plain copy of the same files.

    uv run python -m tests.bench.generation [--runs 5]

Each pair of commands is run in turn: `copier copy` of this template asking a stand-in Polar server on loopback, and
`copier copy` of a template that is the finished project itself, without any hook. Medians, and the median ratio.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.catalogues import large
from tests.polar_server import PolarServer
from tests.support.render import TOKEN, template_copy


def main() -> None:
    """Print the table."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--runs", type=int, default=5)
    runs = arguments.parse_args().runs
    print("| products | generation | plain copy of the same files | ratio |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        template = template_copy(root / "template")
        for count in (3, 250):
            with PolarServer(large(count)) as polar:
                print(_row(root / str(count), template, count, polar.url, runs), flush=True)


def _row(root: Path, template: Path, count: int, polar_url: str, runs: int) -> str:
    asking = {**os.environ, "POLAR_BASE_URL": polar_url, "POLAR_ACCESS_TOKEN": TOKEN}
    plain = root / "plain"
    _copy(template, plain, asking)
    (plain / "copier.yml").write_text("_templates_suffix: .never\n")
    pairs = [
        (
            _copy(template, root / f"generated-{number}", asking),
            _copy(plain, root / f"copied-{number}", dict(os.environ)),
        )
        for number in range(runs)
    ]
    generated, copied = (statistics.median(times) for times in zip(*pairs, strict=True))
    ratio = statistics.median(one / other for one, other in pairs)
    return f"| {count} | {generated:.2f} s | {copied:.2f} s | {ratio:.2f} |"


def _copy(template: Path, destination: Path, env: dict[str, str]) -> float:
    shutil.rmtree(destination, ignore_errors=True)
    copier = [sys.executable, "-m", "copier", "copy", "--trust", "--defaults", "--quiet"]
    answers = ["--data", "polar_server=sandbox"] if "POLAR_BASE_URL" in env else []
    start = time.perf_counter()
    subprocess.run([*copier, *answers, str(template), str(destination)], env=env, check=True)
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
