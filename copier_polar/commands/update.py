"""Bring a project to a newer version of the template."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from copier import _subproject
from plumbum import local

from copier_polar import generation, project, source, start, target
from copier_polar.console import INTERRUPTED, BadCall, Refused, note
from copier_polar.generation import UpdateOptions
from copier_polar.target import Target

CURRENT = ":current:"  # Copier's word for the version that the project has
PLACE = "COPIER_POLAR_PLACE"  # hooks/rename.py reads it
CALLED_AS = "COPIER_POLAR_CALLED_AS"


def update(
    context: typer.Context,
    src: Annotated[
        str | None, typer.Option("--src", metavar="PLACE", help="Where the template is now: a URL or a folder.")
    ] = None,
    in_place: Annotated[bool, typer.Option("--in-place", hidden=True)] = False,
) -> None:
    """Bring the project to the newest version of the template, or to --vcs-ref VERSION.

    The tool of that version does it. It takes the options of `copier update`: --defaults, --data NAME=VALUE,
    --vcs-ref VERSION, --conflict inline|rej and the others. An update is a merge: your edits stay.

    Example: uv run billing update --defaults
    """
    options = generation.read_update(context.args)
    here = project.chosen()
    recorded = _recorded(here.answers)
    _require_clean(here.folder)
    place = str(here.answers["_src_path"]) if src is None else _absolute(src)
    if not in_place and not _start_newer(options, context.args, here.folder, place, recorded, moved=src is not None):
        return
    _work(options, here.folder, place)


def _start_newer(
    options: UpdateOptions, arguments: Sequence[str], folder: Path, place: str, recorded: str, *, moved: bool
) -> bool:
    """Find the version, and let its own tool do the update; return whether this tool is to do it."""
    asked = options.vcs_ref
    cure = f"`{_call()} --src PLACE` says where it is now (a URL or a folder), for this update and all after it."
    wanted = recorded if asked == CURRENT else asked
    found = target.find(place, folder, wanted, prereleases=options.prereleases, cure=cure)
    _refuse_older(recorded, found)
    if found.is_at(recorded):
        if options.defaults and not options.data and not moved:
            print(f"There is nothing newer than {recorded}, which this project has.")
            return False
        note(f"There is nothing newer than {recorded}: only answers can change.")
    elif not options.quiet:
        note(generation.TRUST)
    if asked is None:
        options.vcs_ref = found.name
        arguments = [*arguments, "--vcs-ref", found.name]
    if _is_this_tool(found):
        return True
    call = ["--project", str(folder), "update", "--in-place", *(["--src", place] if moved else []), *arguments]
    wanted_tool = source.for_uvx(place, found.commit or found.name, folder)
    raise typer.Exit(start.tool(wanted_tool, found.name, call))


def _call() -> str:
    return f"{os.environ.get(CALLED_AS) or 'copier-polar'} update"


def _recorded(answers: Mapping[str, Any]) -> str:
    """Return the version that the project is of. Raises Refused where the answers do not say it."""
    if not answers.get("_src_path") or not answers.get("_commit"):
        raise Refused("The project was made from a folder without versions: there is none to update from.")
    return str(answers["_commit"])


def _require_clean(folder: Path) -> None:
    """Raise Refused unless all of the project is committed: an update is a merge."""
    if shutil.which("git") is None:
        raise Refused("git is not installed, and an update is a merge by git.")
    if _git(folder, "rev-parse", "--verify", "--quiet", "HEAD") is None:
        raise Refused("An update is a merge and needs a commit: git init && git add -A && git commit -m Billing")
    if changed := (_git(folder, "status", "--porcelain", "--", ".") or "").splitlines():
        files = "1 file is" if len(changed) == 1 else f"{len(changed)} files are"
        raise Refused(f"{files} not committed: commit or stash them first.")


def _git(folder: Path, *arguments: str) -> str | None:
    done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=False)
    return done.stdout if done.returncode == 0 else None


def _absolute(src: str) -> str:
    """Return the new place of the template as it is recorded: a URL as it was given, a folder by its whole path."""
    url = source.git_url(src, Path())
    if source.printable(url) != url:
        raise BadCall("--src: leave out user and password, since it is recorded; git knows where to find them.")
    return src if "://" in url else url


def _refuse_older(recorded: str, found: Target) -> None:
    before = target.version_of(recorded)
    if before is not None and found.version is not None and before > found.version:
        raise Refused(f"The project is of {recorded}, which is newer than {found.name}: there is no way back.")


def _is_this_tool(found: Target) -> bool:
    """Whether the running tool is to do the update: it is of that version, or that version has no tool."""
    if found.version is not None and found.version < target.FIRST_WITH_TOOL:
        return True
    own = source.origin()
    return found.commit is not None and own.commit == found.commit and not own.changed


def _work(options: UpdateOptions, folder: Path, place: str) -> None:
    """Update, and keep the tool of the new version."""
    local.cwd.chdir(folder)  # where a relative path of the template begins
    try:
        with _read_from(place):
            generation.run(options, ".")
    except KeyboardInterrupt:
        note("Stopped. `git status` shows what was changed until then; `git reset --hard` takes changes back.")
        raise typer.Exit(INTERRUPTED) from None
    if options.pretend:
        return
    answers = project.find(folder).answers
    try:
        generation.keep_tool(source.of_project(answers, folder), quiet=options.quiet)
    except KeyboardInterrupt:
        note("Stopped. The update is complete; the next `billing` command fetches the tool.")
        raise typer.Exit(INTERRUPTED) from None


@contextmanager
def _read_from(place: str) -> Generator[None]:
    """Let Copier read another place than the answers file has: it takes no changes that are not committed."""
    read = _subproject.load_answersfile_data

    def replaced(*arguments: Any, **named: Any) -> dict[str, Any]:
        return {**read(*arguments, **named), "_src_path": place}

    _subproject.load_answersfile_data = replaced
    try:
        with local.env(**{PLACE: place}):
            yield
    finally:
        _subproject.load_answersfile_data = read
