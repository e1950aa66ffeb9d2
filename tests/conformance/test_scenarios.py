"""What happens to a subscription or a purchase in its life: in order, anyhow, and with what was lost coming late.

Every scenario of `simulate`, at every variant, once in order and once in one other order; where it has a checkout, the
user opens it through the app. In order, one that others go on from is a part of theirs.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import httpx
import pytest

from copier_polar.simulation.scenarios import Scenario, Step, read_scenarios
from tests.conformance.conftest import Latencies
from tests.conformance.histories import Delivery
from tests.conformance.polar.deliveries import Order, arranged, deliver
from tests.conformance.polar.lifecycle import Life
from tests.conformance.station import Station

# What the shop of these tests answers for `past_due_grace_days`: tests.catalogues.organization.
GRACE_DAYS = 14
ANYHOW: tuple[Order, ...] = ("reversed", "shuffled", "late")
_BUYS = {
    "buy": "plan",
    "trial": "plan",
    "buy_once": "once",
    "checkout_expires": "plan",
    "seats": "plan",
    "free": "free_plan",
}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Every life in order; every scenario anyhow in one order, by turns, or with `--nightly` in all of them."""
    everything = list(read_scenarios().values())
    if "order" not in metafunc.fixturenames:
        longest = [scenario for scenario in everything if not goes_on_elsewhere(scenario)]
        ids = [", ".join(name for step in each.steps for name in ends_with(step)) for each in longest]
        metafunc.parametrize("scenario", longest, ids=ids)
        return
    nightly = metafunc.config.getoption("--nightly")
    tried = [
        (scenario, order)
        for number, scenario in enumerate(everything)
        for turn, order in enumerate(ANYHOW)
        if nightly or turn == number % len(ANYHOW)
    ]
    ids = [f"{scenario.name}, {order}" for scenario, order in tried]
    metafunc.parametrize(("scenario", "order"), tried, ids=ids)


class Buyer:
    """A signed-in user of the app, and their life at Polar."""

    def __init__(self, app: Station, user: str) -> None:
        self.app, self.user = app, user
        self.life: Life = app.polar.begin(user)
        self.headers = app.bearer(user, email=self.life.play.names["email"])
        self.client = httpx.Client(base_url=app.base, headers=self.headers, timeout=20)

    def check_out(self, role: str) -> str:
        """Open a checkout as a client does; the life goes on with the customer and the checkout that Polar made."""
        product = self.app.polar.roles[role]["id"]
        key = next(
            plan["key"] for plan in self.client.get("/billing/plans").json()["products"] if plan["id"] == product
        )
        opened = self.client.post("/billing/checkout", json={"product": key})
        assert opened.status_code == 201, opened.text
        checkout = self.app.polar.checkouts[opened.json()["id"]]
        self.life.adopt("customer", self.app.polar.customers[checkout["customer_id"]])
        self.life.adopt("checkout", checkout)
        return str(checkout["id"])

    def access(self) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self.client.get("/billing/access").raise_for_status().json()
        return found

    def account(self) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self.client.get("/billing/account").raise_for_status().json()
        return found


def first_of(scenario: Scenario) -> str:
    """The name of the scenario that this one begins with."""
    return next(name for name in read_scenarios() if read_scenarios()[name].steps[0] is scenario.steps[0])


def ends_with(step: Step) -> list[str]:
    """The names of the scenarios whose last step this is."""
    return [name for name, scenario in read_scenarios().items() if scenario.steps[-1] is step]


def goes_on_elsewhere(scenario: Scenario) -> bool:
    """Whether another scenario has all the steps of this one, and more."""
    last = scenario.steps[-1]
    return any(step is last for other in read_scenarios().values() for step in other.steps[:-1])


def deliveries_of(events: list[Any]) -> list[Delivery]:
    return [Delivery(event.id, event.raw()) for event in events]


def test_every_step_in_order_gives_and_takes_access(
    black_box: Station, scenario: Scenario, latencies: Latencies
) -> None:
    buyer = Buyer(black_box, f"{scenario.name}/in order é+%")
    bought = first_of(scenario)
    checkout = buyer.check_out(_BUYS[bought]) if bought in _BUYS else None
    had = False
    for step in scenario.steps:
        told = deliveries_of(buyer.life.live(step))
        began, seconds = time.monotonic(), None
        for delivery in told:
            assert deliver(black_box, [delivery], 1).refused == []
            if seconds is None and not had and step.access_with(GRACE_DAYS) and buyer.access()["access"]:
                seconds = time.monotonic() - began
        access = buyer.access()
        assert access["access"] is step.access_with(GRACE_DAYS), f"{step.about}: {access}"
        if seconds is not None:
            latencies.add(black_box.variant.name, scenario.name, seconds)
        had = bool(access["access"])
        if ends_with(step):
            assert_ends_as_at_polar(buyer)
    if checkout is not None:
        said = buyer.client.get(f"/billing/checkout/{checkout}").raise_for_status().json()
        assert said["state"] == buyer.life.play.snapshot("checkout")["status"]


def test_any_order_ends_as_in_order(black_box: Station, scenario: Scenario, order: Order) -> None:
    buyer = Buyer(black_box, f"{scenario.name}/{order}")
    events = [event for step in scenario.steps for event in buyer.life.live(step)]
    told = arranged(deliveries_of(events), order, f"{scenario.name}/{order}")
    assert deliver(black_box, told, 4).refused == []
    assert buyer.access()["access"] is scenario.steps[-1].access_with(GRACE_DAYS)
    assert_ends_as_at_polar(buyer)


def assert_ends_as_at_polar(buyer: Buyer) -> None:
    """What the app shows of the user's purchases and benefits is what Polar has."""
    account, life = buyer.account(), buyer.life
    alive = {each["id"] for each in life.play.of_kind("customer") if not each["deleted_at"] and each["external_id"]}

    def own(kind: str) -> list[Any]:
        return [each for each in life.play.of_kind(kind) if each["customer_id"] in alive]

    assert {each["id"]: each["status"] for each in account["subscriptions"]} == {
        each["id"]: each["status"] for each in own("subscription")
    }
    assert {each["id"]: (each["status"], each["amount"], each["refunded_amount"]) for each in account["orders"]} == {
        each["id"]: (each["status"], each["total_amount"], each["refunded_amount"]) for each in own("order")
    }
    in_grace = any(each["status"] == "past_due" for each in own("subscription"))
    if not in_grace:
        granted = [each for each in own("benefit_grant") if each["is_granted"] and each["member"]["role"] == "owner"]
        assert {each["id"] for each in account["access"]["benefits"]} == {each["benefit_id"] for each in granted}
