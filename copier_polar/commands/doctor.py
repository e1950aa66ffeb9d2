"""`doctor`: the billing integration report."""

from __future__ import annotations

import typer
from rich.text import Text

from copier_polar.console import AsJson, PersistTo, Remote, bad, good, progress, show, warn
from copier_polar.doctor.checks import CHECKS
from copier_polar.doctor.examination import Examination
from copier_polar.doctor.examine import examine
from copier_polar.doctor.report import make_report, to_markdown
from copier_polar.doctor.status import products_found, status_of
from copier_polar.polar import Json
from copier_polar.project import open_project, store_of

COLOURS = {"## P1": bad, "## P2": warn, "Nothing.": good}


def doctor(remote: Remote = False, persist_to: PersistTo = None, as_json: AsJson = False) -> None:
    """Report on the billing integration, in Markdown.

    Asks this project's own app, its database and Polar. The app is only sent requests that it must refuse, Polar only
    such that change nothing, so it may look at production. What cannot be checked, without network say, is listed as
    skipped. Ends with 1 where there is an issue of priority P1.

    Example: uv run billing doctor
    """
    with open_project(store_of(remote, persist_to), any_state=True) as opened, Examination(opened) as x:
        report = _report(x)
    show(report, map(_coloured, to_markdown(report)), as_json=as_json)
    if any(issue["priority"] == "P1" for issue in report["issues"]):
        raise typer.Exit(1)


def _report(x: Examination) -> Json:
    status = status_of(x)  # before a probe that is wrongly accepted leaves a row
    results = list(progress(examine(x), "Checking", len(CHECKS)))
    return make_report(products_found(x), status, results)


def _coloured(line: str) -> str | Text:
    for start, colour in COLOURS.items():
        if line.startswith(start):
            return colour(line)
    return line
