"""How long the default projects are: all their files but the one of answers."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.profiles import Profile
from tests.support.render import render

# Every later feature that lengthens the default projects raises these by as many lines as its own text says that it
# adds, in the same change; nothing else does. What is over a limit is looked at for what it says twice. The promises
# over time and in production (0.3.0) added 3,200 and 3,700 lines to the 9,000 and 12,500 that the projects had before.
WORKER_LINES = 12_200
FASTAPI_LINES = 16_500
ANSWERS = ".copier-answers.yml"


@pytest.mark.parametrize(("runtime", "limit"), [("worker", WORKER_LINES), ("fastapi", FASTAPI_LINES)])
def test_a_default_project_is_not_longer(
    runtime: str, limit: int, template: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    project = render(Profile("limits", runtime), template, tmp_path / "project", None)
    lengths = {
        path.relative_to(project).as_posix(): path.read_bytes().count(b"\n")
        for path in project.rglob("*")
        if path.is_file() and path.name != ANSWERS
    }
    total = sum(lengths.values())
    with capsys.disabled():
        print(f"\n{runtime}: {total} of {limit} lines in {len(lengths)} files")
    longest = sorted(lengths, key=lambda name: -lengths[name])[:10]
    assert total <= limit, {name: lengths[name] for name in longest}
