"""`simulate`: the calls and the apps that it refuses."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import pytest

from copier_polar.simulation.running_app import START
from tests.support.deliveries import new_secret
from tests.support.process import free_port
from tests.tool.simulated import JWT_SECRET, WEBHOOK_SECRET, App, Operated, operated, raw_facts, simulate


@pytest.fixture
def project(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Operated:
    return operated(tmp_path, "fastapi", capsys, monkeypatch)


@pytest.fixture
def app() -> Generator[App]:
    with App() as running:
        yield running


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (["nothing"], "no scenario is called nothing; `simulate` lists them"),
        (["buy", "--all"], "scenarios, --all and --event exclude each other"),
        (["--all", "--event", "order.paid"], "scenarios, --all and --event exclude each other"),
        (["--event", "order.exploded"], "Polar has no event type order.exploded"),
        (["buy", "--seed", "x"], "--seed"),
        (["buy", "--seed", "-1"], "--seed"),
        (["buy", "--user", ""], "must be 1 to 255 characters"),
        (["buy", "--header", "Cookie: a=b"], "must be NAME: VALUE, with"),
        (["buy", "--user", "user_1", "--header", "Cookie"], "must be NAME: VALUE, with"),
        (["buy", "--user", "user_1", "--header", "Cookie: a\r\nHost: b"], "must be NAME: VALUE, with"),
        (["buy", "--user", "é", "--header", "Cookie: {user}"], "must be NAME: VALUE, with"),
    ],
)
def test_a_wrong_call_ends_with_2(project: Operated, wrong: list[str], said: str) -> None:
    ran = project.run("simulate", *wrong)
    assert (ran.code, ran.out) == (2, "")
    assert said in ran.err


@pytest.mark.parametrize("runtime", ["worker", "fastapi"])
def test_an_app_that_does_not_answer(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, runtime: str
) -> None:
    project = operated(tmp_path, runtime, capsys, monkeypatch)
    address = f"http://127.0.0.1:{free_port()}"
    said = project.run("simulate", "buy", "--url", address)
    assert (said.code, said.out) == (1, "")
    assert said.err == f"Error: The app does not answer at {address}: start it with `{START[runtime]}`.\n"


def test_an_app_that_answers_something_else(project: Operated, app: App) -> None:
    app.access_answer = (302, b"")
    assert simulate(project, app, "buy").err == "Error: The app answers 302 where it is asked for the access.\n"
    for nonsense in (b"<html>", b"[]", b"{}", b"7"):
        app.access_answer = (200, nonsense)
        said = simulate(project, app, "buy")
        assert (said.code, said.out) == (1, "")
        assert said.err == "Error: The app answers something else than the access where it is asked for it.\n"
    assert app.events == []


def test_other_secrets_than_the_apps(project: Operated, app: App) -> None:
    project.set(POLAR_WEBHOOK_SECRET=new_secret("standard"), AUTH_JWT_SECRET=JWT_SECRET)
    said = simulate(project, app, "buy")
    assert (said.code, said.out) == (1, "")
    assert said.err == "Error: The app refuses the signature: its POLAR_WEBHOOK_SECRET is another one than here.\n"
    project.set(POLAR_WEBHOOK_SECRET=WEBHOOK_SECRET, AUTH_JWT_SECRET="another secret of at least 32 bytes")
    said = simulate(project, app, "buy")
    assert said.code == 1
    assert said.err.startswith("Error: The app does not let the user in, so the access cannot be asked")
    project.set(AUTH_JWT_SECRET=JWT_SECRET)
    said = simulate(project, app, "buy")
    assert (said.code, said.out) == (1, "")
    assert said.err == "Error: POLAR_WEBHOOK_SECRET is not set here, so there is nothing to sign with.\n"
    assert app.events == []


def test_the_first_of_several_secrets_signs(project: Operated, app: App) -> None:
    project.set(POLAR_WEBHOOK_SECRET=f" {WEBHOOK_SECRET} ,{new_secret('legacy')}", AUTH_JWT_SECRET=JWT_SECRET)
    assert simulate(project, app, "--event", "order.paid").code == 0


def test_elsewhere_only_the_operators_environment_has_secrets(project: Operated, app: App) -> None:
    project.patch.setenv("POLAR_BILLING_BRIDGE", "ssh server bridge")
    assert "POLAR_WEBHOOK_SECRET is not set here" in simulate(project, app, "--event", "order.paid").err
    project.patch.setenv("POLAR_WEBHOOK_SECRET", WEBHOOK_SECRET)
    assert simulate(project, app, "--event", "order.paid").code == 0


@pytest.mark.parametrize(
    "url",
    [
        *("https://127.0.0.1:1", "http://10.0.0.1:1", "http://127.0.0.1.example.com", "http://localhost:1/app"),
        *("http://127.0.0.1@example.com", "http://[::1", "http://127.0.0.1:x", "app.example.com", ""),
    ],
)
def test_only_an_app_on_this_machine_is_played_to(project: Operated, url: str) -> None:
    said = project.run("simulate", "buy", f"--url={url}")
    assert (said.code, said.out) == (1, "")
    assert said.err in (
        f"Error: {url} is not on this machine: only an app at http://127.0.0.1:PORT is played to.\n",
        f"Error: {url} is no address.\n",
    )


@pytest.mark.parametrize("where", ["app", "environment"])
def test_nothing_is_simulated_in_production(project: Operated, app: App, where: str) -> None:
    if where == "app":
        project.facts = raw_facts(project.runtime, settings={"server": "production"})
    else:
        project.patch.setenv("POLAR_SERVER", "production")
    said = simulate(project, app, "buy")
    assert (said.code, said.out, app.events) == (1, "", [])
    assert said.err == "Error: POLAR_SERVER is production: nothing is simulated there.\n"


def test_invalid_settings_are_named(project: Operated, app: App) -> None:
    project.facts = raw_facts(project.runtime, settings={"problem": "APP_URL: is required."})
    said = simulate(project, app, "buy")
    assert (said.code, said.out, said.err) == (1, "", "Error: Settings: APP_URL: is required.\n")
