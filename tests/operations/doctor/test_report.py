"""The report: what a healthy project, one with invalid settings and a fresh demo are told.

Every check is tested in `tests/tool/doctor`; those of the generated code in `test_mutations.py` too.
"""

from __future__ import annotations

import re

from copier_polar.project import CALL
from tests.operations.doctor.conftest import Patient
from tests.operations.doctor.mutations import BEFORE_THE_GUARD, EVENT_REMOVED, UNVERIFIED
from tests.support.render import ROOT

# Where what was found is held against what was broken.


def test_a_healthy_project_is_told_so_and_nothing_was_changed(patient: Patient) -> None:
    report = patient.examined()
    assert report.found == {}
    assert report.skipped == {
        "secret_committed": "This is no git repository.",
        "deployed_route": "No answer from APP_URL.",
    }
    for polar in patient.polars:
        assert polar.changed() == []
    for table in ("billing_webhook_events", "billing_audit", "billing_access"):
        assert patient.pair.sql(f"SELECT * FROM {table}") == []


def test_settings_that_are_invalid_are_named_and_the_rest_is_skipped(patient: Patient) -> None:
    report = patient.examined(code=1, APP_URL="nonsense")
    assert report.found == {"settings_unfit": [("APP_URL", "must be an origin such as https://app.example.com.")]}
    assert report.skipped["webhook_unsigned"] == "Invalid settings."
    assert "event_unhandled" in report.json["passed"]


def test_a_fresh_demo_is_told_of_its_ids_and_of_nothing_else(demo: Patient) -> None:
    text = demo.text(code=1)
    assert list(demo.examined(code=1).found) == ["demo_ids"]
    assert _excerpts()[0] in text


def test_a_broken_demo_is_told_as_the_readme_shows_it(demo: Patient) -> None:
    for mutation in (UNVERIFIED, EVENT_REMOVED, BEFORE_THE_GUARD):
        mutation.apply(demo.pair)
    text = demo.text(code=1)
    for excerpt in _excerpts()[1:]:
        assert excerpt in text, text


def _excerpts() -> list[str]:
    """The pieces of reports in the README, which are a FastAPI project's, as tests read what is printed."""
    chapter = (ROOT / "README.md").read_text().partition("## Is it right? The doctor")[2].partition("\n## Questions")[0]
    chapter = chapter.replace(CALL["fastapi"], "{billing}")
    return [
        piece.strip("\n")
        for block in re.findall("```markdown\n(.*?)```", chapter, re.S)
        for piece in block.split("…\n")
    ]
