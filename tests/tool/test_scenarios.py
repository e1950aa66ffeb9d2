"""The language of the scenarios, and the events that they make of any catalogue."""

from __future__ import annotations

import datetime as dt
import itertools
from typing import Any

import pytest

from copier_polar.simulation.lifecycle import Event, Lifecycle
from copier_polar.simulation.scenarios import begin, read_scenarios, roles_in, single_events, why_not
from tests.catalogues import CATALOGUES, organization
from tests.support.api_version import API_VERSION
from tests.tool.fake_bridge import EVENTS
from tests.tool.simulated import catalogue, facts

NOW = dt.datetime(2026, 11, 24, 11, 0, 0, 123456, dt.UTC)
OBJECTS = {
    "thing": {"id": "#", "made": "@now", "modified_at": None, "of": "$user", "total": 500, "parts": [], "_kept": "x"}
}


def life(**names: Any) -> Lifecycle:
    numbers = itertools.count(1)
    return Lifecycle(OBJECTS, {"user": "user_1", **names}, API_VERSION, NOW, lambda: f"id-{next(numbers)}")


def told(living: Lifecycle, *line: Any) -> list[Event]:
    return list(living.play(line))


def test_an_object_is_made_once_and_told_of_as_it_stands() -> None:
    living = life()
    (made,) = told(living, "thing", {"total": 700}, "created")
    assert made.type == "thing.created"
    assert made.body == {
        "type": "thing.created",
        "timestamp": "2026-11-24T11:00:00.123456Z",
        "api_version": API_VERSION,
        "data": {
            "id": "id-1",
            "made": "2026-11-24T11:00:00.123456Z",
            "modified_at": None,
            "of": "user_1",
            "total": 700,
            "parts": [],
        },
    }
    changed, again = told(living, "thing", {"total": 800}, "updated", "paid")
    assert (changed.body["data"]["id"], changed.body["data"]["total"]) == ("id-1", 800)
    assert changed.body["data"]["modified_at"] == changed.body["timestamp"] > made.body["timestamp"]
    assert again.body["data"] == changed.body["data"]
    assert len({made.id, changed.id, again.id}) == 3
    (other,) = told(living, "thing:other", {}, "created")
    assert (other.type, other.body["data"]["id"] != "id-1") == ("thing.created", True)
    assert told(living, "thing", {"total": 900}) == []
    assert living.snapshot("thing")["total"] == 900


def test_values_are_read_when_they_are_written_or_when_an_event_is_made() -> None:
    living = life(product={"name": "$user", "prices": [{"id": "p1"}], "metadata": {"a": 1}, "amount": 5})
    told(living, "thing", {"product": "$product"})
    news = {
        "then": "$thing.total",
        "now": "&thing.total",
        "less": "$thing.total - 100",
        "own": "&self.product.prices.0.id",
        "brief": "&~product",
        "none": "&thing:later.id",
        "in": ["@+30d", {"ago": "@-1h"}],
    }
    told(living, "thing:other", news)
    told(living, "thing", {"total": 900})
    found = living.snapshot("thing:other")
    assert (found["then"], found["now"], found["less"], found["none"]) == (500, 900, 400, None)
    assert found["in"] == ["2026-12-24T11:00:00.123456Z", {"ago": "2026-11-24T10:00:00.123456Z"}]
    assert found["brief"] == {"name": "$user", "metadata": {"a": 1}, "amount": 5}  # a merchant's text is no reference
    assert living.snapshot("thing")["product"]["name"] == "$user"


@pytest.mark.parametrize("wrong", ["$nothing", "&other.id", "$", "&thing.total + 1"])
def test_what_means_nothing_is_an_error(wrong: str) -> None:
    with pytest.raises(ValueError, match=r"no such name|no reference"):
        told(life(), "thing", {"of": wrong}, "created")


def test_a_scenario_begins_with_the_steps_of_the_one_it_goes_on_from() -> None:
    found = read_scenarios()
    assert found["recover"].steps[: len(found["past_due"].steps)] == found["past_due"].steps
    assert set(found["upgrade"].needs) == {"free_plan", "plan"}
    assert [step.access_with(0) for step in found["past_due"].steps][-1] is False
    assert [step.access_with(1) for step in found["past_due"].steps][-1] is True


@pytest.mark.parametrize("name", ["demo", *CATALOGUES])
def test_every_catalogue_has_lives_and_its_texts_are_told_as_they_are(name: str) -> None:
    answer = None if name == "demo" else {"products": CATALOGUES[name](), "organization": organization()}
    sold = facts(catalogue=catalogue(answer))
    names = {product.id: product.name for product in sold.catalogue.products}
    fitting = [each for each in read_scenarios().values() if why_not(each, roles_in(sold.catalogue)) is None]
    assert fitting
    for scenario in fitting:
        living = begin(sold, "user_1")
        for event in (event for step in scenario.steps for line in step.lines for event in living.play(line)):
            assert event.type in EVENTS, scenario.name
            product = event.body["data"].get("product")
            assert product is None or names[product["id"]] == product["name"]


@pytest.mark.parametrize("name", ["demo", *CATALOGUES])
def test_every_event_type_can_be_sent_where_a_scenario_has_its_object(name: str) -> None:
    answer = None if name == "demo" else {"products": CATALOGUES[name](), "organization": organization()}
    sold = facts(catalogue=catalogue(answer))
    single = single_events(sold, "user_1")
    assert all(event.type == kind for kind, event in single.items())
    missing = {kind.partition(".")[0] for kind in EVENTS.keys() - single.keys()}
    assert missing <= (
        set() if name in ("demo", "shop") else {"subscription", "benefit", "benefit_grant", "customer_seat"}
    )
