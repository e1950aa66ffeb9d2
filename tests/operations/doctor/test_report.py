"""The report: what a healthy project, a fresh demo and one without network are told."""

from __future__ import annotations

import re
from pathlib import Path

from tests.operations.doctor.conftest import Patient
from tests.operations.doctor.mutations import BEFORE_THE_GUARD, EVENT_REMOVED, UNVERIFIED
from tests.support.render import ROOT

# Where what was found is held against what was broken.
FIRING = ("mutations.py", "test_polar.py", "test_settings.py", "test_store.py", "test_report.py")
ALONE = "http://localhost:9"  # nothing listens there


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


def test_without_network_it_runs_what_it_can_and_says_what_it_skipped(patient: Patient) -> None:
    report = patient.examined(POLAR_BASE_URL="http://127.0.0.1:9", APP_URL=ALONE)
    assert report.found == {}
    assert len(report.json["passed"]) > 25
    reasons = set(report.skipped.values())
    assert {"No answer from Polar.", "No answer from APP_URL."} <= reasons
    assert "product_missing" in report.skipped
    assert "webhook_unsigned" in report.json["passed"]


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


def test_every_check_has_a_project_in_which_it_fires() -> None:
    """And one in which it does not: the healthy one above."""
    registry = (ROOT / "template/common/doctor_checks.jinja").read_text()
    checks = re.findall(r'^  "([a-z_]+)": \["P[123]"', registry, re.M)
    assert len(checks) >= 50
    folder = Path(__file__).parent
    told = "".join((folder / name).read_text() for name in FIRING)
    assert [check for check in checks if f'"{check}"' not in told] == []


def _excerpts() -> list[str]:
    """The pieces of reports in the README."""
    chapter = (ROOT / "README.md").read_text().partition("## Is it right? The doctor")[2].partition("\n## Questions")[0]
    return [
        piece.strip("\n")
        for block in re.findall("```markdown\n(.*?)```", chapter, re.S)
        for piece in block.split("…\n")
    ]
