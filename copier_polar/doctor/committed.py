"""Secrets in files that git knows."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from copier_polar import generated
from copier_polar.doctor.examination import Examination, Found
from copier_polar.doctor.skipped import Skipped
from copier_polar.webhook_secret import NAME, split

MAX_BYTES = 1024 * 1024
SECRET_FILES = {".env", ".dev.vars"}
# The shapes of Polar's tokens and of secrets beside their name; examples and tests have words there.
TOKEN = re.compile(rb"polar_(oat|pat|at_[uo]|rt_[uo])_[A-Za-z0-9]{30,}")
NAMED_SECRET = re.compile(rb"""POLAR_WEBHOOK_SECRET["']?\s*[:=]\s*["']?(whsec_|polar_whs_)[A-Za-z0-9+/]{32,}""")


def secret_committed(x: Examination) -> Iterator[Found]:
    """Look for the values of our secrets, and for what looks like one, in all files that git knows."""
    values = _values(x)
    folder = x.opened.project.folder
    for name in _known_files(folder):
        if Path(name).name in SECRET_FILES:
            yield Found(name, "is the file of secrets itself")
        elif what := _secret_in(_content(folder / name), values):
            yield Found(name, what)


def _known_files(folder: Path) -> list[str]:
    git = shutil.which("git")
    if git is None:
        raise Skipped("There is no git here.")
    listed = subprocess.run(
        [git, "ls-files", "-z"], cwd=folder, capture_output=True, text=True, errors="surrogateescape", check=False
    )
    if listed.returncode:
        raise Skipped("This is no git repository.")
    return sorted(filter(None, listed.stdout.split("\0")))


def _values(x: Examination) -> dict[str, list[bytes]]:
    """Return the secrets in the settings, by name. The development database's password is none."""
    if x.problem:
        return {}
    settings = x.opened.settings
    values = {name: settings.get(name, "").strip() for name in generated.secret_names(x.opened.project.answers)}
    secrets = {name: split(value) if name == NAME else [value] for name, value in values.items() if value}
    return {name: [secret.encode() for secret in found] for name, found in secrets.items()}


def _content(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(MAX_BYTES)
    except OSError:  # removed since, or a link to nowhere
        return b""


def _secret_in(content: bytes, values: dict[str, list[bytes]]) -> str | None:
    for name, secrets in values.items():
        if any(secret in content for secret in secrets):
            return f"has the value of {name}"
    if TOKEN.search(content):
        return "has what looks like an access token"
    return "has what looks like a webhook secret" if NAMED_SECRET.search(content) else None
