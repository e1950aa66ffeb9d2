"""The tool as a process of its own: colours, questions and progress on a terminal, plain text elsewhere, Ctrl-C."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import shlex
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.tool.conftest import ANSWERS, Ran
from tests.tool.fake_bridge import ASKED, FACTS, REPOSITORY, SLOW, FakeBridge, make_facts
from tests.tool.test_bridge import left_over

GREEN = "\x1b[32m"
TIMEOUT = 60
STOPPING = "Stopping after what is in hand; Ctrl-C once more ends it now."


@dataclass(frozen=True)
class Process:
    """The tool on a project whose bridge is a process too."""

    folder: Path
    bridge: FakeBridge

    def started(self, *command: str, bridge: str = "") -> tuple[list[str], dict[str, str]]:
        """The command line and its environment."""
        fake = shlex.join([sys.executable, "-m", "tests.tool.fake_bridge", str(self.folder), bridge])
        unset = {"NO_COLOR", "FORCE_COLOR", "CI", "POLAR_ACCESS_TOKEN"}
        kept = {name: value for name, value in os.environ.items() if name not in unset}
        started = [sys.executable, "-m", "copier_polar", "--project", str(self.folder), "--bridge", fake, *command]
        return started, {**kept, "PYTHONPATH": str(REPOSITORY), "TERM": "xterm-256color", "COLUMNS": "200"}

    def run(self, *command: str) -> Ran:
        """Call a command without a terminal."""
        started, environment = self.started(*command)
        done = subprocess.run(
            started,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
            check=False,
        )
        return Ran(done.returncode, done.stdout, done.stderr)

    def on_terminal(self, *command: str, typed: str = "") -> Ran:
        """Call a command on a terminal of its own, and type a line when it asks; all that it printed is in `out`."""
        started, environment = self.started(*command)
        ours, theirs = pty.openpty()
        with subprocess.Popen(
            started,
            env=environment,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # so that Ctrl-C reaches it
        ) as process:
            os.close(theirs)
            printed = b""
            # The end of a terminal is an error on Linux.
            with suppress(OSError), os.fdopen(ours, "r+b", buffering=0) as screen:
                while piece := screen.read(4096):
                    printed += piece
                    if typed and b"[y/N]: " in printed:
                        screen.write(f"{typed}\n".encode())
                        typed = ""
            process.wait(TIMEOUT)
        return Ran(process.returncode, printed.decode(errors="replace"), "")

    def interrupted(self, *command: str, presses: int = 1) -> Ran:
        """Call a command, and press Ctrl-C when an event is in hand: for all that a terminal would reach."""
        started, environment = self.started(*command, bridge=SLOW)
        with subprocess.Popen(
            started,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # as a terminal; a script may ignore it
        ) as process:
            try:
                _wait_for(self.folder / ASKED)
                for _ in range(presses):
                    os.killpg(process.pid, signal.SIGINT)
                    time.sleep(0.2)
                out, err = process.communicate(timeout=TIMEOUT)
            finally:
                process.kill()
        return Ran(process.returncode, out, err)


def _wait_for(file: Path) -> None:
    deadline = time.monotonic() + TIMEOUT
    while not file.exists():
        assert time.monotonic() < deadline, "the command did not come that far"
        time.sleep(0.02)


@pytest.fixture
def process(tmp_path: Path) -> Process:
    (tmp_path / ANSWERS).write_text("polar_catalog: {}\nruntime: worker\n")
    (tmp_path / FACTS).write_text(json.dumps(make_facts()))
    made = Process(tmp_path, FakeBridge(tmp_path))
    made.bridge.add("customers", id="c1", external_id="user_1", email="ada@example.com")
    return made


def events(process: Process, names: Sequence[str]) -> None:
    for name in names:
        row = {"webhook_id": name, "type": "order.paid", "state": "dead", "received_us": 1, "body": b"{}"}
        process.bridge.add("webhook_events", **row)


def test_there_are_colours_on_a_terminal_and_nowhere_else(process: Process) -> None:
    assert f"{GREEN}Blocked: 1 customer(s) of this user." in process.on_terminal("block", "user_1").out
    assert "\x1b[1m" in process.on_terminal("block", "--help").out
    document = process.on_terminal("block", "user_1", "--json").out.partition("{\r\n")[2]
    assert "\x1b" not in document
    assert json.loads("{" + document)["blocked"] is True
    for command in (("block", "user_1"), ("block", "--help"), ("nonsense",)):
        ran = process.run(*command)
        assert "\x1b" not in ran.out + ran.err, command


NO = ("n", " ", "\x03", "\x04")  # also Ctrl-C and Ctrl-D


@pytest.mark.parametrize(
    ("typed", "code", "said"),
    [*((no, 1, "Nothing was changed.") for no in NO), ("y", 0, "Erased: 1 customer(s)")],
)
def test_what_cannot_be_undone_is_asked_about(process: Process, typed: str, code: int, said: str) -> None:
    ran = process.on_terminal("erase", "user_1", typed=typed)
    assert "Erase the personal data of user user_1? It cannot be brought back. [y/N]: " in ran.out
    assert (ran.code, said in ran.out, "Traceback" in ran.out) == (code, True, False), ran.out
    (row,) = process.bridge.rows("SELECT email FROM billing_customers")
    assert (row["email"] is None) is (code == 0)
    assert left_over(process.folder) == []


def test_long_work_says_how_far_it_is(process: Process) -> None:
    events(process, ["wh_1", "wh_2"])
    assert "Replaying" in process.on_terminal("replay").out
    assert "Replaying" not in process.run("replay").err


def test_ctrl_c_does_not_reach_the_bridge_and_ends_the_command_after_what_is_in_hand(process: Process) -> None:
    events(process, ["wh_1", "wh_2", "wh_3"])
    ran = process.interrupted("replay", "--json")
    assert ran.code == 130, ran.err
    assert [event["outcome"] for event in ran.json["events"]] == ["processed"]
    assert STOPPING in ran.err
    assert ran.error == "Stopped after 1 of 3. Run it again: nothing is applied twice."
    assert left_over(process.folder) == []


def test_pressed_twice_it_ends_at_once_and_the_bridge_with_it(process: Process) -> None:
    events(process, ["wh_1", "wh_2", "wh_3"])
    ran = process.interrupted("replay", "--json", presses=2)
    assert ran.code in (130, -2), ran.err  # a shell says 130 of a process that the signal ended
    assert (ran.out, "Traceback" in ran.err) == ("", False)
    assert left_over(process.folder) == []


def test_an_argument_that_is_no_text(process: Process) -> None:
    started, environment = process.started("block", "user")
    done = subprocess.run(
        [*started[:-1], b"user\xff"], env=environment, capture_output=True, timeout=TIMEOUT, check=False
    )
    assert (done.returncode, done.stderr.splitlines()[-1]) == (1, b"Error: An argument is no text.")
