"""Every named FastAPI profile: its own formatter, linter, type checkers and tests really run, on the chosen database.

One Python environment serves all profiles.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.profiles import FASTAPI_PROFILES
from tests.support import python_env
from tests.support.process import run
from tests.support.python_env import PythonEnvironment
from tests.support.render import render

NAMES = [profile.name for profile in FASTAPI_PROFILES]
OWN_TESTS = "test_own_tests_pass"
CHECKS = {
    "formatter": ["ruff", "format", "--check", "."],
    "linter": ["ruff", "check", "."],
    "mypy": ["mypy"],
    "ty": ["ty", "check"],
}


@pytest.fixture(scope="session")
def projects(
    template: Path, polar_with: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    """All profiles, rendered."""
    return {
        profile.name: render(
            profile,
            template,
            tmp_path_factory.mktemp("fastapi") / profile.name,
            polar_with(profile.catalogue) if profile.catalogue else None,
        )
        for profile in FASTAPI_PROFILES
    }


@pytest.fixture(scope="session")
def python(projects: dict[str, Path]) -> PythonEnvironment:
    """What any of the profiles depends on."""
    return python_env.environment(projects.values())


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("check", CHECKS)
def test_nothing_to_complain_about(
    name: str,
    check: str,
    projects: dict[str, Path],
    python: PythonEnvironment,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    program, *arguments = CHECKS[check]
    if program == "mypy":
        arguments = ["--cache-dir", str(tmp_path_factory.getbasetemp() / "mypy-cache")]
    if program == "ty":
        arguments += ["--python", str(python.root)]
    run([python.bin(program), *arguments], cwd=projects[name], env=python.variables(projects[name]), timeout=300)


@pytest.fixture(scope="session")
def own_tests(
    request: pytest.FixtureRequest, projects: dict[str, Path], python: PythonEnvironment
) -> Generator[dict[str, Future[str]]]:
    """What the profiles' own tests print, by name: two at a time, and only of the profiles that were asked for."""
    wanted = [item.callspec.params["name"] for item in request.session.items if item.originalname == OWN_TESTS]
    wanted = [name for name in wanted if name in projects]  # the Worker's profiles have a test of that name too
    with ThreadPoolExecutor(2) as pool:
        yield {name: pool.submit(_own_tests, projects[name], python) for name in wanted}
        pool.shutdown(cancel_futures=True)


def _own_tests(project: Path, python: PythonEnvironment) -> str:
    command = [python.bin("python"), "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    return run(command, cwd=project, env=python.variables(project), timeout=600).stdout


@pytest.mark.parametrize("name", NAMES)
def test_own_tests_pass(name: str, own_tests: dict[str, Future[str]]) -> None:
    passed = int(own_tests[name].result().rsplit(" passed", 1)[0].split()[-1])
    assert passed > 200, "the profile ran hardly any test of its own"
