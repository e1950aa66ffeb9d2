"""The stand-in Polar is true: it sends what a real Polar server was recorded to send, and what Polar's SDK reads."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
import threading
import typing
from collections.abc import Iterator
from functools import cache
from http.server import BaseHTTPRequestHandler
from importlib import import_module
from types import UnionType
from typing import Any

import pytest

from copier_polar.simulation.scenarios import read_scenarios
from tests.catalogues import shop
from tests.conformance.histories import Delivery
from tests.conformance.polar.deliveries import FAILURES_UNTIL_OFF, TRIES, arranged, deliver
from tests.conformance.polar.lifecycle import Polar
from tests.support import api_version, recorded
from tests.support.loopback import LoopbackServer

Json = dict[str, Any]
webhooks = import_module(f"{api_version.module_name()}.webhooks")
_FOLDER = recorded.folder()
needs_recordings = pytest.mark.skipif(_FOLDER is None, reason="POLAR_RECORDED names no folder with recorded histories")

# A step of a scenario, and where a real server did the same: a history, and the first and last of its events by time.
# Left out of the recorded ones: what forcing the time sends by itself (an update and a state before a period ends).
RECORDED = {
    ("buy", "the customer is made"): [("user_pre", 0, 0), ("user_pre", 2, 3)],
    ("buy", "a checkout is opened"): [("user_pre", 1, 1)],
    ("buy", "the first payment succeeds"): [("user_pre", 4, 19)],
    ("renew", "the next period begins and is paid"): [("user_pay", 18, 29)],
    ("trial", "the trial starts"): [("user_del_16", 2, 2), ("user_del_16", 5, 12)],
    ("trial_end", "the trial ends and the first period is paid"): [("user_trial", 11, 17)],
    ("past_due", "the payment of the next period fails"): [("user_pd", 18, 28)],
    ("recover", "the next attempt succeeds"): [("user_pd", 29, 38)],
    ("dunning_ends", "the last attempt fails"): [("user_pd", 74, 78)],
    ("cancel", "the user cancels"): [("user_1", 15, 17)],
    ("uncancel", "the user takes it back"): [("user_1", 18, 20)],
    ("period_end", "the period ends"): [("user_end", 20, 27)],
    ("revoke", "the subscription is revoked"): [("user_rev", 16, 23)],
    ("change_invoice", "the plan is changed"): [("user_pay", 30, 39)],
    ("change_next_period", "the change is asked for"): [("user_up", 33, 34)],
    ("change_credit", "the plan is changed"): [("user_up", 35, 39)],
    ("pause", "the pause is asked for"): [("user_pause", 17, 18)],
    ("pause", "the period ends"): [("user_pause", 19, 25)],
    ("resume", "the subscription is resumed and paid"): [("user_pause", 26, 41)],
    ("usage", "usage is counted"): [("user_meter", 12, 13)],
    ("seats", "a checkout for three seats is opened"): [("user_del_03", 0, 0)],
    ("seats", "three seats are bought and the buyer has one"): [("user_team", 0, 17)],
    ("seats", "a seat is offered and claimed"): [("user_team", 18, 27)],
    ("seats", "two more seats are bought"): [("user_team", 32, 33)],
    ("buy_once", "the payment succeeds"): [("user_del_03", 2, 2), ("user_del_03", 6, 14)],
    ("refund_part", "a part is refunded"): [("user_life", 12, 15)],
    ("refund_full", "the rest is refunded, and its benefits are taken away"): [("user_life", 20, 28)],
    ("free", "a checkout for the free plan is opened"): [("user_del_03", 0, 0)],
    ("free", "the free plan is taken"): [("user_new", 0, 14)],
    ("upgrade", "a checkout for the paid plan is opened"): [("user_up", 11, 12)],
    ("upgrade", "the payment succeeds"): [("user_up", 13, 21)],
    ("delete", "the customer is deleted"): [("user_new", 15, 25)],
    ("buy_again", "a new customer is made under the same external id"): [("user_rev", 25, 25), ("user_rev", 27, 29)],
    ("link", "the customer is linked to the user"): [("user_linked", 2, 3)],
}
# Nothing was recorded of these: they follow what Polar's server does as read in its source, and its documentation.
UNRECORDED = {
    ("late_renewal", "the period ended a day ago"),
    ("late_renewal", "the period ended fifteen days ago"),
    ("grace_over", "the payment failed 22 days ago"),
    ("trial", "the customer is made"),
    ("buy_once", "a checkout is opened"),
    ("change_prorate", "the plan is changed"),
    ("change_next_period", "the next period begins on the other plan"),
    ("change_reset", "the plan is changed"),
    ("seats", "the seat is taken back"),
    ("refund_reversed", "the refund fails after all"),
    ("checkout_expires", "a checkout is opened"),
    ("checkout_expires", "the card is declined"),
    ("checkout_expires", "the checkout expires"),
    ("anonymize", "the customer is deleted"),
    ("buy_again", "the new customer buys"),
    ("link", "a buyer without an external id buys"),
}
# The recorded shop's free plan had benefits and its trial had none, and those of its two plans differed.
OTHER_BENEFITS = {"free", "upgrade", "trial", "trial_end", "change_invoice"}
# Events whose place among the others is chance: they are queued, and sent when their turn comes.
_QUEUED = ("customer.state_changed", "benefit_grant.", "checkout.", "customer.", "member.", "customer_seat.")


@pytest.fixture(scope="module")
def polar() -> Polar:
    return Polar(shop())


@cache
def told(polar: Polar, name: str) -> dict[str, list[Any]]:
    """The events of a scenario's steps, by what they are about; it is played once."""
    life = polar.begin(f"stand-in/{name}")
    return {step.about: life.live(step) for step in read_scenarios()[name].steps}


