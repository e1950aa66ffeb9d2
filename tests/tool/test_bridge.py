"""The bridge as a process: whatever it does wrong is one line and exit code 2, and no process is left."""

from __future__ import annotations

import json
import os
import shlex
import sys
import time
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from copier_polar import bridge as bridge_module
from copier_polar import cli, project
from copier_polar.bridge import Bridge, BridgeBroken, SettingsProblem, StoreProblem
from tests.tool.fake_bridge import FACTS, MISBEHAVIOURS, REPOSITORY, Failure, FakeBridge, make_facts

SAID = {
    "dies at start": "The bridge ended by itself (exit code 3); what it printed says why.",
    "dies in the middle": "The bridge ended by itself (exit code 4); what it printed says why.",
    "is killed": "The bridge ended by itself (exit code -9); what it printed says why.",
    "hangs at start": "The bridge does not start within 1 seconds.",
    "hangs": "The bridge does not answer to `facts` within 1 seconds.",
    "nonsense": "The bridge answers nonsense: something else writes to its standard output.",
    "prints before the hello": "The bridge answers nonsense: something else writes to its standard output.",
    "prints in the middle": "The bridge answers nonsense: something else writes to its standard output.",
    "other version": "The bridge of this project speaks version 2, this tool version 1: "
    "start the tool by the project's own `billing` command.",
    "no version": "The bridge answers nonsense: it does not say its version.",
    "other runtime": "The bridge is of another project: its runtime is not the one of the answers file.",
    "without end": "The bridge answers without end.",
    "other id": "The bridge answers something else than `facts`.",
    "no result": "The bridge answers nonsense to `facts`.",
    "incomplete facts": "The bridge answers nonsense: its facts are incomplete.",
    "internal error": "The bridge could not do `facts`: ZeroDivisionError",
}


def command(folder: Path, *misbehaviour: str) -> list[str]:
    return [sys.executable, "-m", "tests.tool.fake_bridge", str(folder), *misbehaviour]


def started(folder: Path, *misbehaviour: str, **seconds: float) -> Bridge:
    return Bridge(command(folder, *misbehaviour), REPOSITORY, os.environ, **seconds)  # type: ignore[arg-type]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / FACTS).write_text(json.dumps(make_facts()))
    return tmp_path


def is_running(process: int) -> bool:
    """Whether a process runs; one that ended may not have been taken off the list yet."""
    try:
        return "\nState:\tZ" not in Path(f"/proc/{process}/status").read_text()
    except OSError:
        return False


def left_over(folder: Path) -> list[str]:
    """The processes that still work on a folder."""
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            found.append(file.read_text(errors="replace").replace("\0", " "))
    return [arguments for arguments in found if str(folder) in arguments]


def test_a_bridge_answers_and_ends_with_the_block(folder: Path) -> None:
    with started(folder) as bridge:
        assert bridge.runtime == "worker"
        assert bridge.call("facts")["settings"]["server"] == "sandbox"
        name = "é\u2028\n\x00'; --"
        rows = bridge.batch(
            ("INSERT INTO billing_customers (id, name) VALUES (:id, :name)", {"id": "c1", "name": name}),
            ("SELECT name FROM billing_customers", {}),
        )
        assert rows == [[], [{"name": name}]]
        with pytest.raises(StoreProblem, match="The database refused"):
            bridge.sql("SELECT nonsense")
        large = "x" * 5_000_000  # more than a pipe holds, there and back
        assert bridge.sql("SELECT :text AS text", text=large) == [{"text": large}]
    assert left_over(folder) == []


@pytest.mark.parametrize("misbehaviour", MISBEHAVIOURS)
def test_what_a_bridge_does_wrong_is_one_line(
    folder: Path, misbehaviour: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (folder / ".copier-answers.yml").write_text("polar_catalog: {}\nruntime: worker\n")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    monkeypatch.setattr(bridge_module, "LONGEST_LINE", 1024 * 1024)
    hasty = {"hangs at start": {"start_seconds": 1.0}, "hangs": {"call_seconds": 1.0}}.get(misbehaviour, {})
    monkeypatch.setattr(project, "Bridge", partial(Bridge, **hasty))
    with pytest.raises(SystemExit) as ended:
        cli.main(["--project", str(folder), "--bridge", shlex.join(command(folder, misbehaviour)), "block", "user_1"])
    out, err = capfd.readouterr()
    assert (ended.value.code, out) == (2, "")
    assert err.splitlines()[-1] == f"Error: {SAID[misbehaviour]}"
    assert "copier_polar" not in err, "no traceback of the tool"
    assert left_over(folder) == []


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["no-such-command"], "The bridge cannot be started: no-such-command: No such file or directory."),
        (["/"], "The bridge cannot be started: /: Permission denied."),
        (["a\0b"], "The bridge cannot be started: a\0b: no command."),
    ],
)
def test_a_command_that_is_missing(tmp_path: Path, given: list[str], said: str) -> None:
    with pytest.raises(BridgeBroken) as raised:
        Bridge(given, tmp_path, {"PATH": "/usr/bin"})
    assert str(raised.value) == said


def test_a_bridge_that_does_not_read_is_not_waited_for(folder: Path) -> None:
    with started(folder, "hangs", call_seconds=0.3) as bridge:
        began = time.monotonic()
        for _ in range(2):
            with pytest.raises(BridgeBroken, match="does not answer to `sql`"):
                bridge.sql("SELECT :text", text="x" * 1_000_000)
        assert time.monotonic() - began < 5
        bridge._kill()
    assert left_over(folder) == []


def test_what_a_bridge_started_ends_with_it(tmp_path: Path) -> None:
    script = f"sleep 600 & echo $! > {tmp_path}/pid; echo nonsense; wait"
    with pytest.raises(BridgeBroken, match="answers nonsense"):
        Bridge(["sh", "-c", script], tmp_path, os.environ)
    child = int((tmp_path / "pid").read_text())
    deadline = time.monotonic() + 5
    while is_running(child):
        assert time.monotonic() < deadline, "it runs on"
        time.sleep(0.01)


@pytest.mark.parametrize(
    ("error", "kind", "said"),
    [
        ({"kind": "settings", "message": "APP_URL: x"}, SettingsProblem, "APP_URL: x"),
        ({"kind": "nonsense", "message": None}, BridgeBroken, "The bridge could not do `facts`: unknown"),
        ({"kind": ["polar"]}, BridgeBroken, "The bridge could not do `facts`: unknown"),
        ("nonsense", BridgeBroken, "The bridge could not do `facts`: unknown"),
        (None, BridgeBroken, "The bridge could not do `facts`: unknown"),
    ],
)
def test_errors_of_the_protocol(tmp_path: Path, error: Any, kind: type[Exception], said: str) -> None:
    bridge = FakeBridge(tmp_path)

    def fail() -> None:
        failure = Failure("", "")
        failure.error = error
        raise failure

    bridge.scripts["facts"] = fail
    with pytest.raises(kind) as raised:
        bridge.call("facts")
    assert str(raised.value) == said
