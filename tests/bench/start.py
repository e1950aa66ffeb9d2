"""How long a start takes, and how much memory is used.

    uv run python -m tests.bench.start [--quick] [--variants worker-d1 fastapi-sqlite]

FastAPI: the import of the app, and the time from starting `uvicorn` to the first answer of /healthz, on a store that is
up to date; beside it the same of the handler in the SDK's README. The Worker: the CPU time that `wrangler check
startup` reports for it and for that handler, and the time from the appearance of the workerd process that answers to
its first answer. Medians.

Memory is the sum of the resident sets of the process group that the start command made; pages that processes share
count once for each. The group has what starts the server in development too: `uv`, or wrangler with its Node.
"""

from __future__ import annotations

import re
import statistics
import threading
import time
import urllib.error
import urllib.request
from collections import defaultdict
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

from tests.bench.effort import Effort, chosen, parser, progress
from tests.bench.servers import BASELINE_FOLDER, LABELS, Projects, environment, new_settings, projects, running, started
from tests.bench.webhooks import post
from tests.support import apps, node
from tests.support.process import free_port, run

REST_SECONDS = 2.0
_PAGE_KIB = 4
_ACTIVE = re.compile(r"Active: ([\d.]+) ms")
_IMPORT = "import time; start = time.perf_counter(); import {}; print((time.perf_counter() - start) * 1000)"


def main() -> None:
    """Print the tables."""
    variants, effort = chosen(parser(__doc__).parse_args())
    with projects() as (made, root):
        report(variants, effort, made, root)


def report(variants: list[apps.Variant], effort: Effort, made: Projects, root: Path) -> None:
    """Measure, and print the tables."""
    print(f"\n### Start: medians of {effort.starts}\n\n| variant | what | time |\n|---|---|---|")
    for variant in variants:
        if variant.processes == 1:
            measure = _worker_start if variant.runtime == "worker" else _fastapi_start
            for what, milliseconds in measure(variant, effort, made, root / "start" / variant.name).items():
                print(f"| {variant.name} | {what} | {milliseconds:,.1f} ms |", flush=True)
    print("\n### Memory: resident set\n\n| variant | what | at rest | under load, most |\n|---|---|---|---|")
    for variant in variants:
        for kind in ("readme", "app"):
            for row in _memory(variant, kind, effort, made, root / "memory" / variant.name / kind):
                print(row, flush=True)


def _fastapi_start(variant: apps.Variant, effort: Effort, made: Projects, folder: Path) -> dict[str, float]:
    project, settings = made.of(variant), new_settings()
    times: dict[str, list[float]] = defaultdict(list)
    with running("app", variant, project, folder, settings) as server:
        told = {**settings, "APP_URL": server.base, "DATABASE_URL": server.database_url}
        env = {**environment(variant, told), "PYTHONPATH": str(BASELINE_FOLDER)}
        for number in range(effort.starts):
            progress(f"{variant.name}: start {number + 1} of {effort.starts}")
            for kind, module in (("readme", "fastapi_readme"), ("app", "app.main")):
                python = project / ".venv" / "bin" / "python"
                imported = run([python, "-c", _IMPORT.format(module)], cwd=project, env=env, timeout=60).stdout
                times[f"import: {LABELS[kind]}"].append(float(imported))
                port = free_port()
                serve = ["-m", "uvicorn", "--factory", f"{module}:create_app", "--port", str(port)]
                begin = time.perf_counter()
                with started([python, *serve], project, env, folder / "start.log"):
                    answered = (_first_answer(port) - begin) * 1000
                times[f"uvicorn started, to the first answer: {LABELS[kind]}"].append(answered)
    return {what: statistics.median(measured) for what, measured in times.items()}


