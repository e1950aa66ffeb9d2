"""`token`: a bearer token of a user, as the app's settings want it."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from tests.tool.simulated import JWT_SECRET, Operated, claims_of, operated, raw_facts


@pytest.fixture(params=["worker", "fastapi"])
def project(
    request: pytest.FixtureRequest, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Operated:
    return operated(tmp_path, request.param, capsys, monkeypatch)


def test_a_token_is_good_for_an_hour_and_says_who_it_is_of(project: Operated) -> None:
    said = project.run("token", "--user", "user_1", "--email", "ada@example.com", "--json")
    claims = claims_of(said.json["token"])
    assert (said.code, said.json["expires_in"]) == (0, 3600)
    assert abs(claims.pop("iat") - time.time()) < 60
    assert abs(claims.pop("exp") - time.time() - 3600) < 60
    assert claims == {"sub": "user_1", "email": "ada@example.com"}
    assert {"event": "audit", "command": "token", "subject": "user_1"}.items() <= json.loads(said.err).items()
    assert "ada@" not in said.err


def test_as_text_it_is_alone_on_its_line(project: Operated) -> None:
    project.facts = raw_facts(project.runtime, settings={"issuer": "https://issuer.example.com", "audience": "app"})
    said = project.run("token", "--user", "é" * 255)
    (line,) = said.out.splitlines()
    assert {"sub": "é" * 255, "iss": "https://issuer.example.com", "aud": "app"}.items() <= claims_of(line).items()


def test_the_operators_environment_wins_over_the_file(project: Operated) -> None:
    project.patch.setenv("AUTH_JWT_SECRET", "another secret of at least 32 bytes")
    (line,) = project.run("token", "--user", "user_1").out.splitlines()
    assert claims_of(line) == {}
    assert claims_of(line, "another secret of at least 32 bytes")["sub"] == "user_1"


def test_what_cannot_be_signed_is_refused(project: Operated) -> None:
    for user in ("", "a" * 256, "a\nb"):
        said = project.run("token", "--user", user)
        assert (said.code, said.out) == (2, "")
        assert "must be 1 to 255 characters" in said.err
    assert project.run("token").code == 2
    project.set(POLAR_SERVER="demo")
    said = project.run("token", "--user", "user_1")
    assert (said.code, said.out) == (1, "")
    assert said.err == "Error: AUTH_JWT_SECRET is not set, so there is nothing to sign with.\n"


def test_invalid_settings_are_named(project: Operated) -> None:
    project.facts = raw_facts(project.runtime, settings={"problem": "APP_URL: is required."})
    said = project.run("token", "--user", "user_1")
    assert (said.code, said.out, said.err) == (1, "", "Error: Settings: APP_URL: is required.\n")
    assert JWT_SECRET not in said.err


def test_a_project_that_signs_in_its_own_way_has_no_such_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    said = operated(tmp_path, "fastapi", capsys, monkeypatch, auth="custom").run("token", "--user", "user_1")
    assert (said.code, "No such command" in said.err) == (2, True)
