"""The scenarios that `simulate` can play, with the products of this project."""

from __future__ import annotations

import datetime as dt
import json
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from copier_polar.facts import Benefit, Catalogue, Facts, Price, Product
from copier_polar.simulation.lifecycle import Event, Fixed, Lifecycle, kind_of

Json = dict[str, Any]

EMAIL = "simulated@example.com"
# Long enough ago that an instant of the life is past when the app is asked.
AGO = dt.timedelta(minutes=1)
MADE_AT = "2026-01-01T00:00:00.000000Z"
ROLES = {
    "plan": "a paid premium subscription",
    "other_plan": "a second paid premium subscription",
    "once": "a paid premium one-time purchase",
    "free_plan": "a free subscription that is not premium",
}


@dataclass(frozen=True)
class Step:
    """Something that happens at Polar, and whether the user has access after it."""

    about: str
    access: bool | str
    lines: Sequence[Sequence[Any]]

    def access_with(self, grace_days: int) -> bool:
        """Tell whether the user has access with that many days of grace after a failed payment."""
        return grace_days > 0 if self.access == "grace" else bool(self.access)


@dataclass(frozen=True)
class Scenario:
    """A life from its beginning; `needs` names the products it speaks of."""

    name: str
    about: str
    needs: tuple[str, ...]
    steps: tuple[Step, ...]


@cache
def read_scenarios() -> Mapping[str, Scenario]:
    """Return every scenario by its name, each with the steps of those that it goes on from."""
    found: dict[str, Scenario] = {}
    for raw in _data("scenarios.json"):
        before = found[raw["from"]] if "from" in raw else Scenario("", "", (), ())
        steps = tuple(Step(step["do"], step["access"], step["events"]) for step in raw["steps"])
        needs = tuple(dict.fromkeys([*before.needs, *raw.get("needs", [])]))
        found[raw["name"]] = Scenario(raw["name"], raw["about"], needs, before.steps + steps)
    return found


def roles_in(catalogue: Catalogue) -> dict[str, Json]:
    """Return the products that scenarios speak of, as Polar's API has them; what is not sold is not there."""
    paid = [product for product in catalogue.products if product.premium and not product.free]
    plans = [product for product in paid if product.recurring]
    once = [product for product in paid if not product.recurring]
    free = [product for product in catalogue.products if product.recurring and product.free and not product.premium]
    found = {"plan": plans[:1], "other_plan": plans[1:2], "once": once[:1], "free_plan": free[:1]}
    return {role: _product(catalogue, product) for role, products in found.items() for product in products}


def why_not(scenario: Scenario, roles: Mapping[str, Json]) -> str | None:
    """Return why a scenario cannot be played with these products, or None."""
    missing = [ROLES[role] for role in scenario.needs if role not in roles]
    return f"needs {' and '.join(missing)}" if missing else None


@cache
def first_objects() -> Mapping[str, Json]:
    """Return what an object of each kind looks like at first."""
    found: Mapping[str, Json] = _data("objects.json")
    return found


def begin(facts: Facts, user: str) -> Lifecycle:
    """Begin a life of this user, in which nothing has happened yet."""
    organization = {"id": facts.catalogue.organization.id}
    names = {**roles_in(facts.catalogue), "user": user, "email": EMAIL, "organization": organization}
    return Lifecycle(first_objects(), names, facts.api_version, dt.datetime.now(dt.UTC) - AGO)


def single_events(facts: Facts, user: str) -> dict[str, Event]:
    """Return an event of each type as the first scenario that fits tells it; types that have no object are left out.

    What no scenario tells is told of an object that one of them has, or of one beside them.
    """
    roles, found, lives = roles_in(facts.catalogue), dict[str, Event](), list[Lifecycle]()
    for scenario in read_scenarios().values():
        if why_not(scenario, roles) is None:
            lives.append(begin(facts, user))
            for event in _events(lives[-1], scenario):
                found.setdefault(event.type, event)
    for life in lives:
        life.state.update(_beside_the_life(facts.catalogue))
        for kind in [kind for kind in facts.events if kind not in found]:
            name, _, verb = kind.partition(".")
            if known := _called(life, name):
                found[kind] = next(life.play([known, {}, verb]))
    return found


def _called(life: Lifecycle, kind: str) -> str | None:
    """Return the name of an object of a kind; a refund is made where there is an order."""
    if kind == "refund" and "order" in life.state:
        return kind
    return next((name for name in life.state if kind_of(name) == kind), None)


def _events(life: Lifecycle, scenario: Scenario) -> Iterator[Event]:
    for step in scenario.steps:
        for line in step.lines:
            yield from life.play(line)


def _beside_the_life(catalogue: Catalogue) -> dict[str, Json]:
    """Return what events tell of besides one customer's life."""
    made: Json = {"created_at": MADE_AT, "modified_at": None, "metadata": {}}
    objects: dict[str, Json] = {
        "organization": {"id": catalogue.organization.id, "name": catalogue.organization.name, **made},
        "discount": {"id": str(uuid.uuid4()), "name": "Example", "type": "percentage", "basis_points": 1000, **made},
    }
    for product in catalogue.products[:1]:
        objects["product"] = _product(catalogue, product)
    for benefit in catalogue.benefits[:1]:
        objects["benefit"] = _benefit(catalogue, benefit)
    return {name: {key: Fixed(value) for key, value in entry.items()} for name, entry in objects.items()}


def _product(catalogue: Catalogue, product: Product) -> Json:
    """Return a product of the catalogue as Polar's API has it, in the fields that scenarios and events use."""
    return {
        "id": product.id,
        "created_at": MADE_AT,
        "modified_at": None,
        "name": product.name,
        "description": product.description,
        "is_archived": product.archived,
        "is_recurring": product.recurring,
        "recurring_interval": product.interval,
        "recurring_interval_count": product.interval_count,
        "trial_interval": product.trial_interval,
        "trial_interval_count": product.trial_interval_count,
        "organization_id": catalogue.organization.id,
        "metadata": {},
        "prices": [_price(product, price) for price in product.prices],
        "benefits": [_benefit(catalogue, benefit) for benefit in catalogue.benefits if benefit.key in product.benefits],
    }


def _price(product: Product, price: Price) -> Json:
    """Return a price; where the buyer names the amount, it is the one that is offered."""
    amounts = (price.amount, price.preset, price.minimum, 0)
    return {
        "id": price.id,
        "amount_type": price.type,
        "price_currency": price.currency,
        "price_amount": next(amount for amount in amounts if amount is not None),
        "product_id": product.id,
    }


def _benefit(catalogue: Catalogue, benefit: Benefit) -> Json:
    return {
        "id": benefit.id,
        "created_at": MADE_AT,
        "modified_at": None,
        "type": benefit.type,
        "description": benefit.description,
        "organization_id": catalogue.organization.id,
        "metadata": {},
    }


def _data(name: str) -> Any:
    return json.loads((Path(__file__).parent / name).read_text(encoding="utf-8"))
