"""Whether packages can be had: what needs them is left out where not, with the reason."""

from __future__ import annotations

import subprocess
from functools import cache
from pathlib import Path

import pytest


@cache
def _trouble() -> str:
    command = ["uv", "pip", "compile", "--quiet", "--no-header", "--no-deps", "--refresh", "-"]
    try:
        done = subprocess.run(
            command, input="iniconfig\n", cwd=Path("/"), capture_output=True, text=True, timeout=60, check=False
        )
    except subprocess.TimeoutExpired:
        return "it does not answer"
    return "" if done.returncode == 0 else (done.stderr.strip().splitlines() or ["no reason given"])[-1]


def require() -> None:
    """Skip the test where no package registry is reachable."""
    if trouble := _trouble():
        pytest.skip(f"no package registry is reachable: {trouble}")
