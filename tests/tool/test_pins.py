"""What `uvx` installs is pinned exactly, with all that it needs in turn: nothing is missing, nothing is idle."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path

import pytest

from tests.support import registry
from tests.support.render import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PINS = {"": PROJECT["dependencies"], "mcp": PROJECT["optional-dependencies"]["mcp"]}
DIRECT = {
    "": {"copier", "copier-template-extensions", "httpx", "packaging", "plumbum", "polar-sdk"}
    | {"python-dotenv", "pyyaml", "rich", "typer"},
    "mcp": {"mcp"},
}


def name_of(requirement: str) -> str:
    return re.split(r"[=<>~!; ]", requirement, maxsplit=1)[0]


def pinned(requirements: list[str]) -> dict[str, str]:
    """Versions by name."""
    found = {name_of(each): re.fullmatch(r"[a-z0-9-]+==([\w.]+)(?:; .+)?", each) for each in requirements}
    assert all(found.values()), [name for name, match in found.items() if not match]
    return {name: match[1] for name, match in found.items() if match}


def resolved(requirements: list[str], python: str) -> dict[str, str]:
    """What the registry gives for requirements, on every system."""
    command = ["uv", "pip", "compile", "--quiet", "--no-header", "--no-annotate", "--universal"]
    done = subprocess.run(
        [*command, "--python-version", python, "-"],
        input="\n".join(requirements),
        cwd=Path("/"),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return pinned([re.sub(r" +; +", "; ", line) for line in done.stdout.splitlines()])


@pytest.mark.parametrize("extra", ["", "mcp"])
@pytest.mark.parametrize("python", ["3.11", "3.12", "3.13"])
def test_the_pins_are_what_a_resolution_gives(extra: str, python: str) -> None:
    registry.require()
    pins = [*PINS[""], *(PINS[extra] if extra else [])]
    assert resolved(pins, python) == pinned(pins)


@pytest.mark.parametrize("extra", ["", "mcp"])
def test_every_pin_is_needed(extra: str) -> None:
    registry.require()
    every = {**pinned(PINS[""]), **pinned(PINS[extra])}
    direct = {*DIRECT[""], *DIRECT[extra]}
    found = resolved([f"{name}=={every[name]}" for name in direct], "3.11")
    assert found.keys() == every.keys()


def test_no_address_of_an_index_is_named() -> None:
    text = (ROOT / "pyproject.toml").read_text()
    assert "index" not in text
    assert "://" not in text
