"""Starts the billing tool, at the version of the template that made this project: `uvx --from SOURCE copier-polar`."""

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

OVERRIDE = "POLAR_BILLING_TOOL"
STARTED = b"\x06"  # the tool writes it to its stderr when it starts; from then on it uses ours
PATIENCE_SECONDS = 3.0
FETCHING = "Fetching the billing tool, once for this version …"
CALLED_WRONGLY = 2
HOSTS = {"gh:": "https://github.com/", "gl:": "https://gitlab.com/"}

# What an answers file says becomes an argument of programs, and may be anybody's.
_UNPRINTABLE = re.compile("[\\x00-\\x1f\\x7f-\\x9f\\u2028-\\u202e\\u2066-\\u2069]")
_URL = re.compile(r"(?:git\+)?(?:https?|ssh|git|file)://(?!-)(?!.*@-)[^\s\\#?]+")
_LOGIN_AND_PATH = re.compile(r"(\w[\w.-]*@\w[\w.-]*):(?!/?/)([^\s\\#?]+)")
_DESCRIBED = re.compile(r".+-\d+-g([0-9a-f]{4,64})")
_REVISION = re.compile(r"(?!.*\.\.)[A-Za-z0-9_][A-Za-z0-9._/+-]*")


class Unusable(Exception):
    """The tool cannot be started; the message is one line that says what to do."""


def launch(arguments: Sequence[str]) -> int:
    """Run a command of the tool and return its exit code."""
    try:
        return _start(_source(Path.cwd()), arguments)
    except Unusable as error:
        print(f"Error: {error}", file=sys.stderr)
        return CALLED_WRONGLY


def for_uvx(place: str, commit: str, folder: Path) -> str:
    """Return what `uvx --from` takes for a template at a commit; a relative path begins at `folder`."""
    address = _address(place, folder)
    if described := _DESCRIBED.fullmatch(commit):
        commit = described[1]
    if not commit:
        return f"git+{address}" if "://" in address else address
    if not _REVISION.fullmatch(commit):
        raise Unusable(f"The answers file's _commit is no tag and no hash. {OVERRIDE} can name the billing tool.")
    return f"git+{address if '://' in address else f'file://{quote(address)}'}@{commit}"


def _address(place: str, folder: Path) -> str:
    for short, host in HOSTS.items():
        if place.startswith(short):
            place = host + place.removeprefix(short).lstrip("/").removesuffix(".git") + ".git"
    if place and not place.startswith("-") and place == place.strip() and not _UNPRINTABLE.search(place):
        if _URL.fullmatch(place):
            return place.removeprefix("git+")
        if found := _LOGIN_AND_PATH.fullmatch(place):
            return f"ssh://{found[1]}/{found[2]}"
        if "::" not in place and "://" not in place and (place[0] != "~" or place[:2] == "~/"):
            return os.path.normpath(folder.absolute() / Path(place).expanduser())
    raise Unusable(f"The answers file's _src_path is no place of a template. {OVERRIDE} can name the billing tool.")


def answers_in(folder: Path) -> dict[str, str]:
    """Return place and commit of the template, as the project's answers file has them."""
    files = [*folder.glob(".copier-answers*.yml"), *folder.glob(".copier-answers*.yaml")]
    texts = {file.name: file.read_text(encoding="utf-8", errors="replace") for file in sorted(files)}
    ours = [name for name, text in texts.items() if re.search("^polar_catalog:", text, re.MULTILINE)]
    if not ours:
        raise Unusable(f"{folder} has no answers file, which names the billing tool; {OVERRIDE} can name it.")
    if len(ours) > 1:
        raise Unusable(f"There are two projects in one folder: {' and '.join(ours)}. Keep the one that is meant.")
    text = texts[ours[0]]
    if re.search("^(<{7}|>{7})", text, re.MULTILINE):
        raise Unusable(f"{ours[0]} has conflict markers: resolve them first.")
    return {name: _value(text, name) for name in ("_src_path", "_commit")}


def _value(text: str, name: str) -> str:
    """Return a value of YAML, bare or in quotes."""
    line = re.search(rf"^{name}:[ \t]*(.*?)[ \t\r]*$", text, re.MULTILINE)
    value = line[1] if line else ""
    if quoted := re.fullmatch("""'(.*)'|"(.*)\"""", value):
        return quoted[2] if quoted[1] is None else quoted[1].replace("''", "'")
    return value


def _source(folder: Path) -> str:
    chosen = os.environ.get(OVERRIDE)
    if not chosen:
        found = answers_in(folder)
        return for_uvx(found["_src_path"], found["_commit"], folder)
    if chosen.startswith("-") or _UNPRINTABLE.search(chosen):
        raise Unusable(f"{OVERRIDE}: is no source.")
    return chosen


def _start(source: str, arguments: Sequence[str]) -> int:
    uv = shutil.which(os.environ.get("UV", "uv"))  # `uv run` says where it is
    if uv is None:
        raise Unusable("The billing tool needs uv: https://docs.astral.sh/uv/getting-started/installation/")
    command = ["--from", source, "copier-polar", *arguments]
    # What was fetched once starts at once, and without a network.
    code = _run([uv, "tool", "run", "--offline", *command])
    if code is None:
        code = _run([uv, "tool", "run", *command], FETCHING)
    if code is None:
        shown = re.sub("//[^/@]*@", "//", source)
        raise Unusable(f"No billing tool could be fetched from {shown}: look at the network; {OVERRIDE} names another.")
    return code


def _run(command: Sequence[str], notice: str = "") -> int | None:
    """Run the tool to its end; None where uv ended before it started. What uv prints may hold credentials."""
    reader, writer = os.pipe()
    stderr = os.dup(2)
    environment = {**os.environ, "COPIER_POLAR_CALLED_AS": "uv run billing", "COPIER_POLAR_STDERR": str(stderr)}
    if Path(sys.prefix).resolve() != Path(".venv").resolve():
        environment.setdefault("POLAR_BILLING_BRIDGE", shlex.join([sys.executable, "-m", "app.billing.bridge"]))
    group = None if sys.stdin.isatty() else 0
    process = subprocess.Popen(  # noqa: S603
        command, stderr=writer, pass_fds=[stderr], env=environment, process_group=group
    )
    os.close(writer)
    os.close(stderr)
    presses = _pass_on_signals(process, to_itself=group is None)
    patience = threading.Timer(PATIENCE_SECONDS, print, [notice], {"file": sys.stderr})
    if notice:
        patience.start()
    started = False
    while piece := os.read(reader, 65536):
        started = started or STARTED in piece
        if started:
            patience.cancel()
    patience.cancel()
    os.close(reader)
    code = process.wait()
    if not started and not presses:
        return None
    return code if code >= 0 else 128 - code


def _pass_on_signals(process: subprocess.Popen[bytes], *, to_itself: bool) -> list[int]:
    """Stay until the tool ends, and return the presses of Ctrl-C. A terminal sends them to the tool itself.

    Elsewhere the tool is in a group of its own: uv would pass on once more what the whole group gets.
    """
    presses: list[int] = []

    def interrupt(number: int, _frame: object) -> None:
        presses.append(number)
        if not to_itself:
            process.send_signal(number)

    signal.signal(signal.SIGINT, interrupt)
    signal.signal(signal.SIGTERM, lambda *_: process.terminate())
    return presses
