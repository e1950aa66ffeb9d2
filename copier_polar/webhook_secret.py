"""Puts the secret of the webhook endpoint where the app reads it, without showing it to anybody."""

from __future__ import annotations

import io
import os
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

from copier_polar.console import Refused
from copier_polar.environment import FILES, parse_node, settings_file
from copier_polar.project import Project

NAME = "POLAR_WEBHOOK_SECRET"
MOST = 3
START = {"worker": "npm run dev", "fastapi": "uv run dev"}
WRANGLER = ("node", "node_modules/wrangler/bin/wrangler.js")
# What any file, shell and secret store takes as it is: Polar's are base64 or letters and digits, after a prefix.
STORABLE = re.compile(r"[A-Za-z0-9+/=_-]{16,}")
_CONTROL_SEQUENCE = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
# A variable with its value, which may have several lines where it is quoted.
_ASSIGNED = re.compile(
    r"""^[^\S\n]*(?:export[^\S\n]+)?(?P<name>[^\s=#][^\n=]*?)[^\S\n]*="""
    r"""[^\S\n]*(?:"[^"]*"|'[^']*'|`[^`]*`|[^\n#]*)[^\n]*$""",
    re.MULTILINE,
)


def split(value: str | None) -> list[str]:
    """Read a comma-separated list: trimmed, without empty entries."""
    return [part for item in (value or "").split(",") if (part := item.strip())]


def rotated(secrets: Sequence[str], new: str) -> list[str]:
    """Return the secrets with a new one first: events that are under way are still signed with the old one."""
    if not STORABLE.fullmatch(new):
        raise Refused("The endpoint's secret has characters that cannot be stored: copy it from Polar by hand.")
    return list(secrets) if new in secrets else [new, *secrets][:MOST]


def require_file(project: Project) -> None:
    """Raise Refused where the app has no file of settings: one with a single line would keep it from being made."""
    if not settings_file(project.folder, project.runtime).is_file():
        name, start = FILES[project.runtime], START[project.runtime]
        raise Refused(f"There is no {name} yet, which `{start}` makes: start the app once, then run this again.")


def save_to_file(project: Project, secret: str) -> None:
    """Put a secret first in the list of the file of settings, in place of the oldest of three. All other lines stay."""
    require_file(project)
    file = settings_file(project.folder, project.runtime).resolve()
    try:
        text = file.read_bytes().decode()
    except UnicodeDecodeError:
        raise Refused(f"{FILES[project.runtime]} is no text in UTF-8, so it was left as it is.") from None
    value = ",".join(rotated(split(_parsed(text, project.runtime).get(NAME)), secret))
    changed = _with_line(text, f"{NAME}={_quoted(value)}")
    expected = {**_parsed(text, project.runtime), NAME: value}
    if _parsed(changed, project.runtime) != expected:
        raise Refused(f"{FILES[project.runtime]} cannot be changed safely: put the secret in by hand, as {NAME}.")
    try:
        _replace(file, changed)
    except OSError as error:
        raise Refused(f"{FILES[project.runtime]} cannot be written: {error.strerror}.") from None


def save_to_worker(project: Project, known: Sequence[str], secret: str) -> None:
    """Hand a secret to the deployed Worker, on wrangler's standard input. Raises Refused with wrangler's complaint."""
    value = ",".join(rotated(known, secret))
    command = [*WRANGLER, "secret", "put", NAME]
    try:
        done = subprocess.run(command, cwd=project.folder, input=value, capture_output=True, text=True, check=False)
    except OSError as error:
        raise Refused(f"wrangler did not take the secret. {WRANGLER[0]}: {error.strerror}") from None
    if done.returncode:
        raise Refused(f"wrangler did not take the secret. {_complaint(done.stdout + done.stderr)}")


def _parsed(text: str, runtime: str) -> dict[str, str | None]:
    """Read a text as the app reads the file."""
    if runtime == "worker":
        return {**parse_node(text)}
    from dotenv import dotenv_values  # only where it is needed

    return {**dotenv_values(stream=io.StringIO(text))}


def _with_line(text: str, line: str) -> str:
    """Replace the line that counts, which is the last of its name; without one it is added at the end."""
    found = [match for match in _ASSIGNED.finditer(text) if match["name"] == NAME]
    if not found:
        return f"{text}{'' if not text or text.endswith(chr(10)) else chr(10)}{line}\n"
    end_of_line = "\r" if found[-1][0].endswith("\r") else ""
    return f"{text[: found[-1].start()]}{line}{end_of_line}{text[found[-1].end() :]}"


def _quoted(value: str) -> str:
    if all(STORABLE.fullmatch(secret) for secret in value.split(",")):
        return value
    return f'"{value}"' if "'" in value else f"'{value}'"


def _replace(file: Path, text: str) -> None:
    """Write a file in one step, for its owner alone."""
    draft = file.with_name(f"{file.name}.new")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as opened:
        opened.write(text.encode())
    draft.replace(file)


def _complaint(printed: str) -> str:
    """Return the line in which wrangler says what is wrong."""
    text = _CONTROL_SEQUENCE.sub("", printed)
    found = re.search(r"\[ERROR\]\s*(.*)", text)
    return found[1] if found else " ".join(text.split())
