"""`--seconds`: a run that has to end leaves tests out, and says so."""

from __future__ import annotations

import re
import sys

import pytest

from tests import tiers
from tests.support.node import ROOT
from tests.support.process import run

_TESTS = "tests/test_process.py"


@pytest.mark.parametrize("processes", [0, 2])
def test_what_is_not_begun_in_time_is_left_out_and_named(processes: int) -> None:
    count = 2
    command = [sys.executable, "-m", "pytest", _TESTS, "--seconds", "0", "-n", str(processes), "-p", "no:cacheprovider"]
    said = run(command, cwd=ROOT, timeout=120).stdout
    assert f"left out: {count} tests, not begun within --seconds" in said
    assert f"{count} of {_TESTS}" in said
    assert re.search(rf"\b{count} skipped\b", said)


@pytest.mark.parametrize("entry", [*tiers.ONLY_FULL, *tiers.BUT])
def test_what_the_plain_run_leaves_out_exists(entry: str) -> None:
    name, _, test = entry.partition("::")
    assert (ROOT / name).exists()
    function = test.partition("[")[0]
    assert not function or f"def {function}(" in (ROOT / name).read_text()
