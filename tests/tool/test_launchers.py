"""What `npm run billing` and `uv run billing` start: the same in both runtimes, and as the tool itself says it."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.profiles import Profile
from tests.support import apps, node, python_env, registry
from tests.support.render import ROOT, render
from tests.tool.conftest import Ran
from tests.tool.fake_bridge import ASKED, FACTS, SLOW, FakeBridge, make_facts
from tests.tool.sources import BAD, GOOD, HASH, Row
from tests.tool.test_bridge import SAID, left_over
from tests.tool.test_terminal import STOPPING

FILES = {
    "worker": ("scripts/billing.mjs", "scripts/node-version.mjs"),
    "fastapi": tuple(
        f"src/app/{name}.py"
        for name in ("__init__", "values", *(f"billing/{n}" for n in ("__init__", "cli", "launch")))
    ),
}
COMMANDS = {
    "worker": (str(node.NODE), "scripts/billing.mjs"),
    "fastapi": (sys.executable, "-S", "-m", "app.billing.cli"),
}
CALLED_AS = {"worker": "npm run billing --", "fastapi": "uv run billing"}
ANSWERS = ".copier-answers.yml"
PLAIN = {"_src_path": "/srv/billing", "_commit": "0.3.0", "polar_catalog": {}}
SOURCE = "git+file:///srv/billing@0.3.0"
CONFLICT = "polar_catalog: {}\n<<<<<<< before updating\n_commit: 1\n=======\n_commit: 2\n>>>>>>> after updating\n"
TIMEOUT = 120
# In place of uv: it records its arguments, and does what FAKE says.
UV = f"""#!{sys.executable} -IS
import json, os, signal, sys, time
arguments = sys.argv[1:]
if arguments[:2] == ["tool", "run"]:
    del arguments[:2]
with open("calls", "a") as calls:
    calls.write(json.dumps(arguments) + "\\n")
how = os.environ.get("FAKE", "")
if how == "fails" or (how == "is new" and arguments[0] == "--offline"):
    os.write(2, b"error: failed to fetch https://user:secret@example.com/x.git\\n")
    sys.exit(1)
if how == "is the tool":
    command = [{sys.executable!r}, "-m", "copier_polar", *arguments[arguments.index("copier-polar") + 1 :]]
    os.execv(command[0], command)
os.write(2, b"Installed 40 packages from https://user:secret@example.com/x.git\\n")
os.write(2, b"\\x06noise\\n")
presses = []
signal.signal(signal.SIGINT, lambda *_: presses.append(1))
if how == "waits":
    open("waits", "w").close()
    ended = time.monotonic() + 60
    while not presses and time.monotonic() < ended:
        time.sleep(0.01)
    time.sleep(0.4)
    os.write(int(os.environ["COPIER_POLAR_STDERR"]), b"presses: %d\\n" % len(presses))
    sys.exit(130)
