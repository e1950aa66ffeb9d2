"""What the tests of the routes share."""

from collections.abc import Callable, Iterator
from functools import partial

import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal

from app.database import Database
from tests.support.app import Shop, a_shop
from tests.support.polar_api import PolarStandIn, running_polar


@pytest.fixture(scope="session")
def running_stand_in() -> Iterator[PolarStandIn]:
    with running_polar() as stand_in:
        yield stand_in


@pytest.fixture
def polar(running_stand_in: PolarStandIn) -> Iterator[PolarStandIn]:
    """Stand in for Polar; at the end, no request may have been wrong."""
    running_stand_in.reset()
    yield running_stand_in
    assert running_stand_in.violations == []


@pytest.fixture(scope="session")
def event_loop() -> Iterator[BlockingPortal]:
    """Run the requests of all tests: a loop for each takes longer than the request."""
    with start_blocking_portal() as portal:
        yield portal


@pytest.fixture
def open_shop(database: Database, polar: PolarStandIn, event_loop: BlockingPortal) -> Callable[..., Shop]:
    """Build the app with other settings."""
    return partial(a_shop, database, polar, event_loop)


@pytest.fixture
def shop(open_shop: Callable[..., Shop]) -> Shop:
    return open_shop()
