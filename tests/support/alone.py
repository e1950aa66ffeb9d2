"""One process at a time: what is installed once for all tests is not installed by two of them at once."""

from __future__ import annotations

import fcntl
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def alone(root: Path) -> Generator[None]:
    """Hold the lock beside that folder; the system lets go of it when the process ends, however that happens."""
    root.parent.mkdir(parents=True, exist_ok=True)
    with root.with_suffix(".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