print(json.dumps({{name: value for name, value in os.environ.items() if "POLAR" in name}}))
os.write(int(os.environ["COPIER_POLAR_STDERR"]), b"of the tool\\n")
sys.exit(int(how) if how.isdigit() else 0)
"""


@dataclass(frozen=True)
class Launcher:
    """The launcher of a runtime in a folder with nothing else, and a fake uv."""

    runtime: str
    folder: Path

    @property
    def calls(self) -> list[list[str]]:
        """The arguments that uv got, call by call."""
        file = self.folder / "calls"
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []

    def answer(self, **answers: object) -> None:
        """Write the answers file, as Copier does."""
        (self.folder / ANSWERS).write_text(yaml.dump(answers, allow_unicode=True, indent=4), encoding="utf-8")

    def environment(self, **values: str) -> dict[str, str]:
        """The environment of whoever calls it; no other uv is known there."""
        unset = {"UV", "FORCE_COLOR", "POLAR_BILLING_TOOL", "POLAR_BILLING_BRIDGE"}
        kept = {name: value for name, value in os.environ.items() if name not in unset}
        own = {"HOME": str(self.folder.parent / "home"), "PATH": str(self.folder / "bin"), "NO_COLOR": "1"}
        return {**kept, **own, "PYTHONPATH": str(self.folder / "src"), **values}

    def run(self, *command: str, **values: str) -> Ran:
        """Call a command to its end."""
        done = subprocess.run(
            [*COMMANDS[self.runtime], *command],
            cwd=self.folder,
            env=self.environment(**values),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
            check=False,
        )
        assert "Traceback" not in done.stderr
        return Ran(done.returncode, done.stdout, done.stderr)

    def refuses(self, *command: str, **values: str) -> str:
        """What it says on its only line where it starts no tool."""
        ran = self.run(*(command or ("doctor",)), **values)
        assert (ran.code, ran.out) == (2, ""), ran
        assert ran.err.count("\n") == 1, ran.err
        assert ran.err.strip().isprintable()
        return ran.err.strip()

    def interrupt(self, command: list[str], awaited: str, environment: dict[str, str]) -> Ran:
        """Press Ctrl-C once a file is there: for the whole group of processes, as a terminal does."""
        with subprocess.Popen(
            command,
            cwd=self.folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a script may ignore it
        ) as process:
            try:
                deadline = time.monotonic() + TIMEOUT
                while not (self.folder / awaited).exists():
                    assert time.monotonic() < deadline, "the command did not come that far"
                    assert process.poll() is None, process.communicate()
                    time.sleep(0.02)
                os.killpg(process.pid, signal.SIGINT)
                out, err = process.communicate(timeout=TIMEOUT)
            finally:
                process.kill()
        return Ran(process.returncode, out, err)


@pytest.fixture(scope="module", params=["worker", "fastapi"])
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Launcher:
    """The launcher, with nothing else of the project."""
    folder = tmp_path_factory.mktemp("launcher").resolve() / "project"
    for name in FILES[request.param]:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / "template" / request.param / name, folder / name)
    (folder / "bin").mkdir()
    for name in ("uv", "uvx"):
        (folder / "bin" / name).write_text(UV)
        (folder / "bin" / name).chmod(0o755)
    return Launcher(request.param, folder)


@pytest.fixture
def launcher(made: Launcher) -> Launcher:
    """The launcher in a project that says where it comes from."""
    for path in made.folder.iterdir():
        if path.is_file():
            path.unlink()
    made.answer(**PLAIN)
    return made


def written(row: Row) -> dict[str, Any]:
    """What the answers file says for a row of the table."""
    commit = {} if row.commit is None else {"_commit": row.commit}
    return {"_src_path": row.place, **commit, "polar_catalog": {}}


@pytest.mark.parametrize("row", GOOD, ids=lambda row: row.name)
def test_every_form_of_a_source_is_started(launcher: Launcher, row: Row) -> None:
    launcher.answer(**written(row))
    assert row.wanted is not None
    here = {"project": launcher.folder, "above": launcher.folder.parent, "home": launcher.folder.parent / "home"}
    assert launcher.run("doctor", "--json").code == 0
    assert launcher.calls == [["--offline", "--from", row.wanted.format(**here), "copier-polar", "doctor", "--json"]]


@pytest.mark.parametrize("row", BAD, ids=lambda row: row.name)
def test_what_is_hostile_starts_nothing(launcher: Launcher, row: Row) -> None:
    launcher.answer(**written(row))
    name = "_src_path" if row.commit == "0.3.0" else "_commit"
    said = f"Error: The answers file has no usable {name}. POLAR_BILLING_TOOL can name the billing tool."
    assert launcher.refuses() == said
    assert launcher.calls == []


@pytest.mark.parametrize("ends", ["\n", "\r\n"])
def test_a_whole_hash_is_preferred(launcher: Launcher, ends: str) -> None:
    text = f"# made\n_commit: 0.3.0\n_src_path: /srv/billing\npolar_catalog: {{}}\n_commit_hash: {HASH}\n"
    (launcher.folder / ANSWERS).write_bytes(text.replace("\n", ends).encode("utf-8-sig"))
    assert launcher.run("doctor").code == 0
    assert launcher.calls[0][2] == f"git+file:///srv/billing@{HASH}"


@pytest.mark.parametrize("value", ["'/srv", '"/srv', '"/srv\\x2fx"', "'/srv' x", "'/srv'x'"])
def test_a_value_that_is_no_plain_yaml_is_refused(launcher: Launcher, value: str) -> None:
    (launcher.folder / ANSWERS).write_text(f"_src_path: {value}\n_commit: 0.3.0\npolar_catalog: {{}}\n")
    assert "no usable _src_path" in launcher.refuses()


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({}, "{folder} has no answers file, which names the billing tool. POLAR_BILLING_TOOL can name it."),
        (
            {ANSWERS: "a: b\n"},
            "{folder} has no answers file, which names the billing tool. POLAR_BILLING_TOOL can name it.",
        ),
        ({ANSWERS: CONFLICT}, f"{ANSWERS} has conflict markers: resolve them first."),
        (
            {ANSWERS: "polar_catalog: {}\n", ".copier-answers.a.yaml": "polar_catalog: {}\n"},
            f"There are two projects in one folder: .copier-answers.a.yaml and {ANSWERS}. Keep the one that is meant.",
        ),
    ],
)
def test_a_folder_that_is_no_project_is_one_line(launcher: Launcher, files: dict[str, str], said: str) -> None:
    (launcher.folder / ANSWERS).unlink()
    for name, text in files.items():
        (launcher.folder / name).write_text(text)
    assert launcher.refuses() == f"Error: {said.format(folder=launcher.folder)}"
    assert launcher.calls == []


def test_another_template_may_have_been_there_too(launcher: Launcher) -> None:
    (launcher.folder / ".copier-answers.other.yml").write_text("_src_path: /srv/other\n<<<<<<<\n")
    assert launcher.run("doctor").code == 0
    assert launcher.calls[0][2] == SOURCE


# --- which source ---------------------------------------------------------------------------------------------------


def test_the_environment_of_the_process_names_another_tool(launcher: Launcher) -> None:
    (launcher.folder / ANSWERS).unlink()
    assert launcher.run("doctor", POLAR_BILLING_TOOL="copier-polar==0.3.0").code == 0
    assert launcher.calls == [["--offline", "--from", "copier-polar==0.3.0", "copier-polar", "doctor"]]


@pytest.mark.parametrize("chosen", ["--with=evil", "x\ny"])
def test_what_cannot_be_a_source_is_refused(launcher: Launcher, chosen: str) -> None:
    assert launcher.refuses(POLAR_BILLING_TOOL=chosen) == "Error: POLAR_BILLING_TOOL: is no source."
    assert launcher.calls == []


def test_a_file_of_settings_names_no_tool(launcher: Launcher) -> None:
    for name in (".env", ".dev.vars"):
        (launcher.folder / name).write_text("POLAR_BILLING_TOOL=evil\n")
    assert launcher.run("doctor", POLAR_BILLING_TOOL="").code == 0
    assert launcher.calls[0][2] == SOURCE


# --- uv -------------------------------------------------------------------------------------------------------------


def test_without_uv_it_says_where_to_get_it(launcher: Launcher) -> None:
    said = "Error: The billing tool needs uv: https://docs.astral.sh/uv/getting-started/installation/"
    assert launcher.refuses(PATH="/nonexistent") == said


def test_uv_run_says_where_uv_is(launcher: Launcher) -> None:
    if launcher.runtime == "fastapi":
        assert launcher.run("doctor", PATH="/nonexistent", UV=str(launcher.folder / "bin" / "uv")).code == 0


def test_what_was_fetched_once_needs_no_network(launcher: Launcher) -> None:
    assert launcher.run("doctor", FAKE="is new").code == 0
    offline, online = launcher.calls
    assert offline == ["--offline", *online]
    assert online == ["--from", SOURCE, "copier-polar", "doctor"]


@pytest.mark.parametrize(
    ("place", "shown"),
    [
        ("https://user:secret@example.com/x.git", "git+https://example.com/x.git@0.3.0"),
        ("https://secret@example.com/x", "git+https://example.com/x@0.3.0"),
        ("https://user:se@secret@example.com/x", "git+https://example.com/x@0.3.0"),
        ("/srv/gone", "git+file:///srv/gone@0.3.0"),
    ],
)
def test_a_source_that_is_gone_is_one_line_without_credentials(launcher: Launcher, place: str, shown: str) -> None:
    launcher.answer(**{**PLAIN, "_src_path": place})
    said = (
        f"Error: No billing tool could be fetched from {shown}: look at the network; POLAR_BILLING_TOOL names another."
    )
    assert launcher.refuses(FAKE="fails") == said
    assert len(launcher.calls) == 2


def test_credentials_of_another_source_are_not_shown_either(launcher: Launcher) -> None:
    chosen = "copier-polar @ https://user:secret@example.com/x.whl?token=secret#sha256=secret"
    said = launcher.refuses(FAKE="fails", POLAR_BILLING_TOOL=chosen)
    assert said.startswith("Error: No billing tool could be fetched from copier-polar @ https://example.com/x.whl: ")


@pytest.mark.parametrize("code", [0, 1, 2, 7])
def test_output_and_exit_code_are_those_of_the_tool(launcher: Launcher, code: int) -> None:
    ran = launcher.run("block", "--", "$(touch x)", "a b", FAKE=str(code))
    assert (ran.code, ran.err) == (code, "of the tool\n")
    assert launcher.calls[0][3:] == ["copier-polar", "block", "--", "$(touch x)", "a b"]
    told = ran.json
    assert told["COPIER_POLAR_CALLED_AS"] == CALLED_AS[launcher.runtime]
    assert told.get("COPIER_POLAR_PYTHON") == (sys.executable if launcher.runtime == "fastapi" else None)
    assert "POLAR_BILLING_BRIDGE" not in told, "the tool would not read secrets from the project's file"


def test_ctrl_c_reaches_the_tool_once(launcher: Launcher) -> None:
    command = [*COMMANDS[launcher.runtime], "replay"]
    ran = launcher.interrupt(command, "waits", launcher.environment(FAKE="waits"))
    assert (ran.code, ran.out, ran.err) == (130, "", "presses: 1\n")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_other_signals_are_passed_on(launcher: Launcher, number: signal.Signals) -> None:
    command = [*COMMANDS[launcher.runtime], "replay"]
    with subprocess.Popen(command, cwd=launcher.folder, env=launcher.environment(FAKE="waits")) as process:
        deadline = time.monotonic() + TIMEOUT
        while not (launcher.folder / "waits").exists():
            assert time.monotonic() < deadline
            time.sleep(0.02)
        process.send_signal(number)
        assert process.wait(TIMEOUT) == 128 + number
    assert len(launcher.calls) == 1
    assert left_over(launcher.folder) == []


# --- the tool itself ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("misbehaviour", ["missing", "dies at start", "nonsense", "other version"])
def test_what_a_bridge_does_wrong_is_one_line(launcher: Launcher, misbehaviour: str) -> None:
    launcher.answer(**PLAIN, runtime=launcher.runtime)
    bridge = fake_bridge(launcher, misbehaviour)
    said = {**SAID, "missing": "The bridge cannot be started: no-such-command: No such file or directory."}
    ran = launcher.run(
        "block",
        "user_1",
        FAKE="is the tool",
        PYTHONPATH=os.pathsep.join([str(launcher.folder / "src"), str(ROOT)]),
        POLAR_BILLING_BRIDGE="no-such-command" if misbehaviour == "missing" else bridge,
    )
    assert (ran.code, ran.out, ran.error) == (2, "", f"Error: {said[misbehaviour]}")
    assert len(launcher.calls) == 1


def fake_bridge(launcher: Launcher, misbehaviour: str) -> str:
    """The command of a fake bridge of the launcher's project."""
    (launcher.folder / FACTS).write_text(json.dumps(make_facts(launcher.runtime)))
    return shlex.join([sys.executable, "-m", "tests.tool.fake_bridge", str(launcher.folder), misbehaviour])


