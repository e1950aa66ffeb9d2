"""An update of an untouched project gives what a fresh one is, without network, and no answer is lost."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace

import pytest
from copier import _main

from tests.catalogues import CATALOGUES
from tests.profiles import FASTAPI_PROFILES, WORKER_PROFILES, Profile
from tests.updates.conftest import Generated, Made
from tests.updates.project import no_network, tree

PROFILES = (*WORKER_PROFILES, *FASTAPI_PROFILES)


def _as_sold(profile: Profile, products: list[str]) -> Profile:
    """The profile; a project that sold private products goes on, and a new one does not unless it is answered so."""
    if not any(each["visibility"] == "private" for each in CATALOGUES.get(profile.catalogue or "", list)()):
        return profile
    answers = {"project_name": profile.data()["project_name"], "products": products, "private_products": "sell"}
    return replace(profile, name=f"{profile.name}-sold", answers={**profile.answers, **answers})


@pytest.mark.parametrize("profile", PROFILES, ids=lambda profile: profile.name)
def test_an_update_from_the_oldest_version_equals_a_fresh_project(
    profile: Profile, made: Made, fresh: Callable[[Profile], Generated], monkeypatch: pytest.MonkeyPatch
) -> None:
    project = made(profile)
    before = project.answers
    new = fresh(_as_sold(profile, before["products"]))
    assert new.run.code == 0, new.run.said
    monkeypatch.setattr(_main, "unsafe_prompt", lambda *asked, **_named: pytest.fail(f"a question was asked: {asked}"))
    with no_network():
        project.update()

    updated, expected = tree(project.folder), tree(new.folder)
    assert sorted(updated) == sorted(expected)
    other = [str(path) for path in expected if updated[path] != expected[path]]
    # The recorded catalogue of before does not say that a product is private.
    assert other == ([] if new.folder == fresh(profile).folder else [".copier-answers.yml"])
    kept = {name: answer for name, answer in project.answers.items() if name in before and name != "_commit"}
    assert kept == {name: answer for name, answer in before.items() if name != "_commit"}


@pytest.mark.parametrize("profile", PROFILES, ids=lambda profile: profile.name)
def test_the_token_is_nowhere(profile: Profile, fresh: Callable[[Profile], Generated]) -> None:
    """Not in a file, the answers file among them, nor in a line of output or log, nor an argument of any process."""
    made = fresh(profile)
    assert made.run.code == 0, made.run.said
    written = {str(path): content for path, content in tree(made.folder).items()}
    assert [path for path, content in written.items() if made.token in path or made.token.encode() in content] == []
    assert made.token not in made.run.said
    assert "DEBUG" in made.run.said or profile.catalogue is None, "the logs were not there to be searched"
    assert "started" in made.run.said, "no process was seen to be started"
    assert not [line for line in made.run.processes if made.token in line]
    assert made.run.processes or sys.platform != "linux", "not even the command itself was seen"
