"""Processes for work on many variants, and how many at once."""

from __future__ import annotations

import multiprocessing
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import TypeVar

CORES = 2
_MEMORY = Path("/dev/shm")
_ENOUGH = 2**30  # bytes
_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


def each(work: Callable[[_Item], _Result], items: Iterable[_Item], at_once: int = 1) -> Iterator[_Result]:
    """The work on each item, done in other processes, `at_once` items at a time; results come in the items' order.

    Processes are started anew, not forked: the stand-ins for Polar are threads of this one.
    """
    with ProcessPoolExecutor(CORES, mp_context=multiprocessing.get_context("spawn")) as pool:
        yield from pool.map(work, items, chunksize=at_once)


def quick_folder() -> str:
    """Where temporary files are written without waiting for a disk, if the machine has room for that."""
    in_memory = _MEMORY.is_dir() and shutil.disk_usage(_MEMORY).free > _ENOUGH
    return str(_MEMORY) if in_memory else tempfile.gettempdir()