@pytest.fixture
def real(launcher: Launcher) -> dict[str, str]:
    """An environment in which the real uv starts the tool of the working tree."""
    registry.require()
    return {"PATH": os.environ["PATH"], "HOME": os.environ["HOME"], "POLAR_BILLING_TOOL": str(ROOT)}


def test_a_press_of_ctrl_c_stops_the_real_tool_after_what_is_in_hand(launcher: Launcher, real: dict[str, str]) -> None:
    launcher.answer(**PLAIN, runtime=launcher.runtime)
    bridge = FakeBridge(launcher.folder)
    bridge.runtime = launcher.runtime
    for name in ("wh_1", "wh_2", "wh_3"):
        row = {"webhook_id": name, "type": "order.paid", "state": "dead", "received_us": 1, "body": b"{}"}
        bridge.add("webhook_events", **row)
    environment = launcher.environment(
        **real,
        POLAR_BILLING_BRIDGE=fake_bridge(launcher, SLOW),
        PYTHONPATH=os.pathsep.join([str(launcher.folder / "src"), str(ROOT)]),
    )
    # As `uv run billing` does: it sends on what the launcher got too.
    through_uv = ["uv", "run", "--quiet", "--no-project"] if launcher.runtime == "fastapi" else []
    command = [*through_uv, *COMMANDS[launcher.runtime], "replay", "--json"]
    ran = launcher.interrupt(command, ASKED, environment)
    assert ran.code == 130, ran.err
    assert [event["outcome"] for event in ran.json["events"]] == ["processed"]
    assert ran.err.count(STOPPING) == 1
    assert left_over(launcher.folder) == []


@pytest.mark.parametrize("runtime", ["worker", "fastapi"])
def test_the_doctor_of_a_whole_project(runtime: str, template: Path, tmp_path: Path) -> None:
    registry.require()
    folder = render(Profile("launch", runtime), template, tmp_path / "project", None)
    if runtime == "worker":
        apps.install(apps.VARIANTS[0], folder)
        command, environment = [str(node.NODE), "scripts/billing.mjs"], node.environment()
    else:
        python = python_env.environment([folder])
        command, environment = [str(python.bin("python")), "-m", "app.billing.cli"], python.variables(folder)
    environment = {**environment, "POLAR_BILLING_TOOL": str(ROOT), "POLAR_SERVER": "demo"}
    for network in ({}, {"UV_OFFLINE": "1"}):
        ran = subprocess.run(
            [*command, "doctor", "--json"],
            cwd=folder,
            env={**environment, **network},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert ran.returncode == 1, ran.stderr
        assert "Traceback" not in ran.stderr
        assert "settings_unfit" in [issue["id"] for issue in json.loads(ran.stdout)["issues"]]
