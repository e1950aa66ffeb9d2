"""The report: what a healthy project, a fresh demo and one without network are told."""

from __future__ import annotations

from tests.operations.doctor.conftest import Patient

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
