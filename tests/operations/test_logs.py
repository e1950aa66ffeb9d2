"""What the apps log: every delivery with what became of it, and never personal data or a secret."""

from __future__ import annotations

import datetime as dt
import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx

from tests.catalogues import shop
from tests.operations.side import JWT_SECRET, WEBHOOK_SECRET, Pair, Side
from tests.polar_server import Answer
from tests.support import deliveries
from tests.support.events import Customer, event
from tests.support.render import TOKEN

Json = dict[str, Any]
USER = "user_1"
EMAIL, NAME, STREET, NOTE = "marker-mail@example.com", "Marker-Name", "Marker-Street 7", "marker-note"
PERSONAL = {
    "email": EMAIL,
    "name": NAME,
    "billing_name": NAME,
    "billing_address": {"line1": STREET, "country": "DE"},
    "tax_id": ["DE-marker-tax", "eu_vat"],
    "metadata": {"note": NOTE},
}
# Of the addresses that Polar gives out, the parts that let anybody in.
SECRETS = (TOKEN, WEBHOOK_SECRET, JWT_SECRET, "polar_c_", "polar_cst_", "Bearer", "v1,")
PREMIUM = "/api/premium/hello"


def test_deliveries_are_logged_with_what_became_of_them_and_nothing_personal_is(pair: Pair) -> None:
    with ThreadPoolExecutor(2) as pool:
        logs = list(pool.map(_everything, pair.sides))
    worker, fastapi = (_webhooks(log) for log in logs)
    assert worker == fastapi
    assert {line["outcome"] for line in worker.values()} == {"processed", "ignored", "failed", "repeat"}
    for log in logs:
        lines = list(_lines(log))
        assert all(line["duration_ms"] >= 0 for line in lines if line["event"] == "webhook")
        assert [line["outcome"] for line in lines if line["event"] == "webhook"].count("refused") == 2
        failed = [(line["webhook_id"], line["dead"]) for line in lines if line["event"] == "webhook_failed"]
        assert set(failed) == {("wh_bad_stamp", False), ("wh_no_json", False)}
        stuck = [line for line in lines if line["event"] == "inbox"]
        assert stuck, "nothing says that two events are stuck"
        assert stuck[-1] == {"event": "inbox", "failed": 2, "dead": 0, "dead_reactions": 0}
        markers = (EMAIL, NAME, STREET, "marker", "Marker", *SECRETS)
        assert not [line for line in log.splitlines() if any(marker in line for marker in markers)]


def _everything(side: Side) -> str:
    """Ask a running app everything there is, with markers wherever a person's data can be; the log of it."""
    with side.serving() as base, httpx.Client(base_url=base, timeout=30) as client:
        for webhook_id, body in _events():
            assert _deliver(client, webhook_id, body) == 202
        assert _deliver(client, "wh_again", next(_events())[1]) == 202
        assert _deliver(client, "wh_again", next(_events())[1]) == 202
        for secret in (deliveries.new_secret("standard"), WEBHOOK_SECRET):
            old = int(time.time()) - (3600 if secret == WEBHOOK_SECRET else 0)
            assert _deliver(client, "wh_refused", next(_events())[1], secret, old) == 401
        asked = _routes(side, client)
        documented = httpx.get(f"{base}/openapi.json") if side.variant.runtime == "fastapi" else None
        if documented:
            assert {path for path in documented.json()["paths"] if not path.startswith("/api/")} <= asked
        _wait_for_the_background(side, client)
        return (side.folder / "app.log").read_text(errors="replace")


def _events() -> Iterator[tuple[str, bytes]]:
    now = dt.datetime.now(dt.UTC)
    buyer = Customer(USER, now - dt.timedelta(days=3), fields=PERSONAL)
    monthly, lifetime = (next(p for p in shop() if p["is_recurring"] is recurring) for recurring in (True, False))
    personal = {"metadata": {"note": NOTE}, "custom_field_data": {"note": NOTE}, "customer_email": EMAIL}
    facts: list[tuple[str, Json]] = [
        ("customer.created", buyer.customer()),
        ("member.created", buyer.member(email=EMAIL, name=NAME)),
        ("subscription.active", buyer.subscription(monthly, **personal)),
        ("subscription.past_due", buyer.subscription(monthly, status="past_due", past_due_at=buyer.at(2), **personal)),
        ("order.paid", buyer.order(lifetime, **personal)),
        ("customer.state_changed", buyer.customer(active_subscriptions=[], granted_benefits=[], active_meters=[])),
        ("benefit.created", {"id": "b", "description": NOTE}),
        ("unheard.of", {"email": EMAIL}),
    ]
    for number, (kind, data) in enumerate(facts):
        yield f"wh_{number}", event(kind, now + dt.timedelta(seconds=number), data)
    bad = json.loads(event("order.paid", now, buyer.order(lifetime)))
    yield "wh_bad_stamp", json.dumps({**bad, "timestamp": "marker-stamp"}).encode()
    yield "wh_no_json", f'{{"email": "{EMAIL}",'.encode()


