"""A generated project's code and store, asked line by line in a process of its own."""

from __future__ import annotations

import json
import re
import subprocess
import threading
from collections.abc import Generator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import httpx

from tests.support import apps, node, python_env
from tests.support.process import free_port, server

from .lives import NOW_US, Delivery

Json = dict[str, Any]
_HERE = Path(__file__).parent
_SECONDS = 120
_OF_THE_PROJECT = ("billing/account", "billing/inbox", "billing/reconcile")
# When something was received and tried differs from run to run, of course.
_INCIDENTAL = {"received_us", "processed_us", "attempts", "next_attempt_us"}
# What is to be done still, not what is: reactions of this order of events, and whose access is to be compared when.
_NOT_COMPARED = {"billing_reactions", "billing_access", "billing_rate_limits"}


class Store(Protocol):
    """Answers one question."""

    def __call__(self, question: Json) -> Json:
        """Raises RuntimeError when it stops or takes too long."""


@dataclass(frozen=True)
class RunningStore:
    """What a test asks of a store."""

    ask: Store

    def play(self, deliveries: list[Delivery], users: list[str]) -> Json:
        """What an empty store has after these deliveries: `outcomes`, `rows`, `accounts`."""
        return _comparable(self.ask({"play": deliveries, "users": users, "now": NOW_US}))

    def reconcile(self, truth: Mapping[str, Json | None], users: list[str]) -> Json:
        """What it has after every customer was compared with what Polar answers."""
        return _comparable(self.ask({"reconcile": truth, "users": users, "now": NOW_US}))


def _comparable(answer: Json) -> Json:
    return answer | {"rows": {name: _plain(rows) for name, rows in _kept(answer["rows"])}}


def _kept(tables: Json) -> list[tuple[str, list[Json]]]:
    return [(name, rows) for name, rows in sorted(tables.items()) if name not in _NOT_COMPARED]


def _plain(rows: list[Json]) -> list[Json]:
    """Rows without what differs by nature, bodies as whether there is one, in an order of their own."""
    plain = [
        {name: bool(value) if name == "body" else value for name, value in row.items() if name not in _INCIDENTAL}
        for row in rows
    ]
    return sorted(plain, key=lambda row: json.dumps(row, sort_keys=True, default=str))


@contextmanager
def store(variant: apps.Variant, project: Path, folder: Path) -> Generator[RunningStore]:
    """The variant's code and store below `folder`, empty."""
    folder.mkdir(parents=True, exist_ok=True)
    opened = _worker if variant.runtime == "worker" else _fastapi
    with ExitStack() as stack:
        yield RunningStore(opened(variant, project, folder, stack))


def _worker(variant: apps.Variant, project: Path, folder: Path, stack: ExitStack) -> Store:
    """The project's code around D1, both in workerd."""
    config, port = folder / "wrangler.json", free_port()
    told = {
        "name": "convergence",
        "main": str(_HERE / "worker_entry.ts"),
        "compatibility_date": "2026-06-01",
        "alias": {f"@project/{name}": str(project / "src" / f"{name}.ts") for name in _OF_THE_PROJECT},
        "d1_databases": [{"binding": "DB", "database_name": variant.name, "database_id": variant.name}],
    }
    config.write_text(json.dumps(told))
    base = f"http://127.0.0.1:{port}"
    script = project / "node_modules" / "wrangler" / "bin" / "wrangler.js"
    command = [node.NODE, script, "dev", "--config", config, "--port", str(port), "--persist-to", folder / "state"]
    stack.enter_context(
        server(command, cwd=project, env=node.environment(), url=f"{base}/ready", log=folder / "store.log")
    )
    client = stack.enter_context(httpx.Client(base_url=base, timeout=_SECONDS))

    def ask(question: Json) -> Json:
        answer = client.post("/", json=question)
        if answer.status_code != 200:
            raise RuntimeError(f"the store answered {answer.status_code}: {answer.text[:2000]}")
        found: Json = answer.json()
        return found

    ask({"migrate": _statements(project / "migrations"), "users": [], "now": 0})
    return ask


def _statements(folder: Path) -> list[str]:
    text = "\n".join(file.read_text() for file in sorted(folder.glob("*.sql")))
    return [each.strip() for each in re.sub(r"--.*", "", text).split(";") if each.strip()]


def _fastapi(variant: apps.Variant, project: Path, folder: Path, stack: ExitStack) -> Store:
    """The project's code in a process with its own environment, on SQLite or Postgres."""
    python = python_env.environment([project])
    url = apps.database_url(variant, folder, stack)
    log = folder / "store.log"
    process = subprocess.Popen(
        [str(python.bin("python")), str(_HERE / "fastapi_driver.py"), url],
        cwd=project,
        env=python.variables(project),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=stack.enter_context(log.open("w")),
        text=True,
    )
    stack.callback(_end, process)

    def ask(question: Json) -> Json:
        line = _line_for(process, json.dumps(question))
        if not line:
            raise RuntimeError(f"the store's process ended:\n{log.read_text(errors='replace')[-4000:]}")
        found: Json = json.loads(line)
        return found

    return ask


def _line_for(process: subprocess.Popen[str], question: str) -> str:
    assert process.stdin is not None
    assert process.stdout is not None
    overdue = threading.Timer(_SECONDS, process.kill)
    overdue.start()
    try:
        process.stdin.write(question + "\n")
        process.stdin.flush()
        return process.stdout.readline()
    except BrokenPipeError:
        return ""
    finally:
        overdue.cancel()


def _end(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.close()
    try:
        process.wait(timeout=15)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(timeout=10)
