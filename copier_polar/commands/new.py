"""Make a project."""

from __future__ import annotations

import os
import shutil
import sys
import warnings
from pathlib import Path

import typer
from copier.errors import DirtyLocalWarning

from copier_polar import generation, source
from copier_polar.console import INTERRUPTED, BadCall, Refused, note
from copier_polar.generation import CopyOptions

ANSWERS = ".copier-answers.yml"


def new(context: typer.Context) -> None:
    """Make a project in a folder: DEST.

    It takes the options of `copier copy`: --defaults, --data NAME=VALUE, --data-file FILE, --overwrite, --quiet,
    --vcs-ref VERSION and the others. POLAR_ACCESS_TOKEN in the environment is the token that asks Polar.

    Example: copier-polar new ../my-saas --data polar_server=sandbox
    """
    origin = source.origin()
    options, folder = generation.read_copy(context.args, origin.place)
    target = Path(folder)
    check_target(target, overwrites=options.overwrite or options.force)
    if options.vcs_ref is None:
        options.vcs_ref = origin.reference
    if not options.quiet:
        note(generation.TRUST)
    drafted = origin.changed and options.vcs_ref == "HEAD"
    if drafted:
        note("The template has changes that are not committed: they go in, but such a project cannot be updated.")
        warnings.simplefilter("ignore", DirtyLocalWarning)
    _make(options, origin, target)
    if drafted:
        note(f"Its `billing` commands need POLAR_BILLING_TOOL={origin.place}.")
    elif not options.pretend:
        _keep_tool(target / (options.answers_file or ANSWERS), target, quiet=options.quiet)


def check_target(target: Path, *, overwrites: bool) -> None:
    """Raise BadCall or Refused where no project can be made there."""
    there = next(path for path in (target, *target.absolute().parents) if os.path.lexists(path))
    if not there.is_dir():
        raise BadCall(f"{there} is a file: name a folder.")
    if not os.access(there, os.W_OK | os.X_OK):
        raise Refused(f"{there} cannot be written to.")
    if overwrites or not target.exists():
        return
    if (target / ANSWERS).exists():
        raise Refused(f"{target} has a project: `copier-polar --project {target} update` updates it.")
    if any(path.name != ".git" for path in target.iterdir()) and not sys.stdin.isatty():
        raise Refused(f"{target} is not empty: --overwrite replaces files that have the name of a new one.")


def _make(options: CopyOptions, origin: source.Origin, target: Path) -> None:
    """Let Copier make the project; what Ctrl-C leaves of a new folder goes."""
    was_there = target.exists()
    try:
        generation.run(options, origin.place, str(target))
    except KeyboardInterrupt:
        if was_there:
            note(f"Stopped. {target} may have some of the files.")
        else:
            shutil.rmtree(target, ignore_errors=True)
            note("Stopped. Nothing was made.")
        raise typer.Exit(INTERRUPTED) from None


def _keep_tool(file: Path, target: Path, *, quiet: bool) -> None:
    """Fill uv's cache with what the project's launcher starts."""
    import yaml

    answers = yaml.safe_load(file.read_text(encoding="utf-8"))
    try:
        generation.keep_tool(source.of_project(answers, target), quiet=quiet)
    except KeyboardInterrupt:
        note("Stopped. The project is complete; its first `billing` command fetches the tool.")
        raise typer.Exit(INTERRUPTED) from None
