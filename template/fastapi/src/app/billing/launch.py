"""Starts the billing tool at the commit of the template that made this project: `uvx --from SOURCE copier-polar`."""

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from threading import Timer
from urllib.parse import quote

OVERRIDE = "POLAR_BILLING_TOOL"
STARTED = b"\x06"  # the tool writes it to its stderr when it starts; from then on it uses ours
UNUSABLE = f"The answers file has no usable {{}}. {OVERRIDE} can name the billing tool."
# What an answers file says becomes an argument of programs, and may be anybody's.
_UNPRINTABLE = re.compile("[\\x00-\\x1f\\x7f-\\x9f\\u2028-\\u202e\\u2066-\\u2069]")
_URL = re.compile(r"(?:git\+)?(?:https?|ssh|git|file)://(?!-)(?!.*@-)[^\s\\#?]+")
_LOGIN_AND_PATH = re.compile(r"(\w[\w.-]*@\w[\w.-]*):(?!/?/)([^\s\\#?]+)", re.ASCII)
_REVISION = re.compile(r"(?:.+-\d+-g(?=[0-9a-f]{4,64}\Z))?((?!.*\.\.)\w[\w.+/-]*)", re.ASCII)
_YAML = re.compile(r"""'((?:[^']|'')*)'|"([^"\\]*)"|([^'"].*)?""")


class Unusable(Exception):
    """The tool cannot be started; the message is one line that says what to do."""


def launch(arguments: Sequence[str]) -> int:
    """Run a command of the tool and return its exit code."""
    try:
        source = _source(Path.cwd())
        return _start(with_extra(source) if arguments[:1] == ["mcp"] else source, arguments)
    except Unusable as error:
        print(f"Error: {error}", file=sys.stderr)
        return 2


def for_uvx(place: str, commit: str, folder: Path) -> str:
    """Return what `uvx --from` takes for a template at a commit; a relative path begins at `folder`."""
    address = _address(place, folder)
    if not commit:
        return f"git+{address}" if "://" in address else address
    revision = _REVISION.fullmatch(commit)
    if revision is None:
        raise Unusable(UNUSABLE.format("_commit"))
    url = address if "://" in address else "file://" + quote(address, "/!*'()")
    return f"git+{url}@{revision[1]}"


def with_extra(source: str) -> str:
    """Return a source with the extra that the command `mcp` alone needs; a requirement stays as it is."""
    if re.match(r"copier-polar\b", source):
        return source
    address = source if "://" in source else Path(source).absolute().as_uri()
    return f"copier-polar[mcp] @ {address}"


def _address(place: str, folder: Path) -> str:
    long = re.sub("^gl:/*", "https://gitlab.com/", re.sub("^gh:/*", "https://github.com/", place))
    place = place if long == place else long.removesuffix(".git") + ".git"
    if place and not place.startswith("-") and place == place.strip() and not _UNPRINTABLE.search(place):
        if _URL.fullmatch(place):
            return place.removeprefix("git+")
        if found := _LOGIN_AND_PATH.fullmatch(place):
            return f"ssh://{found[1]}/{found[2]}"
        if "::" not in place and "://" not in place and (place[0] != "~" or place[:2] == "~/"):
            return os.path.normpath(folder.absolute() / Path(place).expanduser())
    raise Unusable(UNUSABLE.format("_src_path"))


def _source(folder: Path) -> str:
    if chosen := os.environ.get(OVERRIDE):
        if chosen.startswith("-") or _UNPRINTABLE.search(chosen):
            raise Unusable(f"{OVERRIDE}: is no source.")
        return chosen
    files = sorted(file for end in ("yml", "yaml") for file in folder.glob(f".copier-answers*.{end}") if file.is_file())
    texts = {file.name: file.read_text(encoding="utf-8-sig", errors="replace") for file in files}
    ours = [name for name, text in texts.items() if re.search("^polar_catalog:", text, re.MULTILINE)]
    if not ours:
        raise Unusable(f"{folder} has no answers file, which names the billing tool. {OVERRIDE} can name it.")
    if len(ours) > 1:
        raise Unusable(f"There are two projects in one folder: {' and '.join(ours)}. Keep the one that is meant.")
    text = texts[ours[0]]
    if re.search("^(<{7}|>{7})", text, re.MULTILINE):
        raise Unusable(f"{ours[0]} has conflict markers: resolve them first.")
    # A whole hash is found in uv's cache; for a tag git would ask its server each time.
    return for_uvx(_value(text, "_src_path"), _value(text, "_commit_hash") or _value(text, "_commit"), folder)


def _value(text: str, name: str) -> str:
    """Return a value of YAML, bare or in quotes; a long one goes on in the next line."""
    lines = re.search(rf"^{name}:(.*(?:\n[ \t]+\S.*)*)", text, re.MULTILINE)
    value = _YAML.fullmatch(re.sub(r"\s*\n\s+", " ", lines[1].strip()) if lines else "")
    if value is None:
        raise Unusable(UNUSABLE.format(name))
    return value[1].replace("''", "'") if value[1] else value[2] or value[3] or ""


def _start(source: str, arguments: Sequence[str]) -> int:
    uv = shutil.which(os.environ.get("UV", "uv"))  # `uv run` says where it is
    if uv is None:
        raise Unusable("The billing tool needs uv: https://docs.astral.sh/uv/getting-started/installation/")
    for network in (["--offline"], []):  # what was fetched once starts at once, also where its source is gone
        code = _run([uv, "tool", "run", *network, "--from", source, "copier-polar", *arguments])
        if code is not None:
            return code
    shown = re.sub("[?#].*", "", re.sub(r"//[^/\s]*@", "//", source))
    raise Unusable(f"No billing tool could be fetched from {shown}: look at the network; {OVERRIDE} names another.")


def _run(command: Sequence[str]) -> int | None:
    """Run the tool to its end; None where uv ended before it started. What uv prints may hold credentials."""
    stderr, pressed, said = os.dup(2), set[int](), b""
    own = {"CALLED_AS": "uv run billing", "STDERR": str(stderr), "PYTHON": sys.executable}
    environment = {**os.environ, **{f"COPIER_POLAR_{name}": value for name, value in own.items()}}
    patience = Timer(3.0, print, ["Fetching the billing tool, once for this version …"], {"file": sys.stderr})
    with subprocess.Popen(command, stderr=subprocess.PIPE, pass_fds=[stderr], env=environment, bufsize=0) as process:  # noqa: S603
        signal.signal(signal.SIGINT, lambda number, _: pressed.add(number))  # it reaches the tool by itself
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, lambda number, _: process.send_signal(number))
        assert process.stderr is not None
        patience.start()
        while STARTED not in said and (piece := process.stderr.read(65536)):
            said += piece
        patience.cancel()
        process.stderr.read()
    os.close(stderr)
    code = process.returncode if process.returncode >= 0 else 128 - process.returncode
    return code if STARTED in said or process.returncode < 0 else 130 if pressed else None
