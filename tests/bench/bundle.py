"""Size of the default Worker's bundle, and the SDK's part of it.

    uv run python -m tests.bench.bundle

Builds the project twice with `wrangler deploy --dry-run`: as it is, and with `@polar-sh/sdk` replaced by empty modules;
the difference is the SDK's part. Raw bytes and gzip level 9.
"""

from __future__ import annotations

import gzip
import json
import re
import tempfile
from pathlib import Path

from tests.profiles import WORKER_PROFILES
from tests.support import node
from tests.support.render import render, template_copy

_IMPORT = re.compile(r'^import\s+(?!type\b)\{([^}]*)\}\s+from\s+"(@polar-sh/sdk[^"]*)";', re.MULTILINE)


def main() -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        project = render(WORKER_PROFILES[0], template_copy(root / "template"), root / "app", None)
        workspace = node.workspace(json.loads((project / "package.json").read_text()))
        (project / "node_modules").symlink_to(workspace.root / "node_modules")
        whole = _build(workspace, project, root / "with")
        _stub_sdk(project)
        rest = _build(workspace, project, root / "without")
    print(f"| bundle of the default Worker | {whole[0]:,} bytes | gzip {whole[1]:,} bytes |")
    print(f"| of it the SDK | {whole[0] - rest[0]:,} bytes | gzip {whole[1] - rest[1]:,} bytes |")


def _build(workspace: node.Workspace, project: Path, output: Path) -> tuple[int, int]:
    built = node.run(workspace.bin("wrangler"), "deploy", "--dry-run", "--outdir", output, cwd=project, timeout=120)
    if built.returncode:
        raise RuntimeError(built.stdout + built.stderr)
    code = (output / "index.js").read_bytes()
    return len(code), len(gzip.compress(code, 9))


def _stub_sdk(project: Path) -> None:
    """Replace every value import of the SDK by constants that cannot be optimized away."""

    def constants(found: re.Match[str]) -> str:
        names = [part.strip().split(" as ")[-1] for part in found[1].split(",") if part.strip()]
        values = [name for name in names if not name.startswith("type ")]
        return "".join(f"const {name} = (globalThis as any).{name};\n" for name in values)

    for file in (project / "src").rglob("*.ts"):
        file.write_text(_IMPORT.sub(constants, file.read_text()))


if __name__ == "__main__":
    main()
