"""What the first command of the README installs, and how long it takes, with nothing there before.

    uv run python -m tests.bench.install [--python PATH]

Runs it with an empty cache of uv and adds up what the files of the environment take on the disk: as they are installed,
and when Python has compiled them.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import tempfile
import time
from pathlib import Path

from tests.support.render import ROOT

LIMIT = 40  # MB


def main() -> None:
    """Print the table; exit code 1 where it is more than the limit."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--python", help="which Python, by default what uv finds")
    chosen = parser.parse_args().python
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        call = ["uvx", *(["--python", chosen] if chosen else []), "--from", str(ROOT), "copier-polar"]
        installed = _timed(root, [*call, "--version"])
        size = _megabytes(root)
        made = _timed(root, [*call, "new", str(root / "app"), "--defaults", "--quiet"])
        compiled = _megabytes(root)
        print(f"| the first command installs | {size:.1f} MB (limit {LIMIT}), {compiled:.1f} MB once it is compiled |")
        print(f"| the first command takes | {installed:.1f} s to install, {made:.1f} s to make a project |")
    raise SystemExit(size > LIMIT)


def _timed(root: Path, command: list[str]) -> float:
    environment = {**os.environ, "UV_CACHE_DIR": str(root / "cache"), "UV_TOOL_DIR": str(root / "tools")}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    began = time.monotonic()
    subprocess.run(command, cwd=root, env=environment, stdin=subprocess.DEVNULL, check=True)
    return time.monotonic() - began


def _megabytes(root: Path) -> float:
    """What the packages of the largest environment in the cache take on the disk."""
    environments = [path.parent for path in root.glob("cache/**/site-packages/copier")]
    return max(sum(_blocks(file) for file in folder.rglob("*")) for folder in environments) / 1e6


def _blocks(path: Path) -> int:
    return path.lstat().st_blocks * 512


if __name__ == "__main__":
    main()
