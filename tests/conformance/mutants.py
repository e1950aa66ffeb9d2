"""`uv run python -m tests.conformance.mutants [NAME …]`: breaks the generated apps on purpose, one fault at a time.

Each mutant is a line of the template changed in a copy of the repository; the check that is to notice runs there. The
table that is printed says which test did. Ends with 1 when a mutant survives.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tests.support.node import CACHE, ROOT

_SECONDS = 900
_WORKER = "template/worker/src/billing/"
_FASTAPI = "template/fastapi/src/app/billing/"


@dataclass(frozen=True)
class Mutant:
    """A fault: `old` in a file of the template becomes `new`; `check` is what pytest is to run, and to fail at."""

    name: str
    file: str
    old: str
    new: str
    check: tuple[str, ...]


_CONVERGENCE = "tests/conformance/test_convergence.py"
_REPLAY = "tests/test_replay.py"


def _any_order(store: str) -> tuple[str, ...]:
    return (_CONVERGENCE, "-k", f"gives_the_same_rows and {store}")


def _after_losses(store: str) -> tuple[str, ...]:
    return (_CONVERGENCE, "-k", f"what_was_lost and {store}")


MUTANTS = (
    Mutant(
        "worker: a snapshot is written whatever its version",
        f"{_WORKER}store/projection-store.ts",
        "WHERE (excluded.version, excluded.modified_us, excluded.webhook_id) "
        "> (t.version, t.modified_us, t.webhook_id)`",
        "`",
        _any_order("worker-d1"),
    ),
    Mutant(
        "fastapi: a snapshot is written whatever its version",
        f"{_FASTAPI}repository.py",
        "set_=changes, where=_is_newer(statement, table))",
        "set_=changes)",
        _any_order("fastapi-postgres"),
    ),
    Mutant(
        "fastapi: equal timestamps decide nothing",
        f"{_FASTAPI}repository.py",
        "return tuple_(new.version, new.modified_us, new.webhook_id) "
        "> tuple_(old.version, old.modified_us, old.webhook_id)",
        "return new.version > old.version",
        _any_order("fastapi-sqlite"),
    ),
    Mutant(
        "worker: a later null takes the external id away",
        f"{_WORKER}store/projection-store.ts",
        "SET external_id = COALESCE(t.external_id, excluded.external_id),\n         created_us",
        "SET external_id = excluded.external_id,\n         created_us",
        _any_order("worker-d1"),
    ),
    Mutant(
        "worker: late personal data of a deleted customer stays",
        f"{_WORKER}inbox.ts",
        "const forgotten = customerId === null ? [] : forgetIfDeleted(db, customerId);",
        "const forgotten = customerId === null || entry.type !== 'customer.deleted' ? [] "
        ": forgetIfDeleted(db, customerId);",
        _any_order("worker-d1"),
    ),
    Mutant(
        "worker: reconcile leaves rows that differ",
        f"{_WORKER}reconcile.ts",
        "[updateUnmoved(db, table, old, changes)]",
        "[]",
        _after_losses("worker-d1"),
    ),
    Mutant(
        "fastapi: reconcile reads no benefit grants",
        f"{_FASTAPI}reconcile.py",
        "benefit_grants: [benefit_grant_row(item) for item in grants],",
        "benefit_grants: [],",
        _after_losses("fastapi-sqlite"),
    ),
    Mutant(
        "fastapi: a known delivery is applied again",
        f"{_FASTAPI}repository.py",
        "repeatable = true() if again else webhook_events.c.state.in_(RETRYABLE)",
        "repeatable = true()",
        _any_order("fastapi-sqlite"),
    ),
    Mutant(
        "worker: a known delivery is stored again",
        f"{_WORKER}store/inbox-store.ts",
        "const UNLESS_DONE = \"WHERE t.state IN ('failed', 'dead') RETURNING webhook_id\";",
        'const UNLESS_DONE = "RETURNING webhook_id";',
        _any_order("worker-d1"),
    ),
    Mutant(
        "fastapi: a payload of today's API only is understood",
        f"{_FASTAPI}projections.py",
        'kind = required_text(payload, "type")',
        'kind = required_text(payload, "type")\n    required_text(payload, "api_version")',
        (_REPLAY, "-k", "ordered-legacy-fastapi-sqlite"),
    ),
)


def main() -> int:
    """Run the mutants that are named, or all; print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("names", nargs="*", help="a part of the name of each mutant to run; all by default")
    wanted = parser.parse_args().names
    chosen = [mutant for mutant in MUTANTS if not wanted or any(name in mutant.name for name in wanted)]
    survivors = 0
    print("| Broken on purpose | Noticed by |\n|---|---|")
    for number, mutant in enumerate(chosen, 1):
        print(f"{number} of {len(chosen)}: {mutant.name}", file=sys.stderr)
        killers = _run(mutant)
        survivors += not killers
        print(f"| {mutant.name} | {', '.join(f'`{test}`' for test in killers) or '**nothing**'} |", flush=True)
    return 1 if survivors else 0


def _run(mutant: Mutant) -> list[str]:
    """The tests that fail with the mutant."""
    with tempfile.TemporaryDirectory(prefix="mutant-") as folder:
        copy = _copied(Path(folder) / "copy")
        file = copy / mutant.file
        text = file.read_text()
        if text.count(mutant.old) != 1:
            raise SystemExit(
                f"{mutant.name}: the text to change stands {text.count(mutant.old)} times in {mutant.file}"
            )
        file.write_text(text.replace(mutant.old, mutant.new))
        command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *mutant.check]
        done = subprocess.run(
            command, cwd=copy, env=dict(os.environ), timeout=_SECONDS, capture_output=True, text=True, check=False
        )
    if done.returncode not in (0, 1):
        raise SystemExit(f"{mutant.name}: the check did not run:\n{done.stdout[-3000:]}{done.stderr[-3000:]}")
    return sorted(set(re.findall(r"^FAILED tests/\S*?(\w+\.py::\w+(?:\[[^\]]*\])?)", done.stdout, re.MULTILINE)))


def _copied(folder: Path) -> Path:
    """The repository as it stands, uncommitted changes included, with the same installed packages."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
        text=True,
    )
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).exists():
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target)
    subprocess.run(["git", "init", "--quiet"], cwd=folder, check=True)
    subprocess.run(["git", "add", "--all"], cwd=folder, check=True)
    CACHE.mkdir(exist_ok=True)
    (folder / ".cache").symlink_to(CACHE)
    return folder


if __name__ == "__main__":
    sys.exit(main())
