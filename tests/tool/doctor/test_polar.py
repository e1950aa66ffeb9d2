"""What the doctor finds at Polar: the token, the catalogue, the endpoint and its deliveries."""

from __future__ import annotations

from collections.abc import Generator
from http.server import BaseHTTPRequestHandler

import pytest

from tests.catalogues import ORGANIZATION_ID
from tests.polar_server import NOT_FOUND, Answer, rate_limited
from tests.support.api_version import API_VERSION
from tests.support.loopback import LoopbackServer
from tests.tool.doctor.conftest import WEBHOOK_URL, Patient
from tests.tool.fake_bridge import EVENTS


def test_what_the_token_may_not_do_or_should_not(patient: Patient) -> None:
    polar = patient.polar
    polar.scopes -= {"orders:read", "subscriptions:write", "webhooks:read"}
    polar.scopes |= {"refunds:write", "organizations:write"}
    polar.seconds_ahead = 200
    report = patient.examined(code=1)
    assert report.found == {
        "polar_time": [("clock", "is behind by more than a minute")],
        "token_scope_missing": [
            ("POLAR_ACCESS_TOKEN", "lacks subscriptions:write"),
            ("POLAR_ACCESS_TOKEN", "lacks orders:read"),
        ],
        "token_scope_extra": [
            ("POLAR_ACCESS_TOKEN", "has refunds:write"),
            ("POLAR_ACCESS_TOKEN", "has organizations:write"),
        ],
    }
    assert report.skipped["endpoint_missing"] == "The token lacks a scope."
    assert polar.changed() == []


def test_a_project_without_subscriptions_needs_no_right_to_change_them(patient: Patient) -> None:
    patient.polar.scopes -= {"subscriptions:write"}
    answers = {"polar_catalog": {"server": "sandbox"}, "products": ["lifetime"], "premium_products": ["lifetime"]}
    patient.tool.write_answers(patient.runtime, **answers, past_due_grace_days=7, sells=["one_time"])
    assert "token_scope_missing" in patient.examined().json["passed"]


def test_a_version_that_polar_has_no_more(patient: Patient) -> None:
    patient.polar.always = lambda call: NOT_FOUND
    report = patient.examined(code=1)
    assert report.found == {"api_version_removed": [(f"API version {API_VERSION}", "Polar answers 404 to everything")]}
    assert report.skipped["product_missing"] == "Polar answered 404."


def test_where_polar_has_it_wait_it_asks_again_and_not_for_ever(patient: Patient) -> None:
    patient.polar.next_answers = [rate_limited(0)] * 3
    assert patient.examined().found == {}
    patient.polar.calls.clear()
    patient.polar.always = lambda call: rate_limited(9999)
    report = patient.examined()
    assert report.found == {}
    for check in ("token_scope_missing", "product_missing", "endpoint_missing"):
        assert report.skipped[check] == "Polar limits how often it is asked; try later."
    assert len(patient.polar.calls) == 1


def test_customers_that_cannot_be_read_are_skipped(patient: Patient) -> None:
    patient.tool.bridge.add("customers", id="c/1", external_id="user_1")
    patient.polar.always = lambda call: Answer(200, {"id": "c/1"}) if call.path.endswith("/state") else None
    assert patient.examined().skipped["projection_drift"] == "Polar's answer cannot be read."
    states = [call.path for call in patient.polar.calls if call.path.endswith("/state")]
    assert states == ["/v1/customers/c%2F1/state"]


def test_a_customer_that_polar_does_not_have_has_nothing_there(patient: Patient) -> None:
    patient.tool.bridge.add("customers", id="gone", external_id="user_1")
    assert patient.examined().found == {}
    patient.tool.bridge.add("benefit_grants", id="g1", customer_id="gone", benefit_id="b", is_granted=1, is_revoked=0)
    found = patient.examined().found["projection_drift"]
    assert found == [("customer gone", "only at Polar: nothing; only here: grant g1")]


def test_a_catalogue_that_is_not_polars(patient: Patient) -> None:
    polar = patient.polar
    patient.at_polar("free")["is_archived"] = True
    patient.at_polar("pro_monthly")["prices"][0]["price_amount"] = 2900
    gone = patient.product("lifetime")["id"]
    del polar.products[gone]
    polar.endpoints.clear()
    polar.add_endpoint("https://app.invalid/hooks", EVENTS)
    report = patient.examined(code=1)
    assert report.found == {
        "product_missing": [("product lifetime", f"{gone} is unknown to Polar")],
        "endpoint_missing": [(WEBHOOK_URL, "is not registered; registered: https://app.invalid/hooks")],
        "product_archived": [("product free", "is archived")],
        "price_changed": [("product pro_monthly", "here 19.00 usd; at Polar 29.00 usd")],
    }
    assert report.skipped["endpoint_disabled"] == "No endpoint is registered for the app."


