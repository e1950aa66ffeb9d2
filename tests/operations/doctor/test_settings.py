"""What the doctor finds in settings and files, none of whose values it shows."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.operations.doctor.conftest import Patient
from tests.operations.side import JWT_SECRET
from tests.support.render import TOKEN

LEGACY = "whsec_" + "a1B2" * 10
SIGN_IN = "q7Lw0zXk" * 5  # the usual one of these tests stands in tests of the generated project too


def test_settings_that_are_not_fit_are_named_and_the_rest_is_skipped(patient: Patient) -> None:
    report = patient.examined(code=1, APP_URL="nonsense")
    assert report.found == {"settings_unfit": [("APP_URL", "must be an origin such as https://app.example.com.")]}
    assert report.skipped["webhook_unsigned"] == "The settings are not fit."
    assert "event_unhandled" in report.json["passed"]


def test_a_token_and_secrets_of_the_wrong_kind(patient: Patient) -> None:
    token = "polar_pat_" + "x" * 40
    settings = {"POLAR_ACCESS_TOKEN": token, "POLAR_WEBHOOK_SECRET": LEGACY, "APP_URL": "http://app.invalid"}
    report = patient.examined(code=1, **settings)
    assert report.found == {
        "app_url_insecure": [("APP_URL", "does not begin with https://")],
        "token_refused": [("POLAR_ACCESS_TOKEN", "is unknown to the sandbox server")],
        "token_kind": [("POLAR_ACCESS_TOKEN", "does not begin with polar_oat_")],
        "secret_legacy": [("POLAR_WEBHOOK_SECRET", "secret 1: the whole text is the key")],
    }
    assert report.skipped["token_scope_missing"] == "Polar refuses the token."
    for side in patient.pair.sides:
        ran = side.run("doctor", PYTHONPATH="src", **settings)
        assert not [secret for secret in (token, LEGACY, JWT_SECRET) if secret in ran.out + ran.err]


def test_the_catalogue_of_another_server(patient: Patient) -> None:
    provider = {"AUTH_JWKS_URL": "https://id.invalid/keys", "AUTH_ISSUER": "me", "AUTH_AUDIENCE": "billing"}
    report = patient.examined(code=1, POLAR_SERVER="production", AUTH_JWT_SECRET="", **provider)
    assert report.found == {"server_mismatch": [("POLAR_SERVER", "is production; the catalogue was read from sandbox")]}


def test_secrets_that_git_knows_and_others_can_read(patient: Patient) -> None:
    assert patient.examined(AUTH_JWT_SECRET=SIGN_IN).skipped["secret_committed"] == "This is no git repository."
    leaks = {
        "deploy.sh": f"POLAR_ACCESS_TOKEN={TOKEN}",
        "docs/token.md": "polar_oat_" + "Z9y8" * 9,
        "notes.txt": f"the secret of the tokens is {SIGN_IN}",
        "wrangler.toml": f'POLAR_WEBHOOK_SECRET = "{LEGACY}"',
    }
    for side in patient.pair.sides:
        _repository(side.project)
    assert "secret_committed" in patient.examined(AUTH_JWT_SECRET=SIGN_IN).json["passed"]
    for side in patient.pair.sides:
        for name, text in leaks.items():
            (side.project / name).parent.mkdir(exist_ok=True)
            (side.project / name).write_text(text)
        for name in (".env", ".dev.vars"):
            (side.project / name).touch()
            (side.project / name).chmod(0o644)
        subprocess.run(["git", "add", "--force", ".env", ".dev.vars", *leaks], cwd=side.project, check=True)
    report = patient.examined(code=1, AUTH_JWT_SECRET=SIGN_IN)
    assert report.found == {
        "secret_committed": [
            (".dev.vars", "is the file of secrets itself"),
            (".env", "is the file of secrets itself"),
            ("deploy.sh", "has the value of POLAR_ACCESS_TOKEN"),
            ("docs/token.md", "has what looks like an access token"),
            ("notes.txt", "has the value of AUTH_JWT_SECRET"),
            ("wrangler.toml", "has what looks like a webhook secret"),
        ],
        "secret_readable": [("the file of secrets", "is readable by group or others")],
    }


def _repository(project: Path) -> None:
    """Everything of the project in git, as its author would begin; ignored files stay out."""
    subprocess.run(["git", "init", "--quiet"], cwd=project, check=True)
    subprocess.run(["git", "add", "."], cwd=project, check=True)
