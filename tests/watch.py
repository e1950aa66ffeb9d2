"""`uv run python -m tests.watch PROFILE [-- ARGUMENTS]`: a profile's project that follows the template as you write.

Renders the profile (see `tests/profiles.py`) into `.cache/watch/PROFILE` and runs that project's own tests, and again
whenever a file of the template is saved. Arguments after `--` go to vitest or pytest, such as the name of a file. Only
files that came out differently are written, so an editor or a server that runs there sees just those.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, nullcontext
from pathlib import Path

from watchfiles import watch

from tests.catalogues import CATALOGUES
from tests.polar_server import PolarServer
from tests.profiles import PROFILES, Profile
from tests.support import node, python_env
from tests.support.node import CACHE
from tests.support.render import ROOT, render, template_copy

TEMPLATE = ("copier.yml", "hooks", "template")
Run = Callable[[Path], object]


def main(arguments: Sequence[str] | None = None) -> int:
    """Watch until interrupted."""
    parser = argparse.ArgumentParser(prog="python -m tests.watch", description=__doc__)
    parser.add_argument("profile", choices=[profile.name for profile in PROFILES])
    parser.add_argument("tests", nargs="*", help="arguments for vitest or pytest, after --")
    asked = parser.parse_args(arguments)
    profile = next(each for each in PROFILES if each.name == asked.profile)
    try:
        follow(profile, ROOT, CACHE / "watch" / profile.name, lambda project: own_tests(project, asked.tests))
    except KeyboardInterrupt:
        print()
    return 0


def follow(profile: Profile, root: Path, project: Path, run: Run, stop: threading.Event | None = None) -> None:
    """Render and run now, and after every change of the template at `root`, until told to stop."""
    with ExitStack() as stack:
        catalogue = profile.catalogue
        polar = stack.enter_context(PolarServer(CATALOGUES[catalogue]())) if catalogue else nullcontext()
        url = polar.url if isinstance(polar, PolarServer) else None
        again(profile, root, project, url, run)
        for _changes in watch(*(root / name for name in TEMPLATE), stop_event=stop, rust_timeout=500):
            again(profile, root, project, url, run)


def again(profile: Profile, root: Path, project: Path, url: str | None, run: Run) -> None:
    """Render once more; run the tests if anything came out differently. A template that is broken says so and waits."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        template = template_copy(Path(folder, "template"), root)
        try:
            rendered = render(profile, template, Path(folder, project.name), url)
        except Exception as error:  # half-written, most likely: the next save renders again
            print(f"does not render: {type(error).__name__}: {error}", flush=True)
            return
        changed = take_over(rendered, project)
    print(
        f"{profile.name}: {len(changed)} files changed in {time.monotonic() - began:.1f} s", *changed[:10], flush=True
    )
    if changed:
        run(project)


def take_over(rendered: Path, project: Path) -> list[str]:
    """Make the project what was rendered, where it differs; what tools and servers put beside it stays."""
    listed = project.with_name(f"{project.name}.files")  # what the template wrote the last time
    before = set(listed.read_text().splitlines()) if listed.exists() else set()
    now = {path.relative_to(rendered).as_posix() for path in rendered.rglob("*") if path.is_file()}
    different = [name for name in sorted(now) if not _same(rendered / name, project / name)]
    for name in different:
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(rendered / name, project / name)
    gone = sorted(before - now)
    for name in gone:
        (project / name).unlink(missing_ok=True)
    listed.write_text("\n".join(sorted(now)))
    return different + gone


def _same(one: Path, other: Path) -> bool:
    return other.exists() and one.read_bytes() == other.read_bytes()


def own_tests(project: Path, arguments: Sequence[str]) -> int:
    """Run the project's tests; what they say goes to the screen. The exit code is the tests'."""
    command, env = _worker(project) if (project / "package.json").exists() else _fastapi(project)
    return subprocess.run([*command, *arguments], cwd=project, env=env, check=False).returncode


def _worker(project: Path) -> tuple[list[str | Path], Mapping[str, str]]:
    workspace = node.workspace(json.loads((project / "package.json").read_text()))
    modules = project / "node_modules"
    if modules.is_symlink():
        modules.unlink()  # a dependency may have changed
    modules.symlink_to(workspace.root / "node_modules")
    return [workspace.bin("vitest"), "run"], node.environment()


def _fastapi(project: Path) -> tuple[list[str | Path], Mapping[str, str]]:
    python = python_env.environment([project])
    return [python.bin("python"), "-m", "pytest", "-q"], python.variables(project)


if __name__ == "__main__":
    raise SystemExit(main())
