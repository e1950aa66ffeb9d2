"""A call of the tool in this process, and how it ended."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml


@dataclass(frozen=True)
class Ended:
    """How a call of the tool ended, and what it said."""

    code: int
    out: str
    err: str


Call = Callable[..., Ended]


def one_line(ended: Ended, code: int) -> str:
    """What the tool complained of, on its only line."""
    assert ended.code == code, ended
    lines = [line for line in ended.err.splitlines() if line.startswith("Error: ")]
    assert len(lines) == 1, ended.err
    assert "Traceback" not in ended.err
    return lines[0].removeprefix("Error: ")


def answers(folder: Path) -> dict[str, Any]:
    """What the answers file of a project says."""
    found: dict[str, Any] = yaml.safe_load((folder / ".copier-answers.yml").read_text())
    return found
