"""Polar's dated API: one place pins the version, and its end is announced in time."""

from __future__ import annotations

import datetime as dt
import json
import re
import subprocess
import warnings
from importlib import import_module
from pathlib import Path

import pytest
from copier.errors import UserMessageError

from hooks import polar_api
from hooks.api_version import earliest_removal
from tests.conftest import commit
from tests.support import node
from tests.support.api_version import API_VERSION, API_VERSIONS, module_name
from tests.support.render import ROOT
from tests.updates import history
from tests.updates.conftest import Made
from tests.updates.project import Project
from tests.updates.test_edits import DEMOS

NOTICE = dt.timedelta(days=60)
# Besides copier.yml: what is said of past versions, and handlers quoted from Polar's own README to measure against.
MAY_NAME_IT = ("CHANGELOG.md", "tests/bench/baselines/")
SDK = {"worker": "src/billing/polar-sdk.ts", "fastapi": "src/app/billing/polar_sdk.py"}


def test_only_copier_yml_names_a_version() -> None:
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, cwd=ROOT, capture_output=True, check=True, text=True).stdout.split("\0")
    texts = {name: (ROOT / name).read_bytes().decode(errors="replace") for name in names if (ROOT / name).is_file()}
    naming = {name for name, text in texts.items() if any(_spelled(version).search(text) for version in API_VERSIONS)}
    assert {name for name in naming if not name.startswith(MAY_NAME_IT)} == {"copier.yml"}


@pytest.mark.parametrize("version", API_VERSIONS)
def test_both_sdks_speak_every_version_that_can_be_chosen(version: str, made: Made) -> None:
    assert import_module(module_name(version)).Polar
    manifest = json.loads((made(DEMOS["worker"], history.newest()).folder / "package.json").read_text())
    modules = node.workspace(manifest).root / "node_modules"
    assert f"./{version}" in json.loads((modules / "@polar-sh/sdk/package.json").read_text())["exports"]


@pytest.mark.parametrize("server", polar_api.SERVERS)
@pytest.mark.parametrize("version", API_VERSIONS)
def test_the_questions_ask_as_the_sdk_of_that_version_does(version: str, server: str) -> None:
    sdk = import_module(module_name(version)).Polar("token", environment=server)
    asking = polar_api._Asking(server, None, "token", version, quiet=True)
    theirs, ours = (each.build_request("GET", "/v1/products/") for each in (sdk.products.client, asking.client))
    assert (ours.url, ours.headers) == (theirs.url, theirs.headers)


@pytest.mark.parametrize("runtime", ["worker", "fastapi"])
def test_one_file_of_a_project_imports_a_version(runtime: str, made: Made) -> None:
    project = made(DEMOS[runtime], history.newest()).folder
    naming = {
        str(file.relative_to(project))
        for file in project.rglob("*")
        if file.suffix in (".ts", ".py", ".json", ".toml") and _spelled(API_VERSION).search(file.read_text())
    }
    comments = {"src/billing/events.ts", "src/app/billing/events.py"}
    assert naming - comments == {SDK[runtime]}


@pytest.mark.parametrize("runtime", DEMOS)
def test_projects_move_to_the_next_version_when_they_say_so(
    runtime: str, made: Made, next_release: Path, tmp_path: Path
) -> None:
    """The next version becomes the default: a project keeps the one that it recorded, and moves by one answer."""
    project, following = made(DEMOS[runtime], history.newest()), API_VERSIONS[-1]
    project.follow(next_release)
    assert project.answers["polar_api_version"] == API_VERSION
    assert SDK[runtime] not in project.changed
    commit(project.folder, "updated")
    project.update(polar_api_version=following)
    assert project.changed >= {".copier-answers.yml", SDK[runtime]}
    sdk = (project.folder / SDK[runtime]).read_text()
    assert _spelled(following).search(sdk)
    assert not _spelled(API_VERSION).search(sdk)
    fresh = Project(next_release, tmp_path / "fresh").create(**DEMOS[runtime].data())
    assert (fresh.folder / SDK[runtime]).read_text() == sdk


def test_a_version_that_is_gone_is_no_answer_any_more(made: Made) -> None:
    project = made(DEMOS["worker"], history.newest())
    file = project.folder / ".copier-answers.yml"
    file.write_text(file.read_text().replace(f"polar_api_version: {API_VERSION}", "polar_api_version: 2020-01"))
    commit(project.folder, "six years ago")
    with pytest.raises(UserMessageError, match=f"polar_api_version: choose one of: {', '.join(API_VERSIONS)}"):
        project.update()
    assert project.changed == set()


def _spelled(version: str) -> re.Pattern[str]:
    """A version as it is named; no longer date."""
    return re.compile(rf"(?<!\d){version.replace('-', '[-_]')}(?!-?\d)")


@pytest.mark.parametrize(
    ("version", "day"),
    [("2030-01", (2030, 7, 1)), ("2030-04", (2030, 10, 1)), ("2030-07", (2031, 1, 1)), ("2030-10", (2031, 4, 1))],
)
def test_a_version_earliest_removal_with_the_second_release_after_it(version: str, day: tuple[int, int, int]) -> None:
    assert earliest_removal(version) == dt.date(*day)


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
    assert today < earliest_removal(API_VERSION), f"Polar's API {API_VERSION} may be gone: see CONTRIBUTING.md"


def warn_of_the_end(version: str, today: dt.date) -> None:
    """Issue a warning where the version is due to disappear within the notice."""
    left = earliest_removal(version) - today
    if left <= NOTICE:
        warnings.warn(
            f"Polar's API {version} is due to disappear in {left.days} days ({earliest_removal(version)}): "
            "make the next one the default of polar_api_version, as CONTRIBUTING.md says.",
            stacklevel=2,
        )