@cache
def history(name: str) -> list[Json]:
    """The bodies of a recorded history, each event once, by their own instants."""
    assert _FOLDER is not None
    lines = [json.loads(line) for line in (_FOLDER / "histories" / f"{name}.jsonl").open()]
    bodies = {line["webhook_id"]: json.loads(line["body"]) for line in lines}
    return sorted(bodies.values(), key=lambda body: (body["timestamp"], body["type"]))


@cache
def recorded_bodies() -> dict[str, list[Json]]:
    """Every recorded object, by the type of its event."""
    assert _FOLDER is not None
    found: dict[str, list[Json]] = {}
    for file in sorted((_FOLDER / "histories").glob("*.jsonl")):
        for body in history(file.stem):
            found.setdefault(body["type"], []).append(body["data"])
    return found


def sequence(types: list[str]) -> list[str]:
    """The types whose order is fixed; the last `order.updated` (the receipt) comes whenever it is written."""
    kept = [kind for kind in types if not kind.startswith(_QUEUED)]
    return kept[:-1] if kept[-2:] == ["order.paid", "order.updated"] else kept


def test_every_step_is_recorded_or_said_not_to_be() -> None:
    own = {(name, step.about) for name, found in read_scenarios().items() for step in found.steps}
    assert {(name, about) for name, about in own if first_with(name, about) == name} == set(RECORDED) | UNRECORDED


def first_with(name: str, about: str) -> str:
    """The scenario in which a step was first: others go on from it."""
    step = next(step for step in read_scenarios()[name].steps if step.about == about)
    return next(other for other, found in read_scenarios().items() if step in found.steps)


@needs_recordings
@pytest.mark.parametrize(("step", "slices"), RECORDED.items(), ids=[f"{name}: {about}" for name, about in RECORDED])
def test_a_step_sends_what_the_recorded_server_sent(
    polar: Polar, step: tuple[str, str], slices: list[tuple[str, int, int]]
) -> None:
    name, about = step
    own = [event.type for event in told(polar, name)[about]]
    theirs = [body["type"] for where, start, end in slices for body in history(where)[start : end + 1]]
    both = [{kind for kind in types if not kind.startswith("benefit_grant.")} for types in (own, theirs)]
    assert both[0] == both[1]
    assert sequence(own) == sequence(theirs)
    if name not in OTHER_BENEFITS:
        both = [{kind for kind in types if kind.startswith("benefit_grant.")} for types in (own, theirs)]
        assert both[0] == both[1]


def every_event(polar: Polar) -> Iterator[Json]:
    for name in read_scenarios():
        for events in told(polar, name).values():
            yield from (event.body for event in events)


@needs_recordings
def test_objects_have_the_recorded_fields_and_those_of_today(polar: Polar) -> None:
    theirs, compared, problems = recorded_bodies(), set(), {}
    for body in every_event(polar):
        kind, own = body["type"], set(body["data"])
        today = fields_of(kind)
        older = set.union(*map(set, theirs[kind])) if kind in theirs else set()
        always = set.intersection(*map(set, theirs[kind])) if kind in theirs else set()
        if missing := (always | today) - own:
            problems[kind] = f"lacks {sorted(missing)}"
        elif invented := own - (older | today) if kind in theirs else set():
            problems[kind] = f"has {sorted(invented)}, that Polar has not"
        compared.add(kind)
    assert problems == {}
    assert len(compared) >= 30


