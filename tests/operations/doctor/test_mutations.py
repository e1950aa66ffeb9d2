"""The generated app, broken on purpose: the doctor names each mistake, and nothing else."""

from __future__ import annotations

from collections import defaultdict

import pytest

from tests.operations.doctor.conftest import Patient
from tests.operations.doctor.mutations import GROUPS
from tests.operations.doctor.projects import Mutation


@pytest.mark.parametrize("group", GROUPS, ids=lambda group: "; ".join(mutation.name for mutation in group))
def test_the_doctor_names_each_mistake(patient: Patient, group: tuple[Mutation, ...]) -> None:
    expected: dict[str, list[str]] = defaultdict(list)
    for mutation in group:
        mutation.apply(patient.pair)
        for check, places in mutation.found.items():
            expected[check] += places
    report = patient.examined(code=1)
    named = {check: sorted(place for place, _ in found) for check, found in report.found.items()}
    assert named == {check: sorted(places) for check, places in expected.items()}
