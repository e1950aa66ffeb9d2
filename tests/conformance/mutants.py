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


def _black_box(file: str, test: str, variant: str) -> tuple[str, ...]:
    return (f"tests/conformance/test_{file}.py", "-k", f"{test} and {variant} and not {variant}-2")


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
        'const FIRST_EXTERNAL_ID = "COALESCE(t.external_id, excluded.external_id)";',
        'const FIRST_EXTERNAL_ID = "excluded.external_id";',
        _any_order("worker-d1"),
    ),
    Mutant(
        "worker: late personal data of a deleted customer stays",
        f"{_WORKER}inbox.ts",
        "return PERSONAL.has(table) || (customer !== null && customer.deletedUs !== null);",
        "return customer !== null && customer.deletedUs !== null;",
        _any_order("worker-d1"),
    ),
    Mutant(
        "worker: reconcile leaves rows that differ",
        f"{_WORKER}reconcile.ts",
        '[{ kind: "updated", statements: [updateUnmoved(db, table, old, changes), ...reacted] }]',
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
        "repeatable = true() if again else or_(*(webhook_events.c.state == state for state in RETRYABLE))",
        "repeatable = true()",
        _any_order("fastapi-sqlite"),
    ),
    Mutant(
        "worker: a known delivery is stored again",
        f"{_WORKER}store/inbox-store.ts",
        "const UNLESS_DONE = \"WHERE t.state IN ('failed', 'dead') RETURNING state\";",
        'const UNLESS_DONE = "RETURNING state";',
        _any_order("worker-d1"),
    ),
    Mutant(
        "fastapi: a payload of today's API only is understood",
        f"{_FASTAPI}projections.py",
        'kind = required_text(payload, "type")',
        'kind = required_text(payload, "type")\n    required_text(payload, "api_version")',
        (_REPLAY, "-k", "ordered-legacy-fastapi-sqlite"),
    ),
    Mutant(
        "worker: anybody may sign",
        f"{_WORKER}webhook.ts",
        "if (error instanceof webhooks.PolarWebhookVerificationError) return null;",
        "if (error instanceof webhooks.PolarWebhookVerificationError) return {};",
        _black_box("abuse", "fuzzed_webhooks", "worker-d1"),
    ),
    Mutant(
        "fastapi: anybody may sign",
        f"{_FASTAPI}inbox.py",
        "except (UnicodeDecodeError, PolarWebhookVerificationError):\n        return None",
        "except (UnicodeDecodeError, PolarWebhookVerificationError):\n        return _Signed(None)",
        _black_box("abuse", "fuzzed_webhooks", "fastapi-sqlite"),
    ),
    Mutant(
        "worker: what could not be stored is acknowledged",
        f"{_WORKER}webhook.ts",
        'return errorResponse("unavailable", { retryAfter: RETRY_AFTER_SECONDS });',
        "",
        _black_box("faults", "a_store_that_is_away", "worker-d1"),
    ),
    Mutant(
        "fastapi: what could not be stored is acknowledged",
        f"{_FASTAPI}routes.py",
        "if outcome is inbox.Outcome.UNAVAILABLE:",
        "if False:",
        _black_box("faults", "a_store_that_is_away", "fastapi-postgres"),
    ),
    Mutant(
        "worker: stored and applied in two batches",
        f"{_WORKER}inbox.ts",
        "const [stored] = await db.batch(statements);\n    if",
        "const [stored] = await db.batch(statements.slice(0, 1));\n"
        "    await new Promise((resolve) => setTimeout(resolve, 20));\n"
        "    if (stored?.results.length && statements.length > 1) await db.batch(statements.slice(1));\n    if",
        _black_box("faults", "killed_apps", "worker-d1"),
    ),
    Mutant(
        "fastapi: stored and applied in two transactions",
        f"{_FASTAPI}inbox.py",
        "        with db.write() as connection:\n            return apply_event(connection, event, now, reactions)\n",
        "        with db.write() as connection:\n"
        "            if not run(connection, [repository.store_event(event, 'processed', now)])[0]:\n"
        "                return Outcome.REPEAT\n"
        "        time.sleep(0.02)\n"
        "        with db.write() as connection:\n"
        "            return apply_event(connection, event, now, reactions, again=True)\n",
        _black_box("faults", "killed_apps", "fastapi-postgres"),
    ),
    Mutant(
        "fastapi: nobody waits for the store's one writer",
        "template/fastapi/src/app/database.py.jinja",
        "# Polar waits ten seconds for an answer, and an event that cannot be applied is stored in a second try.\n"
        "BUSY_SECONDS = 3",
        "BUSY_SECONDS = 0",
        _black_box("load", "test_load", "fastapi-sqlite"),
    ),
    Mutant(
        "worker: any 404 means gone",
        f"{_WORKER}polar.ts",
        'error.status === 404 && error.error === "ResourceNotFound"',
        "error.status === 404",
        _black_box("faults", "cannot_read_polar", "worker-d1"),
    ),
    Mutant(
        "fastapi: any 404 means gone",
        f"{_FASTAPI}polar.py",
        'if response.status_code == 404 and error == "ResourceNotFound" else',
        "if response.status_code == 404 else",
        _black_box("faults", "cannot_read_polar", "fastapi-sqlite"),
    ),
    Mutant(
        "fastapi: a token for somebody else is accepted",
        "template/fastapi/src/app/auth/claims.py",
        "return _wrong_recipient(claims, expected) or (None if",
        "return (None if",
        _black_box("abuse", "a_token_that_is_not_for_us", "fastapi-sqlite"),
    ),
    Mutant(
        "worker: a token without an end is accepted",
        "template/worker/src/auth/claims.ts",
        "exp = Number.NEGATIVE_INFINITY",
        "exp = Number.POSITIVE_INFINITY",
        _black_box("abuse", "a_token_that_is_not_for_us", "worker-d1"),
    ),
    Mutant(
        "worker: a buyer may be sent anywhere",
        f"{_WORKER}checkout.ts",
        "const url = own && URL.canParse(path, appUrl) ? new URL(path, appUrl) : undefined;\n"
        "  if (url === undefined || url.origin !== appUrl) {",
        "const url = new URL(own ? path : String(path), appUrl);\n  if (url === undefined) {",
        _black_box("abuse", "a_path_stays", "worker-d1"),
    ),
    Mutant(
        "both: a refund in part takes access away",
        "template/common/policy.jinja",
        '"partially_refunded": true,',
        '"partially_refunded": false,',
        _black_box("scenarios", "every_step and refund_part", "fastapi-sqlite"),
    ),
    Mutant(
        "both: a failed payment takes access away at once",
        "template/common/policy.jinja",
        '"past_due": "within_grace",',
        '"past_due": "never",',
        _black_box("scenarios", "every_step and past_due", "worker-d1"),
    ),
    Mutant(
        "fastapi: the grace never ends",
        f"{_FASTAPI}policy.py",
        "return None if start is None else start + PAST_DUE_GRACE",
        "return None if start is None else start + 1000 * PAST_DUE_GRACE",
        _black_box("scenarios", "every_step and grace_over", "fastapi-sqlite"),
    ),
    Mutant(
        "both: what was revoked lasts until the end of its period",
        "template/common/policy.jinja",
        '"canceled": "never",',
        '"canceled": "while_renewing",',
        _black_box("scenarios", "every_step and revoke", "worker-d1"),
    ),
    Mutant(
        "fastapi: a purchase is applied a second after it was acknowledged",
        f"{_FASTAPI}routes.py",
        "outcome = await get_running_loop().run_in_executor(_webhook_threads, inbox.receive, *arguments)",
        "import time; get_running_loop().run_in_executor(None, lambda: (time.sleep(1), inbox.receive(*arguments))); "
        "outcome = inbox.Outcome.PROCESSED",
        _black_box("scenarios", "every_step and buy_once", "fastapi-sqlite"),
    ),
    Mutant(
        "worker: an answer without one of its fields",
        f"{_WORKER}policy.ts",
        "    until: formatOptionalInstant(deciding?.until ?? null),\n",
        "",
        _black_box("schema", "billing/access", "worker-d1"),
    ),
    Mutant(
        "worker: a body that is refused is kept",
        f"{_WORKER}webhook.ts",
        "if (signed === null) {",
        "if (signed === null) {\n    ((globalThis as any).kept ??= []).push(body);",
        _black_box("abuse", "are_not_kept", "worker-d1"),
    ),
    Mutant(
        "fastapi: a body that is refused is kept",
        f"{_FASTAPI}routes.py",
        'raise BillingError("invalid_signature")',
        'vars(inbox).setdefault("kept", []).append(body)\n        raise BillingError("invalid_signature")',
        _black_box("abuse", "are_not_kept", "fastapi-sqlite"),
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
        command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "--full", *mutant.check]
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
