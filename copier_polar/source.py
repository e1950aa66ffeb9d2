"""Where a template lies, as Copier records it, and as `uvx --from` takes it; and where this tool itself came from.

`_src_path` and `_commit` of an answers file are input from outside: they become arguments of programs. The launchers of
generated projects (`scripts/billing.*`, `app/billing/launch.py`) follow the same table: tests/tool/sources.py.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from copier_polar.console import BadCall

NAME = "copier-polar"
HOSTS = {"gh:": "https://github.com/", "gl:": "https://gitlab.com/"}
SCHEMES = ("https", "http", "ssh", "git", "file")
KNOWN_TO_COPIER = ("https://github.com/", "https://gitlab.com/", "git://")

_UNPRINTABLE = re.compile("[\\x00-\\x1f\\x7f-\\x9f\\u2028-\\u202e\\u2066-\\u2069]")
_URL = re.compile(r"(?:git\+)?([a-z]+)://([^\s\\#?]+)")
_SCP = re.compile(r"(\w[\w.-]*@\w[\w.-]*):(?!/?/)([^\s\\#?]+)")
_DESCRIBED = re.compile(r".+-\d+-g([0-9a-f]{4,64})")
_REVISION = re.compile(r"(?!.*\.\.)[A-Za-z0-9_][A-Za-z0-9._/+-]*")
_USER = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*://)(?!git@)[^/\s]*@")


def for_uvx(place: str, commit: str | None, folder: Path) -> str:
    """Return what `uvx --from` takes for a template at a commit; `folder` is where a relative path begins.

    Raises BadCall for what is no place or no revision.
    """
    url = git_url(place, folder)
    if commit is None or commit == "":
        return f"git+{url}" if "://" in url else url
    if "://" not in url:
        url = f"file://{quote(url)}"
    return f"git+{url}@{revision(commit)}"


def of_project(answers: Mapping[str, Any], folder: Path) -> str:
    """Return what the project's launcher starts. Raises BadCall where the answers name nothing usable.

    A whole hash is found in uv's cache; for a tag or a short one git would ask its server each time.
    """
    commit = answers.get("_commit_hash") or answers.get("_commit")
    return for_uvx(str(answers.get("_src_path") or ""), None if commit is None else str(commit), folder)


def git_url(place: str, folder: Path) -> str:
    """Return the address of a template's repository for git: a URL, or an absolute path."""
    if not place or place.startswith("-") or place != place.strip() or _UNPRINTABLE.search(place):
        raise _refused(place)
    for short, host in HOSTS.items():
        if place.startswith(short):
            place = host + place.removeprefix(short).lstrip("/").removesuffix(".git") + ".git"
    if url := _URL.fullmatch(place):
        if url[1] not in SCHEMES or url[2].startswith("-") or "@-" in url[2]:
            raise _refused(place)
        return place.removeprefix("git+")
    if scp := _SCP.fullmatch(place):
        return f"ssh://{scp[1]}/{scp[2]}"
    if "://" in place or "::" in place:
        raise _refused(place)
    try:
        return os.path.normpath(Path.cwd() / folder / Path(place).expanduser())
    except RuntimeError:  # ~ of a user who does not exist
        raise _refused(place) from None


def revision(commit: str) -> str:
    """Return what git takes for a recorded `_commit`: a tag, a hash, or the hash of TAG-N-gHASH."""
    if described := _DESCRIBED.fullmatch(commit):
        commit = described[1]
    if not _REVISION.fullmatch(commit):
        raise BadCall("The answers file names no usable commit of the template: _commit is no tag and no hash.")
    return commit


def printable(text: str) -> str:
    """Return a text that may be shown: without the users and passwords of its URLs."""
    return _USER.sub(r"\1", text)


def _refused(place: str) -> BadCall:
    return BadCall(f"This is no place of a template: {printable(place)[:100]!r}.")


# --- the tool itself --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Origin:
    """Where the running tool came from: what Copier takes as the template, and the commit."""

    place: str
    commit: str | None = None  # None where the folder is under no version control
    changed: bool = False  # a checkout with changes that are not committed

    @property
    def reference(self) -> str | None:
        """Return what Copier is to check out: its HEAD includes changes that are not committed."""
        return "HEAD" if self.changed else self.commit


@cache
def origin() -> Origin:
    """Return where the running tool came from. Raises BadCall where nothing says it."""
    recorded = _direct_url()
    if recorded is None:
        return _of_folder(_checkout())
    address = str(recorded.get("url", ""))
    if "vcs_info" in recorded:
        return Origin(_as_copier_takes_it(address), str(recorded["vcs_info"]["commit_id"]))
    return _of_folder(_path_of(address))


def _direct_url() -> dict[str, dict[str, str]] | None:
    """What the installer recorded: the repository and its commit, or a folder."""
    try:
        text = distribution(NAME).read_text("direct_url.json")
    except PackageNotFoundError:
        return None
    return json.loads(text) if text else None


def _checkout() -> Path:
    """The folder that this module lies in, if it is the template's."""
    folder = Path(__file__).resolve().parents[1]
    if not (folder / "copier.yml").is_file():
        raise BadCall("This tool does not know where it came from: start it with `uvx --from git+URL copier-polar`.")
    return folder


def _as_copier_takes_it(address: str) -> str:
    """An address as Copier records it: absolute, and without the user and password that it may carry."""
    if address.startswith("file://"):
        return str(_path_of(address))
    address = printable(address)
    return address if address.endswith(".git") or address.startswith(KNOWN_TO_COPIER) else f"git+{address}"


def _path_of(address: str) -> Path:
    return Path(unquote(urlsplit(address).path))


def _of_folder(folder: Path) -> Origin:
    """A local folder: of a checkout, its commit."""
    if not (folder / "copier.yml").is_file():
        raise BadCall(f"The template that this tool was installed from is gone: {folder}.")
    top = _git(folder, "rev-parse", "--show-toplevel")
    head = _git(folder, "rev-parse", "--verify", "HEAD^{commit}")
    if not top or not head or Path(top).resolve() != folder.resolve():
        return Origin(str(folder))
    return Origin(str(folder), head, changed=bool(_git(folder, "status", "--porcelain")))


def _git(folder: Path, *arguments: str) -> str:
    """What git answers; nothing where it refuses, or is not installed."""
    try:
        done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
