"""`simulate`, with this project's own products, on the app without a server."""

import json
import time
from collections.abc import Callable
from functools import partial

import pytest
from anyio.from_thread import BlockingPortal
from httpx2 import ASGITransport, AsyncClient

from app.billing.catalog import catalog
from app.billing.commands.console import Refused
from app.billing.commands.simulate import Simulation
from app.billing.events import EVENTS
from app.billing.simulation.lifecycle import Event
from app.billing.simulation.play import Told, arranged
from app.billing.simulation.running_app import RunningApp
from app.billing.simulation.scenarios import Scenario, read_scenarios, roles_in, single_events, why_not
from tests.support.app import Shop

SCENARIOS = read_scenarios()
FITTING = [each for each in SCENARIOS.values() if why_not(each, roles_in(catalog)) is None]


def goes_on(longer: Scenario, shorter: Scenario) -> bool:
    return len(longer.steps) > len(shorter.steps) and longer.steps[: len(shorter.steps)] == shorter.steps


# Their steps are those of all.
LONGEST = [each for each in FITTING if not any(goes_on(other, each) for other in FITTING)]


class WithoutServer(RunningApp):
    """The app of a test, asked at the real time."""

    def __init__(self, shop: Shop, event_loop: BlockingPortal) -> None:
        super().__init__("http://127.0.0.1:8000", shop.billing.settings.polar_webhook_secret[0].get_secret_value())
        self._clock, self._event_loop = shop.clock, event_loop
        self._client = AsyncClient(transport=ASGITransport(shop.client.app), base_url=self.url)

    def _ask(self, method: str, path: str, headers: dict[str, str], body: bytes | None = None) -> tuple[int, bytes]:
        self._clock.now = time.time_ns() // 1000
        answer = self._event_loop.call(partial(self._client.request, method, path, headers=headers, content=body))
        return answer.status_code, answer.content


@pytest.mark.parametrize(("seed", "scenarios"), [(None, LONGEST), (7, FITTING)])
def test_every_scenario_that_fits_the_catalogue_ends_as_expected(
    open_shop: Callable[..., Shop], event_loop: BlockingPortal, seed: int | None, scenarios: list[Scenario]
) -> None:
    shop = open_shop(catalog=catalog)
    app = WithoutServer(shop, event_loop)
    for scenario in scenarios:
        header = f"x-test-user: {json.dumps({'id': scenario.name})}"
        simulation = Simulation(app, shop.billing.settings, scenario.name, header, seed is not None, seed)
        life = simulation.scenario(scenario)
        assert life.skipped is None
        assert life.as_expected, life


def test_what_the_catalogue_lacks_is_skipped(shop: Shop, event_loop: BlockingPortal) -> None:
    simulation = Simulation(WithoutServer(shop, event_loop), shop.billing.settings, "user_1", None, False, None)
    for scenario in SCENARIOS.values():
        if scenario not in FITTING:
            assert simulation.scenario(scenario).skipped


def test_every_event_type_can_be_sent_where_a_scenario_has_its_object() -> None:
    told = single_events(catalog, "user_1")
    assert all(event.type == kind for kind, event in told.items())
    missing = {kind.partition(".")[0] for kind in EVENTS.keys() - told.keys()}
    assert not FITTING or missing <= {"subscription", "benefit", "benefit_grant", "customer_seat"}


def test_the_order_is_that_of_the_seed_and_every_event_comes_twice() -> None:
    told = [Told("first", False, events("a", "b")), Told("second", True, events("c", "d"))]
    (step,) = arranged(told, duplicates=True, seed=7)
    assert sorted(event.id for event in step.events) == [*"aabbccdd"]
    assert step.expected is True
    assert [step] == arranged(told, duplicates=True, seed=7)
    assert [step] != arranged(told, duplicates=True, seed=8)
    assert [[event.id for event in step.events] for step in arranged(told, False, None)] == [["a", "b"], ["c", "d"]]


@pytest.mark.parametrize(
    "url", ["https://127.0.0.1", "http://10.0.0.1", "http://127.0.0.1.example.com", "http://[::1", "http://localhost/a"]
)
def test_only_an_app_on_this_machine_is_played_to(url: str) -> None:
    with pytest.raises(Refused):
        RunningApp(url, "whsec_test")


def test_another_secret_is_told(shop: Shop, event_loop: BlockingPortal) -> None:
    app = WithoutServer(shop, event_loop)
    assert app.deliver(*events("a")) == 202
    app._secret = "whsec_another"
    with pytest.raises(Refused, match="POLAR_WEBHOOK_SECRET"):
        app.deliver(*events("a"))


def events(*ids: str) -> list[Event]:
    return [Event(each, "unheard.of", {"type": "unheard.of"}) for each in ids]
