"""Steps of deliveries: what customers go through, odd and poisoned events, wrong signatures."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from tests.catalogues import identifier
from tests.parity.step import (
    BETA,
    FREE,
    LIFETIME,
    MONTHLY,
    NOBODY,
    NOW,
    STANDARD,
    SUPPORT,
    YEARLY,
    Json,
    Step,
    deliver,
    get,
)
from tests.parity.story import Story
from tests.support import deliveries, polar_runtime
from tests.support.events import Customer, event


def lifecycles() -> Iterator[Step]:
    yield from _renewing()
    yield from _one_time()
    yield from _others()


def _renewing() -> list[Step]:
    story = Story("u-cycle", 40)
    buyer, bought = story.buyer, story.buyer.subscription(MONTHLY)
    renewed = {**bought, "current_period_start": buyer.at(30), "current_period_end": buyer.at(60)}
    declined = {**renewed, "status": "past_due", "past_due_at": buyer.at(39)}
    leaving = {**renewed, "cancel_at_period_end": True, "canceled_at": buyer.at(39.9), "ends_at": buyer.at(60)}
    gone = {**leaving, "status": "canceled", "ended_at": buyer.at(39.95), "ends_at": buyer.at(39.95)}
    granted = buyer.grant(SUPPORT, subscription_id=bought["id"], member_id=buyer.member()["id"])
    taken = {**granted, "is_granted": False, "is_revoked": True, "granted_at": None, "revoked_at": buyer.at(39.1)}
    state = buyer.customer(active_subscriptions=[bought], granted_benefits=[granted], active_meters=[])
    story.tell("created", "customer.created", buyer.customer()).then("none")
    story.tell("owner", "member.created", buyer.member())
    incomplete = {**bought, "status": "incomplete"}
    story.tell("incomplete", "subscription.created", incomplete).then("incomplete")
    story.tell("active", "subscription.active", bought).then("renewal_overdue", True)
    story.tell("granted", "benefit_grant.created", granted).then("renewal_overdue", True)
    story.tell("state", "customer.state_changed", state)
    first = buyer.order(MONTHLY, subscription_id=bought["id"], billing_reason="subscription_create")
    story.tell("first order", "order.paid", first).then("renewal_overdue", True)
    story.tell("cycled", "subscription.cycled", renewed).then("active", True)
    story.tell("past due", "subscription.past_due", declined).then("past_due_grace", True)
    story.tell("grant taken while past due", "benefit_grant.revoked", taken).then("past_due_grace", True)
    long_ago = {**declined, "past_due_at": buyer.at(25.5)}
    story.tell("past due for too long", "subscription.updated", long_ago).then("past_due")
    undated = {**declined, "past_due_at": None}
    story.tell("past due without an instant", "subscription.updated", undated).then("past_due_grace", True)
    story.tell("recovered", "subscription.active", renewed).then("active", True)
    story.tell("cancelled", "subscription.canceled", leaving).then("canceling", True)
    story.tell("kept", "subscription.uncanceled", renewed).then("active", True)
    story.tell("revoked", "subscription.revoked", gone).then("canceled")
    story.tell("stale", "subscription.updated", renewed, at=5).then("canceled")
    last = story.steps[-3]
    again = replace(last, name=f"{last.name}, once more", outcome="repeat")
    lapsed = {**leaving, "ends_at": buyer.at(39)}
    story.steps.append(again)
    story.tell("ended by its end", "subscription.updated", lapsed).then("canceled")
    expired = {**bought, "current_period_end": buyer.at(25)}
    story.tell("never renewed", "subscription.updated", expired).then("renewal_expired")
    endless = {**bought, "current_period_end": None}
    return story.tell("without an end", "subscription.updated", endless).then("active", True).steps


def _one_time() -> list[Step]:
    story = Story("u-once", 3)
    paid = story.buyer.order(LIFETIME)
    part, full = {"status": "partially_refunded", "refunded_amount": 100}, {"status": "refunded"}
    story.tell("ordered", "order.created", {**paid, "status": "pending", "paid": False}).then("pending")
    story.tell("paid", "order.paid", paid).then("purchased", True)
    story.tell("refund", "refund.created", {"id": identifier("refund"), "order_id": paid["id"]}, "ignored")
    story.tell("refunded in part", "order.updated", {**paid, **part}).then("purchased", True)
    story.tell("refunded", "order.refunded", {**paid, **full, "refunded_amount": 49900}).then("refunded")
    credit = story.buyer.order(MONTHLY, 2, total_amount=-500, billing_reason="subscription_update")
    story.tell("credit", "order.created", {**credit, "subscription_id": identifier("elsewhere")}).then("refunded")
    return story.tell("refund taken back", "order.updated", paid).then("purchased", True).steps


def _others() -> Iterator[Step]:
    trial = Story("u-trial", 2)
    trying = trial.buyer.subscription(MONTHLY, status="trialing", trial_end=trial.buyer.at(7))
    trying["current_period_end"] = trial.buyer.at(7)
    yield from trial.tell("trial", "subscription.created", trying).then("trialing", True).steps
    pause = Story("u-pause", 2)
    bought = pause.buyer.subscription(YEARLY)
    soon = {**bought, "pause_at_period_end": True, "resumes_at": pause.buyer.at(90)}
    pause.tell("bought", "subscription.created", bought).then("active", True)
    pause.tell("to be paused", "subscription.updated", soon).then("active", True)
    pause.tell("paused", "subscription.paused", {**soon, "status": "paused"}).then("paused")
    yield from pause.tell("resumed", "subscription.resumed", bought).then("active", True).steps
    free = Story("u-free", 2)
    yield from free.tell("free plan", "subscription.created", free.buyer.subscription(FREE)).then("not_premium").steps
    for status, reason in (
        ("unpaid", "unpaid"),
        ("incomplete_expired", "expired"),
        ("someday", "unknown_status"),
        ("ACTIVE", "unknown_status"),
    ):
        story = Story(f"u-{status}", 2)
        told = story.buyer.subscription(YEARLY, status=status)
        yield from story.tell("is told", "subscription.updated", told).then(reason).steps
    for status in ("draft", "void", "later"):
        story = Story(f"u-order-{status}", 2)
        yield from story.tell("is told", "order.updated", story.buyer.order(LIFETIME, status=status)).steps
        yield get(f"u-order-{status}: account", "/billing/account", story.user, expected={"access.access": False})
    several = Story("u-several", 3)
    several.tell("subscribed", "subscription.created", several.buyer.subscription(MONTHLY)).then("active", True)
    yield from several.tell("and bought", "order.paid", several.buyer.order(LIFETIME)).then("purchased", True).steps


def deletions() -> Iterator[Step]:
    plain = Story("u-deleted", 3)
    buyer, stamp = plain.buyer, plain.buyer.at(2)
    nameless = buyer.customer(external_id=None, deleted_at=stamp)
    late = {**buyer.subscription(MONTHLY), "customer": nameless}
    plain.tell("created", "customer.created", buyer.customer())
    plain.tell("bought", "subscription.created", buyer.subscription(MONTHLY)).then("active", True)
    plain.tell("deleted", "customer.deleted", nameless).then("none", customer=None, subscriptions=[])
    plain.tell("told after the end", "subscription.updated", late).then("none", customer=None)
    told = {**nameless, "active_subscriptions": [], "granted_benefits": [], "active_meters": []}
    plain.tell("state after the end", "customer.state_changed", told).then("none")
    yield from plain.steps
    again = Story("u-deleted", 0.5, "the same id again")
    again.user = "u-deleted"
    again.tell("a new customer", "customer.created", again.buyer.customer(name="Again")).then("none")
    bought = again.buyer.subscription(YEARLY)
    yield from again.tell("and its plan", "subscription.created", bought).then("active", True).steps
    anonymous = Story("u-anonymous", 3)
    changed = {"email": "x@deleted.invalid", "name": "Anonymized", "deleted_at": anonymous.buyer.at(2)}
    anonymous.tell("bought", "order.paid", anonymous.buyer.order(LIFETIME)).then("purchased", True)
    anonymous.tell("anonymized", "customer.deleted", anonymous.buyer.customer(**changed)).then("none", customer=None)
    yield from anonymous.steps
    early = Story("u-early", 3)
    gone = early.buyer.customer(external_id=None, deleted_at=early.buyer.at(1))
    early.tell("deleted first", "customer.deleted", gone)
    early.tell("then created", "customer.created", early.buyer.customer(), at=0).then("none", customer=None)
    yield from early.tell("then bought", "order.paid", early.buyer.order(LIFETIME), at=1).then("none").steps


def owners() -> Iterator[Step]:
    team = Story("u-boss", 3)
    buyer, mate = team.buyer, team.buyer.member("u-mate")
    given = buyer.grant(SUPPORT, 1, member_id=mate["id"])
    unknown = buyer.grant(BETA, 2, member_id=NOBODY)
    team.tell("created", "customer.created", buyer.customer())
    team.tell("owner", "member.created", buyer.member())
    team.tell("owner's grant", "benefit_grant.created", buyer.grant(BETA, 3, member_id=buyer.member()["id"]))
    team.tell("grant without member", "benefit_grant.created", buyer.grant(SUPPORT, 4)).then("none")
    team.tell("grant before its member", "benefit_grant.created", given)
    team.tell("grant of nobody known", "benefit_grant.created", unknown)
    yield from team.steps
    support = [{"key": "priority_support", "id": SUPPORT["id"]}]
    none: list[Json] = []
    yield get("u-mate: not known yet", "/billing/access", "u-mate", expected={"benefits": none})
    yield deliver("u-mate: joins", event("member.created", NOW, mate))
    yield get("u-mate: has what the team gives", "/billing/access", "u-mate", expected={"benefits": support})
    yield deliver("u-mate: leaves", event("member.deleted", NOW + dt.timedelta(seconds=1), mate))
    yield get("u-mate: has nothing any more", "/billing/access", "u-mate", expected={"benefits": none})

    stranger = Story("u-stranger", 3)
    gift = stranger.buyer.subscription(MONTHLY, metadata={"app_user_id": "u-gifted"})
    stranger.tell("bought for another user", "subscription.created", gift).then("none")
    once = stranger.buyer.order(LIFETIME, metadata={"app_user_id": 7})
    stranger.tell("metadata that is no user", "order.paid", once).then("purchased", True)
    yield from stranger.steps
    yield get("u-gifted: has it", "/billing/account", "u-gifted", expected={"access.reason": "active"})
    unlinked = Customer(None, NOW, "without external id")
    bought = unlinked.order(LIFETIME, metadata={"app_user_id": "u-unlinked"})
    yield deliver("a customer without external id buys", event("order.paid", NOW, bought))
    yield get("u-unlinked: has it", "/billing/account", "u-unlinked", expected={"access.reason": "purchased"})


def odd_events() -> Iterator[Step]:
    yield deliver("unknown type", event("galaxy.created", NOW, {"id": "x"}), "ignored")
    bare = b'{"type":"galaxy.created","timestamp":"2026-11-01T00:00:00Z"}'
    yield deliver("unknown type without data", bare, "ignored")
    yield deliver("known and not projected", event("product.updated", NOW, MONTHLY), "ignored")
    yield deliver("seat event", event("customer_seat.claimed", NOW, {"id": NOBODY}), "ignored")
    story = Story("u-odd", 2)
    buyer, base = story.buyer, story.buyer.subscription(MONTHLY)
    few = {"id": base["id"], "status": "active", "customer_id": buyer.id, "product_id": MONTHLY["id"]}
    story.tell("few fields and no customer", "subscription.updated", {**few, "metadata": {"app_user_id": "u-odd"}})
    story.then("active", True, **{"subscriptions.0.amount": None, "subscriptions.0.current_period_end": None})
    odd: dict[str, Any] = {
        "amount": 2**53,
        "seats": True,
        "currency": 7,
        "recurring_interval": ["month"],
        "recurring_interval_count": "1",
        "cancel_at_period_end": "true",
        "pending_update": [],
        "product_id": 7,
        "metadata": {"app_user_id": 7},
        "customer": "u-odd",
    }
    for name, value in odd.items():
        story.tell(f"{name} is {value!r}", "subscription.updated", {**base, name: value})
        story.steps.append(get(f"u-odd: after {name} is {value!r}", "/billing/account", "u-odd"))
    story.tell("NUL in a text", "subscription.updated", {**base, "currency": "us\x00d"})
    story.then("active", True, **{"subscriptions.0.currency": "usd"})
    for form in ("2026-11-01T00:00:00+02:00", "2026-11-01T00:00:00.1Z", "2026-11-01T00:00:00.1234567Z"):
        story.tell(f"an instant as {form}", "subscription.updated", {**base, "started_at": form}).then("active", True)
    # Not read as no end: that would be access without end.
    for end in ("2026-11-01", "2026-11-01T00:00:00", "1699999999", "yesterday", 1_699_999_999):
        told = {**base, "current_period_end": end}
        story.tell(f"an end as {end!r}", "subscription.updated", told, "failed").then("active", True)
    future = {**base, "unheard_of": {"deep": [1, 2]}, "status": "active", "metadata": {"app_user_id": ""}}
    story.tell("new fields", "subscription.updated", future).then("active", True)
    words = {"name": "N\u00fcl\x00l \U0001f600", "email": "ö@example.com"}
    story.tell("odd words", "customer.updated", buyer.customer(**words)).then("active", True)
    yield from story.steps


def poisoned() -> Iterator[Step]:
    good = Customer("u-poison", NOW).order(LIFETIME)
    stamp, ownerless = polar_runtime.instant(NOW), {**good, "customer_id": None, "customer": None}
    bodies: dict[str, Any] = {
        "empty": b"",
        "no JSON": b"{",
        "null": b"null",
        "a list": b"[]",
        "a string": b'"order.paid"',
        "NaN": b'{"type":NaN,"timestamp":"' + stamp.encode() + b'","data":{}}',
        "deep": b'{"type":"order.paid","timestamp":"' + stamp.encode() + b'","data":' + b"[" * 100_000 + b"]" * 100_000,
        "no type": {"timestamp": stamp, "data": good},
        "type is a number": {"type": 7, "timestamp": stamp, "data": good},
        "no timestamp": {"type": "order.paid", "data": good},
        "timestamp is no instant": {"type": "order.paid", "timestamp": "soon", "data": good},
        "timestamp is a number": {"type": "order.paid", "timestamp": 1_790_000_000, "data": good},
        "no data": {"type": "order.paid", "timestamp": stamp},
        "data is a list": {"type": "order.paid", "timestamp": stamp, "data": [good]},
        "no id": {"type": "order.paid", "timestamp": stamp, "data": {**good, "id": None}},
        "id is a number": {"type": "order.paid", "timestamp": stamp, "data": {**good, "id": 7}},
        "id is empty": {"type": "order.paid", "timestamp": stamp, "data": {**good, "id": ""}},
        "no status": {"type": "order.paid", "timestamp": stamp, "data": {**good, "status": None}},
        "no customer": {"type": "order.paid", "timestamp": stamp, "data": ownerless},
    }
    for name, body in bodies.items():
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        yield deliver(f"poisoned: {name}", raw, "failed")
        yield deliver(f"poisoned: {name}, once more", raw, "failed", webhook_id=_webhook_id(f"poisoned: {name}"))
    yield get("poisoned: nothing was bought", "/billing/account", "u-poison", expected={"orders": []})
    nowhere = b'{"type":"order.paid","data":{"id":"\xff"}}'
    yield deliver("poisoned: no UTF-8", nowhere, "", 401, expected={"error": "invalid_signature"})
    duplicated = event("order.paid", NOW, good)[:-1] + b',"type":"galaxy.created"}'
    yield deliver("poisoned: a key twice", duplicated, "ignored")
    yield deliver("after the poison", event("order.paid", NOW, good))
    yield get("after the poison: bought", "/billing/access", "u-poison", expected={"reason": "purchased"})
    mended = event("order.paid", NOW, Customer("u-mended", NOW).order(LIFETIME))
    yield deliver("after the poison: a failed one mended", mended, webhook_id=_webhook_id("poisoned: no data"))
    yield get("after the poison: the mended one counts", "/billing/access", "u-mended", expected={"access": True})
    other = event("order.paid", NOW, Customer("u-twice", NOW).order(LIFETIME))
    yield deliver("a known id with another body", other, "repeat", webhook_id=_webhook_id("after the poison"))
    yield get("a known id with another body: no effect", "/billing/access", "u-twice", expected={"access": False})


def _webhook_id(name: str) -> str:
    return "wh_" + hashlib.sha256(name.encode()).hexdigest()[:20]


def signatures() -> Iterator[Step]:
    body = event("order.paid", NOW, Customer("u-forged", NOW).order(LIFETIME))
    refused: dict[str, Any] = {"status": 401, "outcome": "", "expected": {"error": "invalid_signature"}}

    def forged(name: str, **how: Any) -> Step:
        return deliver(f"signature: {name}", body, **{**refused, **how})

    for header in ("webhook-id", "webhook-timestamp", "webhook-signature"):
        yield forged(f"without {header}", headers={header: None})
        yield forged(f"with an empty {header}", headers={header: ""})
    yield forged("another secret", secret=deliveries.new_secret("legacy"))
    yield forged("another scheme", secret=STANDARD, scheme="legacy", status=202, outcome="processed", expected={})
    yield forged("too old", age=6 * 60)
    yield forged("from the future", age=-6 * 60)
    yield forged("old, and not too old", age=4 * 60, status=202, outcome="processed", expected={})
    yield forged("timestamp is a word", headers={"webhook-timestamp": "now"})
    yield forged("no version", headers={"webhook-signature": "AAAA"})
    yield forged("unknown version", headers={"webhook-signature": "v9,AAAA"})
    yield forged("no base64", headers={"webhook-signature": "v1,!!!"})
    yield forged("of another id", headers={"webhook-id": "wh_other"})
    yield forged("in the other case", headers={"webhook-signature": "V1,AAAA"})
    yield Step("signature: none at all", 401, "POST", "/webhooks/polar", body, expected={"error": "invalid_signature"})
    right: dict[str, Any] = {"status": 202, "outcome": "processed", "expected": {"received": True}}
    second = event("order.paid", NOW, Customer("u-signed", NOW).order(LIFETIME))
    yield deliver("signature: the second secret", second, secret=STANDARD, scheme="standard", **right)
    yield deliver("signature: with a slash at the end", second, path="/webhooks/polar/", **right)
    yield deliver("signature: text/plain", second, headers={"content-type": "text/plain"}, **right)
    yield deliver("signature: no content type", second, headers={"content-type": None}, **right)
    yield deliver("signature: with a token too", second, headers={"authorization": "Bearer x"}, **right)
    yield deliver("signature: from a browser", second, headers={"origin": "https://evil.example"}, **right)
    large = event("galaxy.created", NOW, {"text": "x" * (1024 * 1024 - 200)})
    yield deliver("signature: just below the limit", large, "ignored")
    over: dict[str, Any] = {"status": 413, "outcome": "", "expected": {"error": "body_too_large"}}
    yield deliver("signature: over the limit", b" " * (1024 * 1024 + 1), **over)
    yield deliver("signature: far over the limit", b" " * (3 * 1024 * 1024), **over)
