"""Polar's dated API: one place pins the version, and its end is announced in time."""

from __future__ import annotations

import datetime as dt
import json
import re
import subprocess
import warnings
from importlib import import_module

import pytest

from tests.support import node
from tests.support.api_version import API_VERSION, API_VERSIONS, disappears, module_name
from tests.support.render import ROOT
from tests.updates import history
from tests.updates.conftest import Made
from tests.updates.test_edits import DEMOS

NOTICE = dt.timedelta(days=60)
# Besides copier.yml: what is said of past versions, and handlers quoted from Polar's own README to measure against.
MAY_NAME_IT = ("CHANGELOG.md", "tests/bench/baselines/")
SDK = {"worker": "src/billing/polar-sdk.ts", "fastapi": "src/app/billing/polar_sdk.py"}


def test_only_copier_yml_names_a_version() -> None:
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, cwd=ROOT, capture_output=True, check=True, text=True).stdout.split("\0")
    year_and_month = "|".join(version.replace("-", "[-_]") for version in API_VERSIONS)
    a_version = re.compile(rf"(?<!\d)({year_and_month})(?!-?\d)".encode())  # no longer date
    naming = {name for name in filter(None, names) if (ROOT / name).is_file() and a_version.search(_read(name))}
    assert {name for name in naming if not name.startswith(MAY_NAME_IT)} == {"copier.yml"}


def _read(name: str) -> bytes:
    return (ROOT / name).read_bytes()


@pytest.mark.parametrize("version", API_VERSIONS)
def test_both_sdks_speak_every_version_that_can_be_chosen(version: str, made: Made) -> None:
    assert import_module(module_name(version)).Polar
    manifest = json.loads((made(DEMOS["worker"], history.newest()).folder / "package.json").read_text())
    modules = node.workspace(manifest).root / "node_modules"
    assert f"./{version}" in json.loads((modules / "@polar-sh/sdk/package.json").read_text())["exports"]


@pytest.mark.parametrize("runtime", ["worker", "fastapi"])
def test_one_file_of_a_project_imports_a_version(runtime: str, made: Made) -> None:
    project = made(DEMOS[runtime], history.newest()).folder
    spelled = re.compile(rf"{API_VERSION}(?!-\d)|{API_VERSION.replace('-', '_')}")
    naming = {
        str(file.relative_to(project))
        for file in project.rglob("*")
        if file.suffix in (".ts", ".py", ".json", ".toml") and spelled.search(file.read_text())
    }
    comments = {"src/billing/events.ts", "src/app/billing/events.py"}
    assert naming - comments == {SDK[runtime]}


@pytest.mark.parametrize(
    ("version", "day"),
    [("2030-01", (2030, 7, 1)), ("2030-04", (2030, 10, 1)), ("2030-07", (2031, 1, 1)), ("2030-10", (2031, 4, 1))],
)
def test_a_version_disappears_with_the_second_release_after_it(version: str, day: tuple[int, int, int]) -> None:
    assert disappears(version) == dt.date(*day)


@pytest.mark.parametrize(("days", "warned"), [(61, False), (60, True), (1, True), (0, True)])
def test_sixty_days_before_there_is_a_warning(days: int, warned: bool) -> None:
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        warn_of_the_end("2030-10", dt.date(2031, 4, 1) - dt.timedelta(days))
    assert [f"{days} days" in str(warning.message) for warning in heard] == [True] * warned


def test_the_pinned_version_is_not_about_to_disappear() -> None:
    """Warns 60 days before; fails once it may be gone, when each request may be answered with 404."""
    today = dt.datetime.now(dt.UTC).date()
    warn_of_the_end(API_VERSION, today)
    assert today < disappears(API_VERSION), f"Polar's API {API_VERSION} may be gone: see CONTRIBUTING.md"


def warn_of_the_end(version: str, today: dt.date) -> None:
    """Issue a warning where the version is due to disappear within the notice."""
    left = disappears(version) - today
    if left <= NOTICE:
        warnings.warn(
            f"Polar's API {version} is due to disappear in {left.days} days ({disappears(version)}): "
            "make the next one the default of polar_api_version, as CONTRIBUTING.md says.",
            stacklevel=2,
        )
