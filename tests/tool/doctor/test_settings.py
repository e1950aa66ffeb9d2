"""What the doctor finds in settings and files, none of whose values it shows."""

from __future__ import annotations

import subprocess

import pytest

from tests.support.render import TOKEN
from tests.tool.doctor.conftest import FILES, JWT_SECRET, WEBHOOK_SECRET, Patient, both_runtimes

LEGACY = "whsec_" + "a1B2" * 10


@both_runtimes
def test_settings_that_are_unfit_are_named_and_the_rest_is_skipped(patient: Patient) -> None:
    patient.refuse_settings(
        "APP_URL: must be an origin such as https://app.example.com.\nPOLAR_SERVER: must be: known."
    )
    report = patient.examined(code=1)
    assert report.found == {
        "settings_unfit": [
            ("APP_URL", "must be an origin such as https://app.example.com."),
            ("POLAR_SERVER", "must be: known."),
        ]
    }
    assert report.skipped["webhook_unsigned"] == "Invalid settings."
    for check in ("event_unhandled", "access_table", "demo_ids", "api_version_ending"):
        assert check in report.json["passed"]
    assert (report.json["status"]["settings"], report.json["status"]["tables"]) == (None, None)
    assert patient.polar.calls == []


def test_a_token_and_secrets_of_the_wrong_kind(patient: Patient) -> None:
    token = "polar_pat_" + "x" * 40
    patient.set(POLAR_ACCESS_TOKEN=token, POLAR_WEBHOOK_SECRET=f"{WEBHOOK_SECRET}, {LEGACY}")
    patient.facts["settings"]["app_url"] = "http://app.invalid"
    ran = patient.run("--json", code=1)
    report = patient.examined(code=1)
    assert report.found == {
        "app_url_insecure": [("APP_URL", "does not begin with https://")],
        "token_refused": [("POLAR_ACCESS_TOKEN", "is unknown to the sandbox server")],
        "token_kind": [("POLAR_ACCESS_TOKEN", "does not begin with polar_oat_")],
        "secret_legacy": [("POLAR_WEBHOOK_SECRET", "secret 2: the whole text is the key")],
    }
    assert report.json["status"]["settings"]["webhook_secrets"] == ["standard", "legacy"]
    assert report.skipped["token_scope_missing"] == "Polar refuses the token."
    assert not [secret for secret in (token, LEGACY, WEBHOOK_SECRET, JWT_SECRET) if secret in ran.out + ran.err]


def test_a_token_that_is_only_elsewhere_is_asked_for(patient: Patient) -> None:
    patient.set(POLAR_ACCESS_TOKEN="")
    report = patient.examined()
    missing = "POLAR_ACCESS_TOKEN is not in the environment of this command."
    assert report.skipped["product_missing"] == missing
    assert report.skipped["token_kind"] == missing


def test_the_catalogue_of_another_server(patient: Patient) -> None:
    patient.facts["settings"]["server"] = "production"
    assert patient.examined(code=1).found == {
        "server_mismatch": [("POLAR_SERVER", "is production; the catalogue was read from sandbox")]
    }


@both_runtimes
def test_secrets_that_git_knows_and_others_can_read(patient: Patient) -> None:
    folder, own = patient.tool.folder, FILES[patient.runtime]
    subprocess.run(["git", "init", "--quiet"], cwd=folder, check=True)
    subprocess.run(["git", "add", "."], cwd=folder, check=True)
    assert "secret_committed" in patient.examined().json["passed"]
    leaks = {
        "deploy.sh": f"POLAR_ACCESS_TOKEN={TOKEN}",
        "docs/token.md": "polar_oat_" + "Z9y8" * 9,
        "notes.txt": f"the secret of the tokens is {JWT_SECRET}",
        "wrangler.toml": f'POLAR_WEBHOOK_SECRET = "{LEGACY}"',
        own: "",
    }
    for name, text in leaks.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    (folder / own).chmod(0o644)
    (folder / "gone").symlink_to("nowhere")
    subprocess.run(["git", "add", "--force", *leaks, "gone"], cwd=folder, check=True)
    ran = patient.run("--json", code=1)
    assert patient.examined(code=1).found == {
        "secret_committed": [
            (own, "is the file of secrets itself"),
            ("deploy.sh", "has the value of POLAR_ACCESS_TOKEN"),
            ("docs/token.md", "has what looks like an access token"),
            ("notes.txt", "has the value of AUTH_JWT_SECRET"),
            ("wrangler.toml", "has what looks like a webhook secret"),
        ],
        "secret_readable": [("the file of secrets", "is readable by group or others")],
    }
    assert not [secret for secret in (TOKEN, LEGACY, JWT_SECRET) if secret in ran.out + ran.err]


@both_runtimes
def test_secrets_come_from_the_file_that_the_app_reads(patient: Patient, monkeypatch: pytest.MonkeyPatch) -> None:
    file = patient.tool.folder / FILES[patient.runtime]
    file.write_text(f"POLAR_ACCESS_TOKEN={TOKEN}\nPOLAR_WEBHOOK_SECRET={WEBHOOK_SECRET}\n")
    file.chmod(0o600)
    monkeypatch.delenv("POLAR_ACCESS_TOKEN")
    monkeypatch.delenv("POLAR_WEBHOOK_SECRET")
    report = patient.examined()
    assert report.found == {}
    assert {"webhook_stale", "endpoint_secret", "secret_readable"} <= set(report.json["passed"])
