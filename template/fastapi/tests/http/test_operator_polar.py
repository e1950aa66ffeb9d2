"""Commands ask Polar at its pace."""

import time

import pytest

from app.billing.commands.polar import MAX_WAITS, OperatorPolar, Pace
from app.billing.polar import PolarApiError
from tests.support.polar_api import TOKEN, PolarStandIn


def test_no_minute_has_more_calls_than_allowed() -> None:
    now, waited = 0.0, []

    def sleep(seconds: float) -> None:
        nonlocal now
        waited.append(seconds)
        now += seconds

    pace = Pace(3, clock=lambda: now, sleep=sleep)
    passed = []
    for _ in range(8):
        pace.wait()
        passed.append(now)
        now += 1
    assert passed == [0, 1, 2, 60, 61, 62, 120, 121]
    assert waited == [57, 0, 0, 57, 0]


def test_polar_is_asked_again_after_the_wait_it_asks_for(polar: PolarStandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []
    monkeypatch.setattr(time, "sleep", waited.append)
    api = OperatorPolar(TOKEN, environment="sandbox", base_url=polar.url)
    polar.refuse("GET", "/v1/customers/nobody/state", 429, "RateLimited")
    with pytest.raises(PolarApiError, match="429"):
        api.customer_state("nobody")
    api.close()
    assert [seconds for seconds in waited if seconds] == [60] * MAX_WAITS  # the stand-in sleeps too, for no time
    assert len(polar.requests) == MAX_WAITS + 1
