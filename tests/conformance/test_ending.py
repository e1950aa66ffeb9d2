"""Asked to end while a handler of the user's hangs: the app ends in time, and the reaction runs later."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.conformance import histories
from tests.conformance.polar.deliveries import deliver
from tests.conformance.station import Station, station
from tests.support import apps
from tests.support.process import free_port

# Seconds that platforms give between SIGTERM and SIGKILL: Docker's, and the least of the usual ones.
GRACE = 10
STARTED_WITHIN = 30
# The lease of an attempt that was cut off is over after a minute.
AGAIN_WITHIN = 120
HANGS = 300
FASTAPI = [variant for variant in apps.VARIANTS if variant.runtime == "fastapi" and variant.processes == 1]
REACTION = "def access_granted(payload: AccessPayload, delivery: Delivery) -> None:\n"
BEGUN = "handler_begun"


@contextmanager
def _hanging(project: Path) -> Generator[None]:
    """The project's handler hangs, for as long as the block runs."""
    file = project / "src" / "app" / "reactions.py"
    before = file.read_text()
    assert before.count(REACTION) == 1
    begin = f'    log_line("{BEGUN}", key=delivery.key)\n    __import__("time").sleep({HANGS})\n'
    file.write_text(before.replace(REACTION, REACTION + begin))
    try:
        yield
    finally:
        file.write_text(before)


def _logged(app: Station, event: str, seconds: float) -> str:
    """The key of the reaction in the first line of that event, which comes within so many seconds."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = [str(line["key"]) for line in app.log_lines() if line["event"] == event]
        if found:
            return found[0]
        time.sleep(0.2)
    raise AssertionError(f"no {event} within {seconds:.0f} s")


@pytest.mark.parametrize("variant", FASTAPI, ids=lambda variant: variant.name)
def test_an_app_ends_in_time_beside_a_handler_that_hangs(
    variant: apps.Variant, black_box_project: Callable[[apps.Variant], Path], tmp_path: Path
) -> None:
    project = black_box_project(variant)
    nobody = f"http://127.0.0.1:{free_port()}"
    life = next(each for each in histories.mixture("ending", 20, 1).lives if each.end.access)
    with _hanging(project), station(variant, project, tmp_path / "app", nobody) as app:
        assert deliver(app, tuple(life.events), 1).refused == []
        hung = _logged(app, BEGUN, STARTED_WITHIN)
        assert app.process is not None
        began = time.monotonic()
        app.process.terminate()
        app.process.wait(timeout=60)
        took = time.monotonic() - began
        assert took < GRACE, f"it took {took:.1f} s to end"
        app.stop()
        file = project / "src" / "app" / "reactions.py"
        file.write_text(file.read_text().replace(f"sleep({HANGS})", "sleep(0)"))
        app.start()
        assert _logged(app, "access_granted", AGAIN_WITHIN) == hung
