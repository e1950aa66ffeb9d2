"""Requests to the project's own app, in this process: only such that must be refused."""

import asyncio
import hashlib
import hmac
import json
import re
import secrets
import time
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import httpx
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts

from app.auth.user import User
from app.billing.choices import PREMIUM_PATH
from app.billing.doctor.examination import Examination, Found
from app.billing.require_access import not_found
from app.main import create_app

WEBHOOK_PATHS = ("/webhooks/polar", "/webhooks/polar/")
PUBLIC = {"/billing/plans"}
# Of no known type: where it were accepted, it would change nothing.
BODY = b'{"type":"doctor.probe","timestamp":"2026-01-01T00:00:00Z","data":{}}'
HOUR_SECONDS = 3600
REFUSED = (401, 403, 405)


@dataclass(frozen=True)
class Answered:
    """What the app answered."""

    status: int
    error: str

    @property
    def accepted(self) -> bool:
        """Whether the request was not refused."""
        return self.status < 300


def webhook_route(x: Examination) -> Iterator[Found]:
    """Send an unsigned event with and without a slash: it must reach the handler, which refuses it."""
    for path in WEBHOOK_PATHS:
        answer = _deliver(x, path, {})
        if not answer.accepted and answer.error != "invalid_signature":
            yield Found(f"POST {path}", f"answers {answer.status} to an unsigned event, not 401 invalid_signature")


def webhook_unsigned(x: Examination) -> Iterator[Found]:
    """Send an event without a signature."""
    for path in WEBHOOK_PATHS:
        yield from _accepted(_deliver(x, path, {}), path, "without a signature")


def webhook_wrong_signature(x: Examination) -> Iterator[Found]:
    """Send an event signed with a secret of our own making."""
    path = WEBHOOK_PATHS[0]
    headers = _signed(secrets.token_urlsafe(32), int(time.time()))
    yield from _accepted(_deliver(x, path, headers), path, "signed with another secret")


def webhook_stale(x: Examination) -> Iterator[Found]:
    """Send events that are signed rightly, for an instant an hour away."""
    path, now = WEBHOOK_PATHS[0], int(time.time())
    for stamp, when in ((now - HOUR_SECONDS, "an hour ago"), (now + HOUR_SECONDS, "in an hour")):
        yield from _accepted(_deliver(x, path, _signed(_secret(x), stamp)), path, f"signed for {when}")


def webhook_replayed(x: Examination) -> Iterator[Found]:
    """Send an old signature with a fresh timestamp, and a fresh one with another id or body."""
    path, now = WEBHOOK_PATHS[0], int(time.time())
    old, fresh = _signed(_secret(x), now - HOUR_SECONDS), _signed(_secret(x), now)
    renewed = {**old, "webhook-timestamp": str(now)}
    yield from _accepted(_deliver(x, path, renewed), path, "with the signature of another instant")
    renamed = {**fresh, "webhook-id": "doctor-other"}
    yield from _accepted(_deliver(x, path, renamed), path, "with the signature of another id")
    yield from _accepted(_deliver(x, path, fresh, BODY + b" "), path, "with the signature of another body")


def premium_unprotected(x: Examination) -> Iterator[Found]:
    """Ask for every premium route: nobody signed in, and somebody who bought nothing."""
    with x.reading():
        stranger = User(f"doctor-{secrets.token_hex(16)}")
    open_app = create_app(billing=x.billing, background=False)
    signed_in = create_app(billing=replace(x.billing, authenticate=lambda _request: stranger), background=False)
    for method, path in _routes(open_app, PREMIUM_PATH):
        for app, who in ((open_app, "to nobody signed in"), (signed_in, "to a user without access")):
            answer = _ask(app, method, path)
            if answer.status not in REFUSED:
                yield Found(f"{method} {path}", f"answers {answer.status} {who}")


def user_route_unprotected(x: Examination) -> Iterator[Found]:
    """Ask for every route of billing that is somebody's own, with nobody signed in."""
    app = create_app(billing=x.billing, background=False)
    for method, path in _routes(app, "/billing"):
        answer = _ask(app, method, path)
        if path not in PUBLIC and answer.status not in REFUSED:
            yield Found(f"{method} {path}", f"answers {answer.status} to nobody signed in")


def sign_in_forged(x: Examination) -> Iterator[Found]:
    """Ask with tokens that nobody signed: nonsense, no algorithm, another secret."""
    app = create_app(billing=x.billing, background=False)
    for token, kind in _forged_tokens():
        answer = _ask(app, "GET", "/billing/access", {"authorization": f"Bearer {token}"})
        if answer.accepted:
            yield Found("GET /billing/access", f"answers {answer.status} to {kind}")


def _accepted(answer: Answered, path: str, how: str) -> Iterator[Found]:
    if answer.accepted:
        yield Found(f"POST {path}", f"answers {answer.status} to an event {how}")


def _deliver(x: Examination, path: str, headers: Mapping[str, str], body: bytes = BODY) -> Answered:
    app = create_app(billing=x.billing, background=False)
    return _ask(app, "POST", path, {"content-type": "application/json", **headers}, body)


def _ask(app: FastAPI, method: str, path: str, headers: Mapping[str, str] | None = None, body: bytes = b"") -> Answered:
    """Ask the app without a server. What it raises is answered as a server would."""
    return asyncio.run(_send(app, method, path, headers or {}, body))


async def _send(app: FastAPI, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Answered:
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        response = await client.request(method, path, headers=dict(headers), content=body)
    try:
        answer = response.json()
    except ValueError:
        answer = None
    error = answer.get("error") if isinstance(answer, dict) else None
    return Answered(response.status_code, error if isinstance(error, str) else "")


def _routes(app: FastAPI, prefix: str) -> list[tuple[str, str]]:
    """Return method and path of all routes below a prefix, as the app itself lists them; not where nothing is."""
    return sorted(
        (method, re.sub("{[^}]*}", "doctor", route.path or ""))
        for route in iter_route_contexts(app.routes)
        if f"{route.path}/".startswith(f"{prefix}/") and route.endpoint is not not_found
        for method in route.methods or ()
    )


def _secret(x: Examination) -> str:
    return x.billing.settings.polar_webhook_secret[0].get_secret_value()


def _signed(secret: str, stamp: int) -> dict[str, str]:
    """Sign the body; the whole secret as the key is what every verifier of Polar's takes, whatever the scheme."""
    content = b"doctor-probe.%d." % stamp + BODY
    signature = b64encode(hmac.digest(secret.encode(), content, hashlib.sha256)).decode()
    return {
        "webhook-id": "doctor-probe",
        "webhook-timestamp": str(stamp),
        "webhook-signature": f"v1,{signature}",
    }


def _forged_tokens() -> Iterator[tuple[str, str]]:
    claims = _part({"sub": "doctor", "exp": int(time.time()) + HOUR_SECONDS})
    signed = f"{_part({'alg': 'HS256'})}.{claims}"
    signature = hmac.digest(secrets.token_bytes(32), signed.encode(), hashlib.sha256)
    yield "doctor", "a token that is none"
    yield f"{_part({'alg': 'none'})}.{claims}.", "a token without a signature"
    yield f"{signed}.{_base64url(signature)}", "a token signed with another secret"


def _part(content: object) -> str:
    return _base64url(json.dumps(content).encode())


def _base64url(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()
