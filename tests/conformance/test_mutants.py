"""The faults that the mutants bring in can be brought in: each text stands once in the template."""

from __future__ import annotations

import pytest

from tests.conformance.mutants import MUTANTS, Mutant
from tests.support.render import ROOT


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_mutant_changes_one_place(mutant: Mutant) -> None:
    assert (ROOT / mutant.file).read_text().count(mutant.old) == 1
    assert mutant.new != mutant.old


def test_the_table_names_every_mutant() -> None:
    told = (ROOT / "tests" / "conformance" / "README.md").read_text()
    assert [mutant.name for mutant in MUTANTS if f"| {mutant.name} |" not in told] == []
