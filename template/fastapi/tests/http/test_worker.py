"""The background thread: works again and again, survives failures, ends with the app."""

import random
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from fastapi.testclient import TestClient

from app.billing import worker
from app.billing.worker import BackgroundWorker
from app.main import create_app
from tests.support.app import NOW, Shop


class Recorder:
    """Stands in for the work."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.twice = threading.Event()

    def __call__(self, *arguments: Any) -> None:
        self.calls.append(arguments)
        if len(self.calls) == 2:
            self.twice.set()
        raise RuntimeError("this part of the work fails")


@pytest.fixture
def work(monkeypatch: pytest.MonkeyPatch) -> Recorder:
    recorder = Recorder()
    monkeypatch.setattr(worker, "run_background", recorder)
    return recorder


def test_it_works_again_after_a_failure_until_it_is_stopped(shop: Shop, work: Recorder) -> None:
    thread = BackgroundWorker(shop.billing, period=0.01)
    thread.start()
    assert work.twice.wait(10)
    thread.stop()

    count = len(work.calls)
    time.sleep(0.05)
    assert len(work.calls) == count
    database, polar, _, days, now = work.calls[0]
    assert (database, polar, days, now) == (shop.database, shop.billing.polar, 90, NOW)


def test_it_works_on_at_once_while_more_is_due(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    left = [False, True, True]  # taken from the end
    done = threading.Event()

    def run_background(*_: Any) -> bool:
        if len(left) == 1:
            done.set()
        return left.pop()

    monkeypatch.setattr(worker, "run_background", run_background)
    monkeypatch.setattr(random, "uniform", lambda *_: 0.0 if len(left) == 3 else 1.0)
    thread = BackgroundWorker(shop.billing, period=60)
    thread.start()
    assert done.wait(10)
    thread.stop()
    assert left == []


def test_it_runs_while_the_app_runs(
    open_shop: Callable[..., Shop], work: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(BackgroundWorker.__init__, "__defaults__", (0.01,))
    with TestClient(create_app(billing=open_shop(connected=False).billing)):
        assert work.twice.wait(10)
        assert any(thread.name == "billing-background" for thread in threading.enumerate())
    assert not any(thread.name == "billing-background" for thread in threading.enumerate())