@cache
def fields_of(kind: str) -> set[str]:
    """What the SDK's model of an event's object has."""
    for payload in typing.get_args(webhooks.WebhookPayload):
        hints = typing.get_type_hints(payload)
        if typing.get_args(hints["type"]) == (kind,):
            models = typing.get_args(hints["data"]) if isinstance(hints["data"], UnionType) else (hints["data"],)
            return set.intersection(*({field.name for field in dataclasses.fields(model)} for model in models))
    raise AssertionError(f"{kind}: the SDK knows no such event")


def test_the_sdk_reads_every_event(polar: Polar) -> None:
    unread = {}
    for body in every_event(polar):
        # Its model of a state with an active subscription refuses Polar's own answers.
        if body["type"] == "customer.state_changed" and body["data"]["active_subscriptions"]:
            continue
        try:
            webhooks._load_payload(body)
        except Exception as error:
            unread[body["type"]] = str(error)[:200]
    assert unread == {}


@needs_recordings
def test_a_state_names_what_the_recorded_one_names(polar: Polar) -> None:
    for part in ("active_subscriptions", "granted_benefits", "active_meters"):
        theirs = [entry for state in recorded_bodies()["customer.state_changed"] for entry in state[part]]
        own = [
            entry
            for body in every_event(polar)
            if body["type"] == "customer.state_changed"
            for entry in body["data"][part]
        ]
        assert own
        # Seats and units came later than the recorded server.
        assert {frozenset(set(entry) - {"seats", "units"}) for entry in own} == {frozenset(entry) for entry in theirs}


def test_the_api_answers_as_the_life_stands(polar: Polar) -> None:
    life = polar.begin("api")
    for step in read_scenarios()["past_due"].steps:
        life.live(step)
    customer = life.play.snapshot("customer")["id"]
    state = polar._state(customer)
    assert (state.status, state.body["active_subscriptions"], state.body["granted_benefits"]) == (200, [], [])
    assert polar.subscriptions[life.play.snapshot("subscription")["id"]]["status"] == "past_due"
    life.live(read_scenarios()["delete"].steps[-1])
    assert polar._state(customer).status == 404


def test_text_of_users_and_merchants_is_no_reference() -> None:
    products = [{**each, "name": "$customer.email"} for each in shop()]
    life = Polar(products).begin("&customer")
    events = [event for step in read_scenarios()["buy"].steps for event in life.live(step)]
    customer = next(event for event in events if event.type == "customer.created").body["data"]
    bought = next(event for event in events if event.type == "subscription.active").body["data"]
    assert customer["external_id"] == "&customer"
    assert bought["product"]["name"] == "$customer.email"


def test_instants_do_not_stand_still() -> None:
    life = Polar(shop(), now=lambda: dt.datetime(2026, 10, 1, tzinfo=dt.UTC)).begin("clock")
    events = [event for step in read_scenarios()["renew"].steps for event in life.live(step)]
    stamps = [event.body["timestamp"] for event in events]
    assert stamps == sorted(set(stamps))


class Refusing(LoopbackServer):
    """Takes nothing, and counts how often it was asked."""

    def __init__(self) -> None:
        self.base = ""
        self.up = threading.Event()
        self.up.set()
        self.asked: list[str] = []

    def sign(self, delivery: Delivery) -> dict[str, str]:
        return {"webhook-id": delivery.webhook_id}

    def handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["content-length"]))
                server.asked.append(self.headers["webhook-id"])
                self.send_error(500)

            def log_message(self, format: str, *arguments: object) -> None:
                """Keep quiet."""

        return Handler


def test_it_tries_ten_times_and_gives_up_after_ten_events() -> None:
    events = [Delivery(f"event-{number}", b"{}") for number in range(FAILURES_UNTIL_OFF + 2)]
    with Refusing() as app:
        app.base = app.url
        outcome = deliver(app, events, 1, gap=0)
    assert outcome.switched_off
    assert outcome.refused == [event.webhook_id for event in events]
    assert app.asked == [event.webhook_id for event in events[:FAILURES_UNTIL_OFF] for _ in range(TRIES)]


def test_arrangements_lose_nothing() -> None:
    events = list(range(30))
    assert arranged(events, "in order", "1") == events
    for order in ("reversed", "shuffled", "late"):
        found = arranged(events, order, "1")
        assert set(found) == set(events)
        assert found != events
        assert found == arranged(events, order, "1"), "the same seed gives the same order"