def _deliver(
    client: httpx.Client, webhook_id: str, body: bytes, secret: str = WEBHOOK_SECRET, sent_at: int | None = None
) -> int:
    headers = deliveries.headers(body, webhook_id, secret, "standard", sent_at)
    return client.post("/webhooks/polar", content=body, headers=headers).status_code


def _routes(side: Side, client: httpx.Client) -> set[str]:
    """Ask every route, well and badly, of a Polar that answers well and badly; the paths that were asked."""
    user = deliveries.bearer(USER, JWT_SECRET, email=EMAIL, name=NAME)
    somebody = deliveries.bearer("user_2", JWT_SECRET, email="marker-other@example.com", name=NAME)
    wrong = deliveries.bearer(USER, "marker-secret-marker-secret-marker", email=EMAIL)
    bodies: dict[str, Json] = {
        "/billing/checkout": {"product": "lifetime", "path": "/thanks"},
        "/billing/portal": {},
        "/billing/subscription/change": {"subscription": "marker", "product": "pro_yearly"},
        "/billing/subscription/cancel": {"subscription": "marker"},
        **{f"/billing/subscription/{way}": {"subscription": "marker"} for way in ("uncancel", "resume", "revoke")},
    }
    gets = ("/healthz", "/billing/plans", "/billing/access", "/billing/account", "/billing/checkout/{checkout_id}")
    side.polar.add_customer(USER, EMAIL, name=NAME, id=Customer(USER, dt.datetime.now(dt.UTC)).id)
    for path in ("/billing/checkout", "/billing/portal"):
        assert client.post(path, json=bodies[path], headers=user).status_code == 201
    for who in (user, somebody, wrong, {"authorization": "Bearer marker"}, {}):
        for path in (*gets, PREMIUM, "/nowhere"):
            client.get(path.replace("{checkout_id}", "00000000-0000-4000-8000-000000000000"), headers=who)
        for path, body in bodies.items():
            client.post(path, json=body, headers=who)
            client.post(path, json={**body, "marker": EMAIL}, headers=who)
            client.post(path, content=f'{{"email": "{EMAIL}"', headers=who)
    refusal = {
        "error": "PolarRequestValidationError",
        "detail": [{"loc": ["body", "email"], "msg": EMAIL, "input": EMAIL}],
    }
    tellers: list[Callable[[Any], Answer]] = [
        lambda _call: Answer(422, refusal),
        lambda _call: Answer(500, EMAIL),
        lambda _call: Answer(200, {"email": EMAIL}),
        lambda _call: Answer(401, {"error": "invalid_token", "error_description": EMAIL}),
    ]
    for told in tellers:
        side.polar.always = told
        for path in ("/billing/checkout", "/billing/portal"):
            assert client.post(path, json=bodies[path], headers=somebody).status_code >= 400
    side.polar.always = lambda _call: Answer(500, EMAIL)
    return {*gets, *bodies, "/webhooks/polar"}


def _wait_for_the_background(side: Side, client: httpx.Client) -> None:
    """Let the background work run, which a cron trigger starts for a Worker."""
    deadline = time.monotonic() + 60
    while '"event":"inbox"' not in (side.folder / "app.log").read_text(errors="replace"):
        assert time.monotonic() < deadline, "the background did nothing"
        if side.variant.runtime == "worker":
            client.get("/cdn-cgi/local/scheduled")
        time.sleep(0.5)


def _lines(log: str) -> Iterator[Json]:
    for line in log.splitlines():
        start = line.find('{"event"')
        if start >= 0:
            yield json.loads(line[start : line.rindex("}") + 1])  # wrangler colours what went wrong


def _webhooks(log: str) -> dict[str, Json]:
    """What was logged of each delivery that was let in, the last line of each."""
    names = ("type", "outcome", "customer_id")
    lines = [line for line in _lines(log) if line["event"] == "webhook" and line["outcome"] != "refused"]
    return {line["webhook_id"]: {name: line[name] for name in names} for line in lines}
