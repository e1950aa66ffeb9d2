"""Only Polar gets in: both key schemes, several secrets while rotating, nothing old, nothing changed."""

import time

import pytest

from app.billing.inbox import Outcome, receive
from app.database import Database
from tests.support.deliveries import NOW, customer, event, rows_of
from tests.support.sign import OTHER_SECRET, SECRET, Scheme, signed

LISTEN_SECRET = "6a37eb2c9a204e379d6ffee95b623191"


@pytest.mark.parametrize(
    ("secret", "scheme"),
    [(SECRET, "standard"), (SECRET, "legacy"), (LISTEN_SECRET, "legacy"), ("polar_whs_" + "a" * 43, "legacy")],
)
def test_both_key_schemes_are_accepted(database: Database, secret: str, scheme: Scheme) -> None:
    webhook_id, body = event("customer.created", customer())
    headers = signed(webhook_id, body, secret, scheme=scheme)
    assert receive(database, [secret], headers, body, NOW, {}) is Outcome.PROCESSED


def test_while_rotating_any_of_the_secrets_is_good(database: Database) -> None:
    webhook_id, body = event("customer.created", customer())
    headers = signed(webhook_id, body, OTHER_SECRET)
    assert receive(database, [SECRET], headers, body, NOW, {}) is Outcome.REFUSED
    assert receive(database, [SECRET, OTHER_SECRET], headers, body, NOW, {}) is Outcome.PROCESSED


def test_several_signatures_in_one_header(database: Database) -> None:
    webhook_id, body = event("customer.created", customer())
    headers = signed(webhook_id, body)
    headers["webhook-signature"] = f"v1,AAAA v2,xyz {headers['webhook-signature']}"
    assert receive(database, [SECRET], headers, body, NOW, {}) is Outcome.PROCESSED


def test_header_names_in_any_case(database: Database) -> None:
    webhook_id, body = event("customer.created", customer())
    headers = {name.title(): value for name, value in signed(webhook_id, body).items()}
    assert receive(database, [SECRET], headers, body, NOW, {}) is Outcome.PROCESSED
    assert rows_of(database, "billing_webhook_events")[0]["webhook_id"] == webhook_id


@pytest.mark.parametrize("change", ["body", "webhook-id", "webhook-timestamp", "webhook-signature"])
def test_what_was_changed_is_refused(database: Database, change: str) -> None:
    webhook_id, body = event("customer.created", customer())
    headers = signed(webhook_id, body)
    if change == "body":
        body = body.replace(b"user_1", b"user_2")
    else:
        headers[change] = {"webhook-id": "other", "webhook-timestamp": str(int(time.time()) - 1)}.get(change, "v1,AAAA")
    assert receive(database, [SECRET], headers, body, NOW, {}) is Outcome.REFUSED
    assert rows_of(database, "billing_webhook_events") == []


@pytest.mark.parametrize("missing", ["webhook-id", "webhook-timestamp", "webhook-signature"])
def test_what_is_not_signed_is_refused(database: Database, missing: str) -> None:
    webhook_id, body = event("customer.created", customer())
    headers = signed(webhook_id, body)
    del headers[missing]
    assert receive(database, [SECRET], headers, body, NOW, {}) is Outcome.REFUSED


@pytest.mark.parametrize(("seconds", "accepted"), [(-290, True), (-310, False), (290, True), (310, False)])
def test_five_minutes_either_way(database: Database, seconds: int, accepted: bool) -> None:
    webhook_id, body = event("customer.created", customer())
    headers = signed(webhook_id, body, at=time.time() + seconds)
    outcome = receive(database, [SECRET], headers, body, NOW, {})
    assert (outcome is Outcome.PROCESSED) is accepted


@pytest.mark.parametrize("stamp", ["nan", "inf", "soon", "", "1e400"])
def test_odd_timestamps_are_refused(database: Database, stamp: str) -> None:
    webhook_id, body = event("customer.created", customer())
    headers = signed(webhook_id, body) | {"webhook-timestamp": stamp}
    assert receive(database, [SECRET], headers, body, NOW, {}) is Outcome.REFUSED


def test_bytes_that_are_no_text_are_refused(database: Database) -> None:
    headers = signed("w1", b"\xff\xfe")
    assert receive(database, [SECRET], headers, b"\xff\xfe", NOW, {}) is Outcome.REFUSED
