"""The report: what a healthy project, a demo and one without network are told."""

from __future__ import annotations

import re
from pathlib import Path

from copier_polar.bridge import BridgeBroken
from copier_polar.doctor.checks import CHECKS
from copier_polar.doctor.examine import CHECKERS
from copier_polar.project import Project, Store
from tests.tool.doctor.conftest import Patient, both_runtimes


@both_runtimes
def test_a_healthy_project_is_told_so_and_nothing_was_changed(patient: Patient) -> None:
    report = patient.examined()
    assert report.found == {}
    assert report.skipped == {
        "secret_committed": "This is no git repository.",
        "secret_readable": "There is no file of secrets.",
        "deployed_route": "No answer from APP_URL.",
    }
    assert list(report.json) == ["products", "status", "issues", "skipped", "passed"]
    assert report.json["passed"] == [check for check in CHECKS if check not in report.skipped]
    assert patient.polar.changed() == []
    for table in ("billing_webhook_events", "billing_audit", "billing_access"):
        assert patient.tool.bridge.rows(f"SELECT * FROM {table}") == []


@both_runtimes
def test_it_is_written_as_markdown_with_products_status_and_plan(patient: Patient) -> None:
    lines = patient.text().splitlines()
    assert lines[:5] == ["# Billing integration report", "", "## Products", "", "| key | name | price | access | id |"]
    monthly = patient.product("pro_monthly")["id"]
    assert f"| pro_monthly | Pro Monthly | 19.00 usd, 18.00 eur, every month | yes | {monthly} |" in lines
    assert "- Server: sandbox" in lines
    assert "- App: https://app.invalid" in lines
    assert "- Webhook secrets: 1 (standard)" in lines
    assert "- Events: none; the newest: none" in lines
    assert f"- Checks: {len(CHECKS) - 3} passed, 0 found something, 3 skipped" in lines
    assert lines.count("Nothing.") == 3
    assert lines[lines.index("## Plan") + 2] == "1. Nothing is to be done."
    assert "- No answer from APP\\_URL. `deployed_route`" not in lines, "an underscore is no markup here"
    assert "- No answer from APP_URL. `deployed_route`" in lines


def test_without_network_it_runs_what_it_can_and_says_what_it_skipped(patient: Patient) -> None:
    patient.facts["settings"] |= {"base_url": "http://127.0.0.1:9", "app_url": "http://localhost:9", "is_local": True}
    report = patient.examined()
    assert report.found == {}
    assert len(report.json["passed"]) > 25
    assert {"No answer from Polar.", "No answer from APP_URL."} <= set(report.skipped.values())
    assert "product_missing" in report.skipped
    assert "webhook_unsigned" in report.json["passed"]


@both_runtimes
def test_a_demo_is_told_of_its_ids_and_asks_no_polar(patient: Patient) -> None:
    answers = {"polar_catalog": {"server": "demo"}, "products": ["free"], "premium_products": []}
    patient.tool.write_answers(patient.runtime, **answers, past_due_grace_days=7, sells=["subscriptions"])
    patient.facts["settings"] |= {"server": "demo", "app_url": "http://localhost:9", "is_local": True}
    free = patient.product("free") | {"id": "00000000-0000-4000-8000-000000000010"}
    patient.facts["catalogue"] |= {"server": "demo", "products": [free]}
    report = patient.examined(code=1)
    assert report.found == {"demo_ids": [("catalogue", "1 of 1 products; checkout answers 503 demo_catalogue")]}
    assert report.skipped["server_mismatch"] == "The catalogue is the demo."
    assert report.skipped["secret_legacy"] == "POLAR_SERVER is demo: there is no Polar to ask."
    assert patient.polar.calls == []
    lines = patient.text(code=1).splitlines()
    assert lines[lines.index("## Plan") + 2 :][:2] == [
        "1. Now, before anything else: `demo_ids`.",
        "2. Run `doctor` again.",
    ]


def test_findings_end_with_1_only_where_money_or_access_is_at_stake(patient: Patient) -> None:
    patient.facts["earliest_removal"] = "2020-01-01"
    assert list(patient.examined(code=0).found) == ["api_version_ending"]
    patient.app.answers["GET", "/billing/access"] = 200
    report = patient.examined(code=1)
    assert [issue["priority"] for issue in report.json["issues"]] == ["P1", "P1", "P2"]
    lines = patient.text(code=1).splitlines()
    start = lines.index("### A route of billing is open to everybody (`user_route_unprotected`)")
    assert lines[start + 2 : start + 5] == [
        "- GET /billing/access: answers 200 to nobody signed in",
        "",
        "Fix: Let the route ask who is signed in.",
    ]


@both_runtimes
def test_the_target_is_said_first_and_progress_stays_off_stdout(patient: Patient) -> None:
    ran = patient.run()
    assert ran.err.splitlines() == [f"Target: {patient.facts['target']}"]
    assert ran.out.startswith("# Billing integration report\n")


@both_runtimes
def test_the_store_that_is_meant_is_opened(patient: Patient) -> None:
    if patient.runtime == "fastapi":
        assert "No such option" in patient.run("--remote", code=2).err
        return
    patient.run("--remote")
    patient.run("--persist-to", str(patient.tool.folder))
    assert patient.tool.stores[-2:] == [Store(True), Store(False, str(patient.tool.folder))]


def test_a_bridge_that_cannot_be_started_is_one_line(patient: Patient) -> None:
    def broken(_project: Project, _store: Store) -> None:
        raise BridgeBroken("The bridge cannot be started: node: No such file or directory.")

    patient.patch.setattr(Project, "start_bridge", broken)
    ran = patient.run(code=2)
    assert (ran.out, ran.err) == ("", "Error: The bridge cannot be started: node: No such file or directory.\n")


def test_every_check_has_a_project_in_which_it_fires() -> None:
    """And one in which it does not: the healthy one above."""
    assert len(CHECKS) == 55
    assert list(CHECKERS) == list(CHECKS)
    told = "".join(file.read_text() for file in Path(__file__).parent.glob("test_*.py"))
    assert [check for check in CHECKS if f'"{check}"' not in told] == []


def test_titles_and_fixes_are_short_sentences() -> None:
    for check_id, check in CHECKS.items():
        assert re.fullmatch("[a-z]+(_[a-z]+)*", check_id)
        assert check.fix.endswith((".", ".)")), check_id
        assert not check.title.endswith("."), check_id
