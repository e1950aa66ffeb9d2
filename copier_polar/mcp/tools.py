"""What the tools of the MCP server answer. Each opens the project's bridge afresh: the code may have changed.

All of it reads, except `simulated`, which plays to an app on this machine.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any, Literal

from copier_polar.commands.catalog import compared
from copier_polar.commands.simulate import Life, simulation_of
from copier_polar.console import Refused
from copier_polar.doctor.examination import Examination
from copier_polar.doctor.examine import OF_THE_ENDPOINT, examine
from copier_polar.doctor.report import make_report
from copier_polar.doctor.status import products_found, status_of
from copier_polar.facts import Benefit, Catalogue, Price, Product
from copier_polar.instants import to_iso, to_micros
from copier_polar.mcp.cleaned import Json, from_outside
from copier_polar.mcp.rules import FILES, rule_of
from copier_polar.project import CALL, open_bridge, open_project
from copier_polar.simulation.scenarios import read_scenarios, roles_in, why_not
from copier_polar.user import is_user_id

State = Literal["processed", "ignored", "failed", "dead"]

EVENTS = """SELECT webhook_id, type, state, error, attempts, received_us, processed_us, next_attempt_us
  FROM billing_webhook_events {where} ORDER BY received_us DESC, webhook_id LIMIT :most"""
INSTANTS = ("received", "processed", "next_attempt")


def products() -> Json:
    """Return what the code sells."""
    with open_bridge() as opened:
        catalogue = opened.facts.catalogue
    return {"server": catalogue.server, "products": [_product(catalogue, each) for each in catalogue.products]}


def _product(catalogue: Catalogue, product: Product) -> Json:
    held = [benefit for benefit in catalogue.benefits if benefit.key in product.benefits]
    plain = ("key", "id", "archived", "premium", "free", "recurring", "interval", "interval_count")
    return {
        **{name: getattr(product, name) for name in (*plain, "trial_interval", "trial_interval_count")},
        "prices": [_price(price) for price in product.prices],
        "benefits": [_benefit(benefit) for benefit in held],
        **from_outside(name=product.name, description=product.description),
    }


def _price(price: Price) -> Json:
    """Return a price, in minor units, without the amounts that its type does not have."""
    return {name: value for name, value in asdict(price).items() if name != "id" and value is not None}


def _benefit(benefit: Benefit) -> Json:
    return {"key": benefit.key, "id": benefit.id, "type": benefit.type, **from_outside(description=benefit.description)}


def webhook_events(state: State | None, kind: str | None, most: int) -> Json:
    """Return the newest events of the inbox, without their bodies."""
    wanted = {"state": state, "type": kind}
    values = {name: value for name, value in wanted.items() if value is not None}
    where = " AND ".join(f"{name} = :{name}" for name in values)
    with open_project() as opened:
        rows = opened.bridge.sql(EVENTS.format(where=where and f"WHERE {where}"), **values, most=most)
    return {"events": [_event(row) for row in rows]}


def _event(row: Json) -> Json:
    return {
        "id": row["webhook_id"],
        **{name: row[name] for name in ("type", "state", "attempts")},
        **{name: to_iso(row[f"{name}_us"]) for name in INSTANTS},
        **from_outside(error=row["error"]),
    }


def setup() -> Json:
    """Return the report of the doctor."""
    with open_project(any_state=True) as opened, Examination(opened) as x:
        report = make_report(products_found(x), status_of(x), examine(x), CALL[x.opened.project.runtime])
    products = [_renamed(product, "name") for product in report["products"]]
    return {**report, "products": products, "issues": _marked(report["issues"])}


def webhook() -> Json:
    """Return what the doctor finds of the endpoint at Polar, its deliveries and the address that it calls."""
    with open_project(any_state=True) as opened, Examination(opened) as x:
        report = make_report([], {}, examine(x, OF_THE_ENDPOINT), CALL[x.opened.project.runtime])
    return {**{name: report[name] for name in ("skipped", "passed")}, "issues": _marked(report["issues"])}


def _marked(issues: Iterable[Json]) -> list[Json]:
    """Mark what was found: it may quote an error or a status that others wrote."""
    return [{**issue, "found": [from_outside(**found) for found in issue["found"]]} for issue in issues]


def catalog_differences() -> Json:
    """Return how the catalogue of the code differs from Polar's."""
    with open_bridge() as opened:
        opened.require_settings()
        differences, command = compared(opened)
    shown = [_renamed(difference, "before", "after") for difference in differences]
    return {"differences": shown, "command": command if differences else None}


def _renamed(found: Json, *names: str) -> Json:
    """Move fields with texts from outside to where they are marked."""
    texts = {name: _listed(found[name]) for name in names}
    return {**{name: value for name, value in found.items() if name not in names}, **from_outside(**texts)}


def _listed(value: Any) -> str | None:
    return " + ".join(map(str, value)) if isinstance(value, list) else value


def access(user: str, at: str | None) -> Json:
    """Return whether a user has access, and the rule that decides it."""
    _check(user)
    instant = None if at is None else to_micros(at)
    if at is not None and instant is None:
        raise Refused("at: must be an instant such as 2026-11-01T12:00:00Z.")
    with open_project() as opened:
        decision = opened.bridge.call("decide", user=user, at=instant)
        rule = rule_of(str(decision["reason"]), opened.facts.grace_days)
        runtime = opened.project.runtime
    wanted = ("access", "reason", "until", "products", "benefits")
    return {**{name: decision[name] for name in wanted}, "rule": rule, "decided_in": FILES[runtime]}


def scenarios() -> Json:
    """Return what can be simulated with the products of this project."""
    with open_bridge() as opened:
        roles = roles_in(opened.facts.catalogue)
    known = read_scenarios().values()
    return {"scenarios": [{"name": each.name, "about": each.about, "skipped": why_not(each, roles)} for each in known]}


def simulated(name: str, user: str | None, url: str | None) -> Json:
    """Play one scenario to the running app, and return its steps."""
    scenario = read_scenarios().get(name)
    if scenario is None:
        raise Refused(f"No scenario has this name; the names are {', '.join(read_scenarios())}.")
    if user is not None:
        _check(user)
    with open_bridge() as opened:
        simulation = simulation_of(opened, url, user)
    life = simulation.scenario(scenario)
    return {"url": simulation.app.url, **asdict(life), **_unasked(life)}


def _unasked(life: Life) -> Json:
    if all(step.after is not None for step in life.steps):
        return {}
    return {"note": "The access cannot be asked: this app signs in by its own means."}


def _check(user: str) -> None:
    if not is_user_id(user):
        raise Refused("user: must be 1 to 255 characters.")
