"""Which version of the template an update is to: the newest release, or the one that was asked for."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from packaging.version import InvalidVersion, Version

from copier_polar.console import BadCall, Refused
from copier_polar.generation import last_line
from copier_polar.source import git_url, printable

FIRST_WITH_TOOL = Version("0.3.0.dev0")
TOO_LONG = 60  # seconds
_HASH = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_DESCRIBED = re.compile(r"(.+)-(\d+)-g[0-9a-f]+")


@dataclass(frozen=True)
class Target:
    """A version of the template: what it is called, and its commit where that is known."""

    name: str
    commit: str | None

    @property
    def version(self) -> Version | None:
        """Return the version that the name is."""
        return version_of(self.name)

    def is_at(self, recorded: str) -> bool:
        """Return whether a recorded `_commit` is this version."""
        short = recorded.rpartition("-g")[2]
        found = self.commit is not None and len(short) >= 7 and self.commit.startswith(short)
        return found or recorded == self.name


def version_of(recorded: str) -> Version | None:
    """Return the version that a tag or TAG-N-gHASH is; None for a bare hash or another name."""
    if described := _DESCRIBED.fullmatch(recorded):
        recorded = f"{described[1]}.post{described[2]}"
    try:
        return Version(recorded)
    except InvalidVersion:
        return None


def find(place: str, folder: Path, wanted: str | None, *, prereleases: bool, cure: str) -> Target:
    """Return the version that is wanted, by default the newest release as Copier chooses it.

    `cure` says what helps where the template cannot be reached. Raises BadCall or Refused.
    """
    url = git_url(place, folder)
    if "://" not in url and not Path(url).is_dir():
        raise Refused(f"The template is gone: there is no folder {url}. {cure}")
    known = _references(url, cure)
    if wanted is None:
        wanted = _newest(known, prereleases=prereleases) or "HEAD"
    commit = _commit(known, wanted)
    if commit is None and "://" not in url:
        commit = _answer(url, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{wanted}^{{commit}}")
        if not commit:
            raise BadCall(f"The template has no version {wanted[:100]}.")
    if f"refs/tags/{wanted}" in known or commit is None:
        return Target(wanted, commit)
    return Target(commit, commit)


def _references(url: str, cure: str) -> Mapping[str, str]:
    """Return what the repository's names stand for; of a tag with a message, the commit."""
    try:
        done = subprocess.run(
            ["git", "ls-remote", "--", url],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=TOO_LONG,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise Refused(f"The template does not answer: {printable(url)}. {cure}") from None
    if done.returncode != 0:
        why = last_line(next((line for line in done.stderr.splitlines() if line.startswith("fatal")), done.stderr))
        raise Refused(f"The template cannot be reached: {printable(url)} ({why}). {cure}")
    pairs = [line.split("\t", 1) for line in done.stdout.splitlines() if "\t" in line]
    names = {name: commit for commit, name in pairs}
    return {**names, **{name.removesuffix("^{}"): commit for name, commit in names.items() if name.endswith("^{}")}}


def _newest(known: Mapping[str, str], *, prereleases: bool) -> str | None:
    tags = {name.removeprefix("refs/tags/") for name in known if name.startswith("refs/tags/") and "^" not in name}
    versions = {tag: found for tag in tags if (found := _plain(tag)) and (prereleases or not found.is_prerelease)}
    return max(versions, key=lambda tag: (versions[tag], tag), default=None)


def _plain(tag: str) -> Version | None:
    try:
        return Version(tag)
    except InvalidVersion:
        return None


def _commit(known: Mapping[str, str], wanted: str) -> str | None:
    for name in (wanted, f"refs/tags/{wanted}", f"refs/heads/{wanted}"):
        if name in known:
            return known[name]
    return wanted if _HASH.fullmatch(wanted) else None


def _answer(folder: str, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else ""