def test_amounts_of_currencies_without_cents(patient: Patient) -> None:
    patient.product("pro_yearly")["prices"][0] |= {"currency": "jpy", "amount": 1500}
    ((_, what),) = patient.examined().found["price_changed"]
    assert what.startswith("here 1500 jpy; at Polar ")


def test_the_catalogue_of_another_organization(patient: Patient) -> None:
    other = "12345678-1234-4234-8234-123456789012"
    patient.facts["catalogue"]["organization"]["id"] = other
    assert patient.examined(code=1).found == {
        "organization_other": [("POLAR_ACCESS_TOKEN", f"is of {ORGANIZATION_ID}; the catalogue is of {other}")]
    }


def test_an_api_version_near_its_end(patient: Patient) -> None:
    patient.facts["earliest_removal"] = "2020-01-01"
    found = patient.examined().found
    assert found == {"api_version_ending": [(f"API version {API_VERSION}", "may be removed from 2020-01-01 on")]}


def test_an_endpoint_that_is_not_as_it_should_be(patient: Patient) -> None:
    secret = "whsec_another"
    patient.endpoint.update(enabled=False, format="slack", api_version="2026-04", secret=secret)
    patient.endpoint["events"] = [kind for kind in EVENTS if kind not in ("order.paid", "refund.created")]
    for number, code in enumerate((403, 404, 503, None, 301, 403, 202)):
        patient.polar.add_delivery(f"wh_{number}", "order.paid", code)
    report = patient.examined(code=1)
    place = "endpoint endpoint-1"
    deliveries = report.found["deliveries_failing"]
    assert report.found == {
        "endpoint_disabled": [(place, "is switched off: what happens meanwhile is lost")],
        "endpoint_events": [(place, "does not send order.paid")],
        "endpoint_format": [(place, "sends slack, not raw")],
        "endpoint_secret": [("POLAR_WEBHOOK_SECRET", f"is not the secret of {place}")],
        "endpoint_version": [(place, f"sends 2026-04; the code is written for {API_VERSION}")],
        "deliveries_failing": deliveries,
    }
    causes = ("no answer", "a redirect", "Bot Fight Mode", "no such route", "its database failed")
    assert all(cause in what for cause, (_, what) in zip(causes, deliveries, strict=True)), deliveries
    assert "2 of the newest 7 got 403 (last: order.paid)" in deliveries[2][1]
    assert secret not in patient.text(code=1)


def test_an_endpoint_that_is_registered_twice(patient: Patient) -> None:
    patient.polar.endpoints["endpoint-2"] = {**patient.endpoint, "id": "endpoint-2", "url": f"{WEBHOOK_URL}/"}
    assert patient.examined().found == {"endpoint_duplicate": [(WEBHOOK_URL, "is registered 2 times")]}


class Deployed(LoopbackServer):
    """What stands at the app's public address, and refuses everything with one status."""

    def __init__(self, status: int) -> None:
        self.status = status

    def handler(self) -> type[BaseHTTPRequestHandler]:
        deployed = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.rfile.read(int(self.headers.get("content-length") or 0))
                self.send_response(deployed.status)
                self.send_header("location", "https://elsewhere.invalid/")
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, format: str, *arguments: object) -> None:
                """Keep quiet."""

        return Handler


@pytest.fixture
def deployed(patient: Patient) -> Generator[Deployed]:
    """An app at its public address."""
    with Deployed(401) as server:
        patient.facts["settings"] |= {"app_url": server.url, "is_local": True}
        yield server


def test_the_deployed_app_refuses_what_is_unsigned(patient: Patient, deployed: Deployed) -> None:
    report = patient.examined()
    assert report.found == {}
    assert "deployed_route" in report.json["passed"]


@pytest.mark.parametrize(("status", "cause"), [(301, "a redirect"), (403, "Bot Fight Mode"), (202, "was accepted")])
def test_something_stands_before_the_deployed_app(
    patient: Patient, deployed: Deployed, status: int, cause: str
) -> None:
    deployed.status = status
    ((place, what),) = patient.examined(code=1).found["deployed_route"]
    assert place == f"POST {deployed.url}/webhooks/polar"
    assert what.startswith(f"answers {status}, not 401: ")
    assert cause in what
