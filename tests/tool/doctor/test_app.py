"""What the doctor finds in the app: its routes, its events and its rules."""

from __future__ import annotations

import json

from tests.tool.doctor.app import PREMIUM
from tests.tool.doctor.conftest import WEBHOOK_SECRET, Patient

WEBHOOK = "POST /webhooks/polar"


def test_a_webhook_that_verifies_nothing(patient: Patient) -> None:
    patient.app.verifies = set()
    assert patient.examined(code=1).found == {
        "webhook_unsigned": [
            (each, "answers 202 to an event without a signature") for each in (WEBHOOK, f"{WEBHOOK}/")
        ],
        "webhook_wrong_signature": [(WEBHOOK, "answers 202 to an event signed with another secret")],
        "webhook_stale": [
            (WEBHOOK, "answers 202 to an event signed for an hour ago"),
            (WEBHOOK, "answers 202 to an event signed for in an hour"),
        ],
        "webhook_replayed": [
            (WEBHOOK, "answers 202 to an event with the signature of another instant"),
            (WEBHOOK, "answers 202 to an event with the signature of another id"),
            (WEBHOOK, "answers 202 to an event with the signature of another body"),
        ],
    }


def test_a_webhook_that_does_not_look_at_the_clock(patient: Patient) -> None:
    patient.app.verifies = {"presence", "signature"}
    assert patient.examined(code=1).places == {"webhook_stale": [WEBHOOK] * 2}


def test_a_webhook_that_takes_any_signature(patient: Patient) -> None:
    patient.app.verifies = {"presence"}
    assert patient.examined(code=1).places == {
        "webhook_wrong_signature": [WEBHOOK],
        "webhook_stale": [WEBHOOK] * 2,
        "webhook_replayed": [WEBHOOK] * 3,
    }


def test_a_webhook_route_that_is_elsewhere_or_redirects(patient: Patient) -> None:
    patient.app.answers = {("POST", "/webhooks/polar"): 404, ("POST", "/webhooks/polar/"): 307}
    assert patient.examined(code=1).found == {
        "webhook_route": [
            (WEBHOOK, "answers 404 to an unsigned event, not 401 invalid_signature"),
            (f"{WEBHOOK}/", "answers 307 to an unsigned event, not 401 invalid_signature"),
        ]
    }


def test_probes_are_harmless_and_carry_no_secret(patient: Patient) -> None:
    patient.examined()
    bodies = [asked["body"] for asked in patient.app.requests if asked["path"].startswith("/webhooks")]
    assert {json.loads(body)["type"] for body in bodies} == {"doctor.probe"}
    assert WEBHOOK_SECRET not in json.dumps(patient.tool.bridge.calls)


def test_premium_routes_before_the_guard_and_a_guard_that_lets_everybody_in(patient: Patient) -> None:
    patient.app.routes += [("GET", "/premium/reports/{report_id}"), ("GET", "/premiums"), ("GET", "/premium/:id?/*")]
    patient.app.answers["GET", "/premium/reports/doctor"] = 200
    patient.app.answers["GET", "/premium/doctor/doctor"] = 404
    patient.app.lets_everybody_in = True
    assert patient.examined(code=1).found == {
        "premium_unprotected": [
            ("GET /premium/doctor/doctor", "answers 404 to nobody signed in"),
            ("GET /premium/doctor/doctor", "answers 404 to a user without access"),
            (f"GET {PREMIUM}", "answers 200 to a user without access"),
            ("GET /premium/reports/doctor", "answers 200 to nobody signed in"),
            ("GET /premium/reports/doctor", "answers 200 to a user without access"),
        ]
    }
    strangers = {json.dumps(asked["user"]) for asked in patient.app.requests if asked["user"]}
    assert len(strangers) == 1


def test_a_route_of_billing_that_asks_for_nobody(patient: Patient) -> None:
    patient.app.routes.append(("GET", "/billing/export"))
    patient.app.answers["GET", "/billing/export"] = 200
    report = patient.examined(code=1)
    assert report.found == {"user_route_unprotected": [("GET /billing/export", "answers 200 to nobody signed in")]}


def test_tokens_that_are_believed(patient: Patient) -> None:
    patient.app.believes_tokens = True
    assert patient.examined(code=1).found == {
        "sign_in_forged": [
            ("GET /billing/access", "answers 200 to a token without a signature"),
            ("GET /billing/access", "answers 200 to a token signed with another secret"),
        ]
    }


def test_events_that_are_not_applied(patient: Patient) -> None:
    del patient.app.events["order.paid"]
    patient.app.events["subscription.revoked"] = None
    patient.app.unreadable = {"benefit_grant"}
    assert patient.examined(code=1).found == {
        "event_unhandled": [
            ("order.paid", "goes to no projection, not to order"),
            ("subscription.revoked", "goes to no projection, not to subscription"),
            *((f"benefit_grant.{what}", "cannot be read") for what in ("created", "cycled", "updated", "revoked")),
        ]
    }


def test_access_rules_that_are_not_the_generated_ones(patient: Patient) -> None:
    patient.app.days = {"active": 140, "past_due": 0}
    patient.app.orders = {"paid", "refunded"}
    patient.product("free")["premium"] = True
    assert patient.examined().found == {
        "access_table": [
            ("subscription active, 14 day(s) late", "gives access; as generated it does not"),
            ("subscription past_due, 0 day(s) late", "gives no access; as generated it does"),
            ("subscription past_due, 6 day(s) late", "gives no access; as generated it does"),
            ("order partially_refunded", "gives no access; as generated it does"),
            ("order refunded", "gives access; as generated it does not"),
            ("product free", "gives access; as generated it does not"),
        ]
    }


def test_without_the_secret_what_must_be_signed_is_skipped(patient: Patient) -> None:
    patient.set(POLAR_WEBHOOK_SECRET="")
    report = patient.examined()
    missing = "POLAR_WEBHOOK_SECRET is not in the environment of this command."
    checks = {check for check, reason in report.skipped.items() if reason == missing}
    assert checks == {"secret_legacy", "webhook_stale", "webhook_replayed", "endpoint_secret"}
    assert report.json["status"]["settings"]["webhook_secrets"] is None
    assert "Webhook secrets" not in patient.text()
    assert "webhook_wrong_signature" in report.json["passed"]