def _worker_start(variant: apps.Variant, effort: Effort, made: Projects, folder: Path) -> dict[str, float]:
    active = {
        f"CPU at startup by `wrangler check startup`: {LABELS[kind]}": statistics.median(
            _startup(variant, made.of(variant, kind)) for _ in range(effort.starts)
        )
        for kind in ("readme", "app")
    }
    answers = [_workerd_start(variant, made.of(variant), folder / str(number)) for number in range(effort.starts)]
    return {**active, "workerd started by `wrangler dev`, to the first answer": statistics.median(answers)}


def _startup(variant: apps.Variant, project: Path) -> float:
    progress(f"{variant.name}: startup of {project.name}")
    wrangler = project / "node_modules" / ".bin" / "wrangler"
    report = run([wrangler, "check", "startup"], cwd=project, env=node.environment(), timeout=120).stdout
    found = _ACTIVE.search(report)
    if found is None:
        raise RuntimeError(report)
    return float(found[1])


def _workerd_start(variant: apps.Variant, project: Path, folder: Path) -> float:
    progress(f"{variant.name}: start below {folder.name}")
    folder.mkdir(parents=True)
    port = free_port()
    env = environment(variant, {**new_settings(), "APP_URL": f"http://127.0.0.1:{port}"})
    command: list[str | Path] = [node.NODE, "scripts/dev.ts", "--port", str(port), "--persist-to", folder / "store"]
    with started(command, project, env, folder / "start.log") as group:
        seen: dict[int, float] = {}

        def look() -> None:
            now = time.perf_counter()
            for process in processes(group):
                if _name(process) == "workerd":
                    seen.setdefault(process, now)

        return (_first_answer(port, look) - max(seen.values())) * 1000


def _first_answer(port: int, meanwhile: Callable[[], None] = lambda: None, timeout: float = 60) -> float:
    """The instant at which /healthz was first answered with success."""
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        meanwhile()
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=10):
                return time.perf_counter()
        except (urllib.error.URLError, OSError):
            time.sleep(0.005)  # not listening yet
    raise RuntimeError("no answer")


def _memory(variant: apps.Variant, kind: str, effort: Effort, made: Projects, folder: Path) -> list[str]:
    progress(f"{variant.name}: memory of {kind}")
    settings = new_settings()
    with running(kind, variant, made.of(variant, kind), folder, settings) as server:
        post(server.base, range(effort.warm_up), settings)
        time.sleep(REST_SECONDS)
        rest = memory(server.group)
        with _most(server.group) as most:
            post(server.base, range(effort.warm_up, effort.warm_up + effort.requests), settings)
    parts = ("workerd", "whole process group") if variant.runtime == "worker" else ("whole process group",)
    return [
        f"| {variant.name} | {LABELS[kind]}, {part} | {rest[part]:.0f} MiB | {most[part]:.0f} MiB |" for part in parts
    ]


@contextmanager
def _most(group: int) -> Generator[dict[str, float]]:
    """Look often; yields the most, by name as in `memory`."""
    most: dict[str, float] = {}
    done = threading.Event()

    def look() -> None:
        while not done.wait(0.1):
            for name, size in memory(group).items():
                most[name] = max(size, most.get(name, 0.0))

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield most
    finally:
        done.set()
        thread.join()


def memory(group: int) -> dict[str, float]:
    """The resident set of a process group in MiB: the whole, and by name of process."""
    sizes = {"whole process group": 0.0}
    for process in processes(group):
        try:
            pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
        except (OSError, IndexError):
            continue  # ended meanwhile
        for name in (_name(process), "whole process group"):
            sizes[name] = sizes.get(name, 0.0) + pages * _PAGE_KIB / 1024
    return sizes


def processes(group: int) -> list[int]:
    """The processes of a group."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue  # ended meanwhile
            if int(fields[2]) == group:
                found.append(int(entry.name))
    return found


def _name(process: int) -> str:
    try:
        return Path(f"/proc/{process}/comm").read_text().strip()
    except OSError:
        return ""


if __name__ == "__main__":
    main()
