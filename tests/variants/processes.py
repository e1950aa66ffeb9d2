"""Processes for work on many variants, and how many at once."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from typing import TypeVar

CORES = 2
_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


def each(work: Callable[[_Item], _Result], items: Iterable[_Item], at_once: int = 1) -> Iterator[_Result]:
    """The work on each item, done in other processes, `at_once` items at a time; results come in the items' order.

    Processes are started anew, not forked: the stand-ins for Polar are threads of this one.
    """
    with ProcessPoolExecutor(CORES, mp_context=multiprocessing.get_context("spawn")) as pool:
        yield from pool.map(work, items, chunksize=at_once)
