"""Who did what by command: told at once, and kept in the database where that can be."""

from __future__ import annotations

import getpass
import json
from typing import Any

import pytest

from copier_polar.audit import trail
from copier_polar.bridge import BridgeBroken
from copier_polar.project import Opened, chosen
from tests.tool.conftest import Tool
from tests.tool.fake_bridge import Failure

NO_ROW = "No row of this is in billing_audit: the database does not answer or is not up to date."


@pytest.fixture
def opened(tool: Tool) -> Opened:
    tool.run("unlinked")
    return Opened(chosen(), tool.bridge)


def test_what_happened_elsewhere_is_kept_also_where_the_rest_fails(tool: Tool, opened: Opened) -> None:
    def fail_late() -> None:
        with trail(opened) as record:
            record("endpoint sync", "create e1")
            record("endpoint sync", "delete é2")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_late()
    rows = tool.bridge.rows("SELECT at_us > 1 AS at, command, subject FROM billing_audit ORDER BY id")
    assert [tuple(row.values()) for row in rows] == [
        (1, "endpoint sync", "create e1"),
        (1, "endpoint sync", "delete é2"),
    ]
    told = [json.loads(line) for line in tool.capture.readouterr().err.splitlines()]
    assert [entry["subject"] for entry in told] == ["create e1", "delete é2"]


def test_nothing_is_written_where_nothing_happened(tool: Tool, opened: Opened) -> None:
    asked = len(tool.bridge.calls)
    with trail(opened):
        pass
    assert len(tool.bridge.calls) == asked


@pytest.mark.parametrize("error", [Failure("store", "The database refused."), BridgeBroken("The bridge ended.")])
def test_a_database_that_is_not_there_is_said_and_stops_nothing(tool: Tool, opened: Opened, error: Exception) -> None:
    def fail(statements: Any) -> None:
        raise error

    tool.bridge.scripts["sql"] = fail
    with trail(opened) as record:
        record("endpoint sync", "create e1")
    assert tool.capture.readouterr().err.splitlines()[-1] == NO_ROW


def test_a_user_without_a_name(tool: Tool, monkeypatch: pytest.MonkeyPatch) -> None:
    def nameless() -> str:
        raise KeyError("uid not found")

    monkeypatch.setattr(getpass, "getuser", nameless)
    assert json.loads(tool.run("unlinked").error)["actor"].startswith("uid ")
