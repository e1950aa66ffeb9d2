"""How a coding agent starts the MCP server of a project: both launchers get the extra, and `.mcp.json` calls them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from jinja2 import Environment

from copier_polar import cli
from copier_polar.commands import mcp
from tests.support import node
from tests.support.render import ROOT
from tests.tool.sources import HASH, WITH_EXTRA

LAUNCHERS = {
    "worker": ("scripts/billing.mjs", "scripts/node-version.mjs"),
    "fastapi": ("src/app/billing/launch.py",),
}
START = {
    "worker": [str(node.NODE), "scripts/billing.mjs"],
    "fastapi": [sys.executable, "-c", "import sys, launch; sys.exit(launch.launch(sys.argv[1:]))"],
}
# It says what it was started with where the tool would speak the protocol, and that it has started.
FAKE_UV = """#!{python}
import json, os, sys
os.write(2, b"\\x06")
print(json.dumps(sys.argv[1:]))
"""


@pytest.fixture(params=LAUNCHERS)
def runtime(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def project(tmp_path: Path, runtime: str) -> Path:
    """A project's folder with nothing but its launcher and its answers, and a uv beside it that only says its call."""
    folder = tmp_path / "project"
    for name in LAUNCHERS[runtime]:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / "template" / runtime / name, folder / name)
    answers = f"_src_path: gh:team/billing\n_commit: {HASH}\npolar_catalog: {{}}\nruntime: {runtime}\n"
    (folder / ".copier-answers.yml").write_text(answers)
    (tmp_path / "bin").mkdir()
    for name in ("uv", "uvx"):
        (tmp_path / "bin" / name).write_text(FAKE_UV.format(python=sys.executable))
        (tmp_path / "bin" / name).chmod(0o755)
    return folder


def started(project: Path, runtime: str, *command: str, **settings: str) -> tuple[str, list[str]]:
    """The source and the arguments that the launcher starts the tool with; its stdout has nothing else."""
    path = os.pathsep.join([str(project.parent / "bin"), os.environ["PATH"]])
    env = {"PATH": path, "HOME": str(project.parent), "PYTHONPATH": str(project / "src/app/billing"), **settings}
    done = subprocess.run(
        [*START[runtime], *command], cwd=project, env=env, capture_output=True, text=True, timeout=30, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    called: list[str] = json.loads(done.stdout)
    at = called.index("--from")
    assert called[at + 2] == "copier-polar"
    return called[at + 1], called[at + 3 :]


def test_only_mcp_gets_the_extra(project: Path, runtime: str) -> None:
    source = f"git+https://github.com/team/billing.git@{HASH}"
    assert started(project, runtime, "mcp") == (f"copier-polar[mcp] @ {source}", ["mcp"])
    assert started(project, runtime, "doctor", "mcp") == (source, ["doctor", "mcp"])


@pytest.mark.parametrize("source", WITH_EXTRA)
def test_every_source_gets_the_extra(project: Path, runtime: str, source: str) -> None:
    wanted = WITH_EXTRA[source].replace("{above}", str(project.parent))
    found, _ = started(project, runtime, "mcp", POLAR_BILLING_TOOL=source)
    assert os.path.normpath(found) == os.path.normpath(wanted)


@pytest.mark.parametrize("is_production", [True, False])
def test_the_agents_file_calls_the_launcher(runtime: str, is_production: bool) -> None:
    text = (ROOT / "template" / runtime / ".mcp.json.jinja").read_text()
    servers = json.loads(Environment().from_string(text).render(is_production=is_production))["mcpServers"]
    assert list(servers) == ["polar", "billing"]
    assert servers["polar"]["url"].endswith("polar-mcp" if is_production else "polar-sandbox")
    called = [servers["billing"]["command"], *servers["billing"]["args"]]
    assert (
        called
        == {
            "worker": ["node", "scripts/billing.mjs", "mcp"],  # `npm run` prints on stdout
            "fastapi": ["uv", "run", "--quiet", "billing", "mcp"],
        }[runtime]
    )


def test_without_the_extra_one_line_says_how_it_is_started(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(mcp, "find_spec", lambda name: None)
    with pytest.raises(SystemExit) as ended:
        cli.main(["mcp"])
    assert ended.value.code == 2
    assert capsys.readouterr() == ("", f"Error: {mcp.NOT_INSTALLED}\n")
