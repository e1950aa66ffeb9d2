"""The frame of the commands: help, options, settings, the database, how they end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from copier_polar import cli
from copier_polar.project import OUT_OF_DATE, Store
from tests.tool.conftest import Tool
from tests.tool.fake_bridge import DATABASE, Failure

HERE = ("block", "erase", "link", "migrate", "reconcile", "replay", "unlinked")
WORKER_TARGET = "Target: the local database in /project/.wrangler/state"
FASTAPI_TARGET = "Target: sqlite:///billing.db"


@pytest.mark.parametrize("name", HERE)
def test_help_says_how_a_command_is_typed_in_this_project(tool: Tool, name: str) -> None:
    worker = tool.run(name, "--help").out
    tool.use("fastapi")
    fastapi = tool.run(name, "--help").out
    assert f"Example: npm run billing -- {name}" in worker
    assert f"Example: uv run billing {name}" in fastapi
    assert ("--remote" in worker, "--persist-to <folder>" in worker) == (True, True)
    assert ("--remote" in fastapi, "--persist-to" in fastapi) == (False, False)
    assert "--json" in worker
    assert "--json" in fastapi
    assert tool.bridge.calls == []


def test_outside_a_project_help_has_every_option(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["--project", str(tmp_path), "block", "--help"])
    assert ended.value.code == 0
    assert "--remote" in capsys.readouterr().out


def test_a_project_without_signed_tokens_has_no_command_for_them(tool: Tool) -> None:
    tool.write_answers("worker", auth="custom")
    assert "No such command 'token'" in tool.run("token", "--user", "user_1", code=2).err


def test_a_worker_has_two_options_that_the_other_runtime_has_not(tool: Tool, monkeypatch: pytest.MonkeyPatch) -> None:
    tool.run("unlinked", "--remote")
    monkeypatch.chdir(tool.folder)
    tool.run("unlinked", "--persist-to", "store")
    assert tool.stores == [Store(remote=True), Store(persist_to=str(tool.folder / "store"))]
    both = tool.run("unlinked", "--remote", "--persist-to", "store", code=2)
    assert both.error == "Error: option '--remote' cannot be used with option '--persist-to <folder>'."
    assert len(tool.stores) == 2
    tool.use("fastapi")
    assert "No such option" in tool.run("unlinked", "--remote", code=2).err


@pytest.mark.parametrize(
    "wrong", [[], ["nonsense"], ["block"], ["replay", "--nonsense"], ["--project"], ["--nonsense"]]
)
def test_a_command_that_is_called_wrongly_ends_with_2(tool: Tool, wrong: list[str]) -> None:
    tool.run(*wrong, code=2)
    assert tool.bridge.calls == []


@pytest.mark.parametrize("state", ["no tables", "no answer"])
def test_a_store_that_is_not_up_to_date_is_one_clean_line(tool: Tool, state: str) -> None:
    if state == "no tables":
        (tool.folder / DATABASE).unlink()
    else:
        tool.bridge.scripts["migrations"] = lambda: {"answers": False, "current": False}
    ran = tool.run("block", "user_1", "--json", code=1)
    assert ran.out == ""
    assert ran.err.splitlines() == [WORKER_TARGET, f"Error: {OUT_OF_DATE}"]


def test_invalid_settings_are_named(tool: Tool) -> None:
    tool.bridge.facts["settings"]["problem"] = "APP_URL: must be an origin.\nAUTH_JWT_SECRET: is short."
    settings = "Error: Settings: APP_URL: must be an origin. AUTH_JWT_SECRET: is short."
    assert tool.run("block", "user_1", code=1).err.splitlines() == [WORKER_TARGET, settings]
    assert tool.bridge.asked("sql") == []
    # What is deployed has settings of its own, and blocking needs none.
    assert "No customer of this user" in tool.run("block", "user_1", "--remote", code=1).err
    link = tool.run("link", "user_1", "63675639-d3c2-4715-8507-3e8b6e9241ee", "--remote", code=1)
    assert link.error == settings
    tool.use("fastapi")
    tool.bridge.facts["settings"]["problem"] = "APP_URL: must be an origin.\nAUTH_JWT_SECRET: is short."
    tool.bridge.facts["target"] = None
    assert tool.run("block", "user_1", code=1).err.splitlines() == [settings]


def test_the_target_is_said_first(tool: Tool) -> None:
    assert tool.run("unlinked").err.splitlines()[0] == WORKER_TARGET
    tool.use("fastapi")
    assert tool.run("unlinked").err.splitlines()[0] == FASTAPI_TARGET


def test_migrating_twice_changes_nothing(tool: Tool) -> None:
    (tool.folder / DATABASE).unlink()
    assert tool.run("migrate").out == "The database is up to date.\n"
    ran = tool.run("migrate", "--json")
    assert (ran.json, ran.err) == ({"current": True}, "")
    assert [name for name, _ in tool.bridge.calls] == ["migrate", "migrate"]
    tool.use("fastapi")
    assert tool.run("migrate").err.splitlines() == [FASTAPI_TARGET]
    tool.bridge.facts["settings"]["problem"] = "APP_URL: must be an origin."
    assert tool.run("migrate", code=1).error == "Error: Settings: APP_URL: must be an origin."
    assert len(tool.bridge.asked("migrate")) == 3


def test_a_migration_that_fails(tool: Tool) -> None:
    def fail() -> None:
        raise Failure("store", "The database could not be migrated. near x: syntax error")

    tool.bridge.scripts["migrate"] = fail
    assert tool.run("migrate", code=1).error == "Error: The database could not be migrated. near x: syntax error"


@pytest.mark.parametrize(
    ("failure", "code", "said"),
    [
        (Failure("store", "The database refused: OperationalError."), 1, "The database refused: OperationalError."),
        (Failure("settings", "A: x\nB: y"), 1, "Settings: A: x B: y"),
        (Failure("demo", "x"), 1, "These are demo products: there is no Polar to ask. POLAR_SERVER names one."),
        (Failure("unreadable", "id is missing"), 1, "id is missing"),
        (Failure("polar", "Polar answered 403 x", status=403, error="x"), 1, "Polar answered 403 x."),
        (Failure("gone", "Polar answered 404 ResourceNotFound", status=404), 1, "Polar answered 404 ResourceNotFound."),
        (
            Failure("polar", "No answer from Polar: ConnectError", status=0),
            1,
            "Polar does not answer: look at the network, and at POLAR_BASE_URL if it is set.",
        ),
        (Failure("internal", "ZeroDivisionError"), 2, "The bridge could not do `sql`: ZeroDivisionError"),
        (Failure("bad_request", "sql: x"), 2, "The bridge could not do `sql`: sql: x"),
        (Failure("store", "\x1b[2Jx"), 1, "\ufffd[2Jx"),
    ],
)
def test_every_error_of_the_bridge_is_one_line(tool: Tool, failure: Failure, code: int, said: str) -> None:
    def fail(statements: Any) -> None:
        raise failure

    tool.bridge.scripts["sql"] = fail
    ran = tool.run("block", "user_1", code=code)
    assert (ran.out, ran.err.splitlines()) == ("", [WORKER_TARGET, f"Error: {said}"])
    assert tool.bridge.closed


def test_an_argument_that_is_no_text(tool: Tool) -> None:
    assert tool.run("block", "user\udcff", code=1).error == "Error: An argument is no text."


def test_ctrl_c_elsewhere_ends_it_at_once(tool: Tool) -> None:
    def interrupted(statements: Any) -> None:
        raise KeyboardInterrupt

    tool.bridge.scripts["sql"] = interrupted
    ran = tool.run("unlinked", code=130)
    assert ran.out == ""
    assert tool.bridge.closed
