"""The background threads: they work again and again, do not wait for each other, survive failures, end with the app."""

import random
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from fastapi.testclient import TestClient

from app.billing import worker
from app.billing.background import Background
from app.billing.worker import BackgroundWorker
from app.main import create_app
from tests.support.app import NOW, Shop

KINDS = ("work_on_inbox", "work_on_reconciliation", "work_on_reactions")


class Recorder:
    """Stands in for a kind of work."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.twice = threading.Event()

    def __call__(self, *arguments: Any) -> bool:
        self.calls.append(arguments)
        if len(self.calls) == 2:
            self.twice.set()
        raise RuntimeError("this kind of work fails")


@pytest.fixture
def work(monkeypatch: pytest.MonkeyPatch) -> dict[str, Recorder]:
    recorders = {kind: Recorder() for kind in KINDS}
    for kind, recorder in recorders.items():
        monkeypatch.setattr(worker, kind, recorder)
    return recorders


def test_each_kind_works_again_after_a_failure_until_it_is_stopped(shop: Shop, work: dict[str, Recorder]) -> None:
    threads = BackgroundWorker(shop.billing, period=0.01)
    threads.start()
    assert all(recorder.twice.wait(10) for recorder in work.values())
    threads.stop()

    counts = [len(recorder.calls) for recorder in work.values()]
    time.sleep(0.05)
    assert [len(recorder.calls) for recorder in work.values()] == counts
    deps, now = work["work_on_inbox"].calls[0]
    assert isinstance(deps, Background)
    assert (deps.database, deps.polar, deps.retention_days, now) == (shop.database, shop.billing.polar, 90, NOW)


@pytest.mark.parametrize("hanging", KINDS)
def test_a_kind_that_hangs_stops_no_other_and_not_the_end_of_the_process(
    shop: Shop, work: dict[str, Recorder], monkeypatch: pytest.MonkeyPatch, hanging: str
) -> None:
    end, begun = threading.Event(), threading.Event()

    def hang(*_: Any) -> bool:
        begun.set()
        return end.wait(60)

    monkeypatch.setattr(worker, hanging, hang)
    monkeypatch.setattr(worker, "STOP_SECONDS", 0.1)
    threads = BackgroundWorker(shop.billing, period=0.01)
    threads.start()
    assert begun.wait(10)
    assert all(recorder.twice.wait(10) for kind, recorder in work.items() if kind != hanging)
    stopping = time.monotonic()
    threads.stop()
    assert time.monotonic() - stopping < 5
    end.set()


def test_it_works_on_at_once_while_more_is_due(
    shop: Shop, work: dict[str, Recorder], monkeypatch: pytest.MonkeyPatch
) -> None:
    left = [False, True, True]  # taken from the end
    done = threading.Event()

    def work_on_inbox(*_: Any) -> bool:
        if len(left) == 1:
            done.set()
        return left.pop()

    monkeypatch.setattr(worker, "work_on_inbox", work_on_inbox)
    monkeypatch.setattr(random, "uniform", lambda *_: 0.0 if len(left) == 3 else 1.0)
    threads = BackgroundWorker(shop.billing, period=60)
    threads.start()
    assert done.wait(10)
    threads.stop()
    assert left == []


def test_it_runs_while_the_app_runs(
    open_shop: Callable[..., Shop], work: dict[str, Recorder], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(BackgroundWorker.__init__, "__defaults__", (0.01, None))
    with TestClient(create_app(billing=open_shop(connected=False).billing)):
        assert all(recorder.twice.wait(10) for recorder in work.values())
        assert any(thread.name == "billing-inbox" for thread in threading.enumerate())
    assert not any(thread.name.startswith("billing-") for thread in threading.enumerate())
