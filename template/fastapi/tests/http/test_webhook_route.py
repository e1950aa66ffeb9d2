"""POST /webhooks/polar, from outside: addresses, limits, signatures. What events do is tested elsewhere."""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Iterator

import httpx2
import pytest

from app.billing import tables
from app.billing.errors import BillingError
from app.billing.json_body import Reading
from app.billing.routes import MAX_WEBHOOK_BYTES
from tests.support.app import ENVIRONMENT, Shop, error_of

PATHS = ["/webhooks/polar", "/webhooks/polar/"]
SECRET = ENVIRONMENT["POLAR_WEBHOOK_SECRET"]


def signed(body: bytes, secret: str = SECRET, webhook_id: str = "event_1") -> dict[str, str]:
    timestamp = str(int(time.time()))
    content = f"{webhook_id}.{timestamp}.".encode() + body
    signature = base64.b64encode(hmac.new(secret.encode(), content, hashlib.sha256).digest()).decode()
    return {"webhook-id": webhook_id, "webhook-timestamp": timestamp, "webhook-signature": f"v1,{signature}"}


def deliver(shop: Shop, body: bytes, path: str = PATHS[0], **headers: str) -> httpx2.Response:
    sent = {**signed(body), "content-type": "application/json", **headers}
    return shop.client.post(path, content=body, headers=sent, follow_redirects=False)


def an_event(padding: int = 0) -> bytes:
    data = {"id": "customer", "created_at": "2026-01-31T12:00:00Z", "external_id": "user_1", "name": "x" * padding}
    event = {"type": "customer.created", "timestamp": "2026-01-31T12:00:00Z", "data": data}
    return json.dumps(event).encode()


@pytest.mark.parametrize("path", PATHS)
def test_an_event_is_stored_with_and_without_the_slash(shop: Shop, path: str) -> None:
    answer = deliver(shop, an_event(), path)

    assert (answer.status_code, answer.json()) == (202, {"received": True})
    (row,) = shop.rows(tables.customers)
    assert (row["id"], row["external_id"]) == ("customer", "user_1")


@pytest.mark.parametrize("path", PATHS)
def test_a_wrong_signature_is_refused_and_nothing_stored(shop: Shop, path: str) -> None:
    body = an_event()
    for headers in ({}, signed(body, "another_secret_0123456789_abcdefgh"), signed(body + b" ")):
        answer = shop.client.post(path, content=body, headers=headers)
        assert error_of(answer) == (401, "invalid_signature")
    assert not shop.rows(tables.webhook_events)


def test_neither_sign_in_nor_origin_nor_content_type_matter(shop: Shop) -> None:
    answer = deliver(shop, an_event(), origin="https://evil.example", authorization="Bearer x", cookie="a=b")

    assert answer.status_code == 202
    assert shop.client.post(PATHS[0], content=an_event(), headers=signed(an_event())).status_code == 202


def test_a_mebibyte_is_the_limit(shop: Shop) -> None:
    padding = MAX_WEBHOOK_BYTES - len(an_event())
    fits, too_large = an_event(padding), an_event(padding + 1)
    assert len(fits) == MAX_WEBHOOK_BYTES

    assert deliver(shop, fits).status_code == 202
    assert error_of(deliver(shop, too_large)) == (413, "body_too_large")


def test_the_limit_holds_for_a_body_of_unknown_length(shop: Shop) -> None:
    def chunks() -> Iterator[bytes]:
        for _ in range(20):
            yield b"x" * 100_000

    answer = shop.client.post(PATHS[0], content=chunks(), headers=signed(b""))
    assert error_of(answer) == (413, "body_too_large")


@pytest.mark.parametrize(
    "header",
    [
        {"webhook-id": ""},
        {"webhook-signature": ""},
        {"webhook-signature": "v1"},
        {"webhook-timestamp": ""},
        {"webhook-timestamp": "soon"},
        {"webhook-timestamp": "nan"},
        {"webhook-timestamp": "1e400"},
        {"webhook-timestamp": str(int(time.time()) - 3600)},
        {"webhook-timestamp": str(int(time.time()) + 3600)},
    ],
)
def test_without_a_signature_of_now_the_body_is_not_read(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, header: dict[str, str]
) -> None:
    async def unread(*_: object) -> bytes:
        raise AssertionError("the body is read")

    monkeypatch.setattr("app.billing.routes.read_bounded", unread)
    answer = shop.client.post(PATHS[0], content=b"x", headers=signed(b"") | header)
    assert error_of(answer) == (401, "invalid_signature")
    assert answer.headers["connection"] == "close"


def test_what_all_bodies_together_hold_is_bounded() -> None:
    reading = Reading(at_once=2, usual_bytes=10, more_bytes=30)
    with reading.one() as first, reading.one() as second:
        first.add(b"x" * 40)
        with pytest.raises(BillingError, match="unavailable"), reading.one():
            pass
        second.add(b"x" * 10)
        with pytest.raises(BillingError, match="unavailable"):
            second.add(b"x")
    with reading.one() as third:
        third.add(b"x" * 40)


def test_only_post(shop: Shop) -> None:
    for path in PATHS:
        answer = shop.client.get(path)
        assert error_of(answer) == (405, "method_not_allowed")
        assert answer.headers["allow"] == "POST"
