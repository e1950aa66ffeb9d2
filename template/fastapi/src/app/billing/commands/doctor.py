"""`doctor`: the billing integration report."""

import typer
from rich.text import Text

from app.billing.commands.console import AsJson, bad, good, progress, show, warn
from app.billing.commands.project import open_project
from app.billing.doctor.checks import CHECKS
from app.billing.doctor.examination import Examination
from app.billing.doctor.examine import examine
from app.billing.doctor.report import Json, make_report, to_markdown
from app.billing.doctor.status import products_found, status_of
from app.settings import SettingsError

COLOURS = {"## P1": bad, "## P2": warn, "Nothing.": good}


def doctor(as_json: AsJson = False) -> None:
    """Report on the billing integration, in Markdown.

    Asks this project's own app, its database and Polar. The app is only sent requests that it must refuse, Polar only
    such that change nothing, so it may look at production. What cannot be checked, without network say, is listed as
    skipped. Ends with 1 where there is an issue of priority P1.

    Example: uv run billing doctor
    """
    try:
        with open_project(whatever_state=True) as billing:
            report = _report(Examination(billing))
    except SettingsError as error:
        report = _report(Examination(None, str(error)))
    show(report, map(_coloured, to_markdown(report)), as_json=as_json)
    if any(issue["priority"] == "P1" for issue in report["issues"]):
        raise typer.Exit(1)


def _report(x: Examination) -> Json:
    status = status_of(x)  # before a probe that is wrongly accepted leaves a row
    results = list(progress(examine(x), "Checking", len(CHECKS)))
    return make_report(products_found(), status, results)


def _coloured(line: str) -> str | Text:
    for start, colour in COLOURS.items():
        if line.startswith(start):
            return colour(line)
    return line
