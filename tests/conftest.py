"""What all tests share: a copy of the template to render from, and stand-ins for Polar with a catalogue each."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Generator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests import tiers
from tests.catalogues import CATALOGUES
from tests.polar_server import AnyVersion, PolarServer
from tests.support import recorded
from tests.support.render import template_copy


def pytest_addoption(parser: pytest.Parser) -> None:
    """How much runs: see `tests/tiers.py`."""
    parser.addoption("--full", action="store_true", help="every runtime, store, pair of answers and mutation")
    parser.addoption("--rest", action="store_true", help="of --full, what the plain run leaves out")
    parser.addoption("--turn", metavar="COMMIT", help="begin with the files whose turn it is at that commit")
    parser.addoption("--nightly", action="store_true", help="full counts of the conformance suite, instead of a sample")
    parser.addoption("--all-variants", action="store_true", help="types, lint and own tests of all variants")
    parser.addoption("--seconds", type=int, help="begin no test after so many; those left out are named at the end")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Take the tests of the tier that is asked for, the longest first.

    Of two processes (`-n 2`) neither waits at the end for the other's variants. `--turn` orders files by a commit:
    where `--seconds` are too few, each part gets its turn. A test that is named on the command line runs in any case.
    """
    if any("::" in argument for argument in config.invocation_params.args):
        return
    full, rest, commit = (config.getoption(name) for name in ("--full", "--rest", "--turn"))
    kept, left = tiers.chosen(items, full=full or config.getoption("--nightly"), rest=rest)
    if left:
        config.hook.pytest_deselected(items=left)
    kept.sort(key=lambda item: tiers.turn(item, commit) if commit else str("variants" not in item.path.parts))
    items[:] = kept


_BEGAN = time.monotonic()
_LEFT_OUT = "not begun within --seconds"


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Leave a test out where the time is over, before anything is started for it."""
    seconds = item.config.getoption("--seconds")
    if seconds is not None and time.monotonic() - _BEGAN > seconds:
        pytest.skip(_LEFT_OUT)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Name what was left out: how many tests of which files."""
    skipped = [each for each in terminalreporter.getreports("skipped") if _LEFT_OUT in str(each.longrepr)]
    if skipped:
        files = Counter(each.nodeid.partition("::")[0] for each in skipped)
        terminalreporter.section(f"left out: {len(skipped)} tests, {_LEFT_OUT}", red=True, bold=True)
        for file, count in sorted(files.items()):
            terminalreporter.line(f"{count} of {file}")


@pytest.fixture(scope="session", autouse=True)
def _plain_environment(tmp_path_factory: pytest.TempPathFactory) -> Generator[None]:
    """No token, no server and no settings of whoever runs the tests; an author for commits; what is compiled is kept.

    A generated app imports for three seconds where Python may not keep what it compiled, and tests start hundreds.
    """
    settings = tmp_path_factory.mktemp("settings") / "settings.yml"
    settings.write_text("{}")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("POLAR_ACCESS_TOKEN", "POLAR_BASE_URL", "POLAR_TIMEOUT", "PYTHONDONTWRITEBYTECODE"):
            patch.delenv(name, raising=False)
        patch.setenv("COPIER_SETTINGS_PATH", str(settings))
        patch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
        for role in ("AUTHOR", "COMMITTER"):
            patch.setenv(f"GIT_{role}_NAME", "Tests")
            patch.setenv(f"GIT_{role}_EMAIL", "tests@example.com")
        yield


@pytest.fixture(autouse=True)
def _forget_what_polar_answered() -> None:
    """A generation remembers Polar's answers as long as its process lives; each test is a process of its own to it."""
    sys.modules.pop("copier_polar_answers", None)


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The template as it is in the working tree, as a plain folder."""
    return template_copy(tmp_path_factory.mktemp("template"))


@pytest.fixture(scope="session")
def polar_with() -> Generator[Callable[[str], str]]:
    """The address of a stand-in Polar server that has the catalogue of that name; started when first asked for."""
    with ExitStack() as stack:
        running: dict[str, PolarServer] = {}

        def address(name: str) -> str:
            if name not in running:
                products = recorded.catalogue() if name == "recorded" else CATALOGUES[name]()
                running[name] = stack.enter_context(AnyVersion(products))
            return running[name].url

        yield address


@pytest.fixture
def short_waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """What the questions would have waited between their tries; they wait hardly at all."""
    waited: list[float] = []
    real = time.sleep

    def sleep(seconds: float) -> None:
        if threading.current_thread() is not threading.main_thread():  # a stand-in that is slow on purpose
            return real(seconds)
        waited.append(seconds)
        return real(0)

    monkeypatch.setattr(time, "sleep", sleep)
    return waited


@pytest.fixture
def polar() -> Generator[PolarServer]:
    """A stand-in Polar server with the usual shop, for one test to change as it likes."""
    with PolarServer(CATALOGUES["shop"]()) as server:
        yield server


FACTS = "facts.json"
_SMALL = {
    "{{_copier_conf.answers_file}}.jinja": "{{ _copier_answers | to_nice_yaml -}}",
    f"{FACTS}.jinja": """{{ {"billing": billing, "project_slug": project_slug, "grace": past_due_grace_days,
 "proration": proration, "sells_subscriptions": sells_subscriptions, "sells_one_time": sells_one_time,
 "sells_custom_price": sells_custom_price, "is_worker": is_worker, "is_d1": is_d1, "is_sqlite": is_sqlite,
 "is_postgres": is_postgres, "is_demo": is_demo, "auth_is_jwt": auth_is_jwt} | json_literal }}
""",
    "catalog.txt.jinja": "{% for product in billing.products %}{{ product.key }} {{ product.name | comment }}\n"
    "{% endfor %}# the end, far enough from the products for a merge\n#\n#\n#\n#\n#\n# yours\n",
}


@pytest.fixture(scope="session")
def small_template(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The questions and hooks with hardly any file to render: for tests of what is asked."""
    folder = tmp_path_factory.mktemp("small")
    shutil.copy(template / "copier.yml", folder)
    shutil.copytree(template / "hooks", folder / "hooks")
    for runtime in ("worker", "fastapi"):
        (folder / "template" / runtime).mkdir(parents=True)
        for name, text in _SMALL.items():
            (folder / "template" / runtime / name).write_text(text)
    return folder


@pytest.fixture(scope="session")
def git_template(small_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small template as a repository with a released version, since updates need one."""
    folder = tmp_path_factory.mktemp("git") / "template"
    shutil.copytree(small_template, folder)
    git(folder, "init", "--quiet")
    commit(folder, "1.0.0")
    git(folder, "tag", "1.0.0")
    return folder


def git(folder: Path, *arguments: str) -> str:
    """Run git there; its output."""
    done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout


def commit(folder: Path, message: str) -> None:
    """Commit everything there."""
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--allow-empty", "--message", message)
