"""Requests to the project's own app, over the bridge: only such that must be refused."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import secrets
import time
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from copier_polar.doctor.examination import Examination, Found

WEBHOOK_PATHS = ("/webhooks/polar", "/webhooks/polar/")
WEBHOOK_PATH = WEBHOOK_PATHS[0]
PUBLIC = {"/billing/plans"}
# Of no known type: where it were accepted, it would change nothing.
BODY = '{"type":"doctor.probe","timestamp":"2026-01-01T00:00:00Z","data":{}}'
# As FastAPI and as Hono write what stands for anything.
PARAMETER = re.compile(r"\{[^}]*\}|:\w+(\{[^}]*\})?\??|\*")
HOUR_SECONDS = 3600
REFUSED = (401, 403, 405)


@dataclass(frozen=True)
class Answered:
    """What the app answered."""

    status: int
    error: object

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
    headers = _signed(secrets.token_urlsafe(32), int(time.time()))
    yield from _probe(x, headers, "signed with another secret")


def webhook_stale(x: Examination) -> Iterator[Found]:
    """Send events that are signed rightly, for an instant an hour away."""
    secret, now = x.webhook_secrets[0], int(time.time())
    for stamp, when in ((now - HOUR_SECONDS, "an hour ago"), (now + HOUR_SECONDS, "in an hour")):
        yield from _probe(x, _signed(secret, stamp), f"signed for {when}")


def webhook_replayed(x: Examination) -> Iterator[Found]:
    """Send an old signature with a fresh timestamp, and a fresh one with another id or body."""
    secret, now = x.webhook_secrets[0], int(time.time())
    old, fresh = _signed(secret, now - HOUR_SECONDS), _signed(secret, now)
    renewed = {**old, "webhook-timestamp": str(now)}
    yield from _probe(x, renewed, "with the signature of another instant")
    renamed = {**fresh, "webhook-id": "doctor-other"}
    yield from _probe(x, renamed, "with the signature of another id")
    yield from _probe(x, fresh, "with the signature of another body", BODY + " ")


def premium_unprotected(x: Examination) -> Iterator[Found]:
    """Ask for every premium route: nobody signed in, and somebody who bought nothing."""
    x.store()
    stranger = {"id": f"doctor-{secrets.token_hex(16)}"}
    callers = ((None, "to nobody signed in"), (stranger, "to a user without access"))
    for method, path in _routes(x, x.facts.premium_path):
        for user, who in callers:
            answer = _ask(x, method, path, user=user)
            if answer.status not in REFUSED:
                yield Found(f"{method} {path}", f"answers {answer.status} {who}")


def user_route_unprotected(x: Examination) -> Iterator[Found]:
    """Ask for every route of billing that is somebody's own, with nobody signed in."""
    for method, path in _routes(x, "/billing"):
        answer = _ask(x, method, path)
        if path not in PUBLIC and answer.status not in REFUSED:
            yield Found(f"{method} {path}", f"answers {answer.status} to nobody signed in")


def sign_in_forged(x: Examination) -> Iterator[Found]:
    """Ask with tokens that nobody signed: nonsense, no algorithm, another secret."""
    for token, kind in _forged_tokens():
        answer = _ask(x, "GET", "/billing/access", {"authorization": f"Bearer {token}"})
        if answer.accepted:
            yield Found("GET /billing/access", f"answers {answer.status} to {kind}")


def _probe(x: Examination, headers: Mapping[str, str], how: str, body: str = BODY) -> Iterator[Found]:
    yield from _accepted(_deliver(x, WEBHOOK_PATH, headers, body), WEBHOOK_PATH, how)


def _accepted(answer: Answered, path: str, how: str) -> Iterator[Found]:
    if answer.accepted:
        yield Found(f"POST {path}", f"answers {answer.status} to an event {how}")


def _deliver(x: Examination, path: str, headers: Mapping[str, str], body: str = BODY) -> Answered:
    return _ask(x, "POST", path, {"content-type": "application/json", **headers}, body)


def _ask(
    x: Examination,
    method: str,
    path: str,
    headers: Mapping[str, str] | None = None,
    body: str | None = None,
    user: Mapping[str, str] | None = None,
) -> Answered:
    """Ask the app without a server; with a user, everybody is signed in as that one."""
    x.require_fit()
    answer = x.bridge.call("request", method=method, path=path, headers=dict(headers or {}), body=body, user=user)
    return Answered(answer["status"], _error_in(answer["body"]))


def _error_in(body: str) -> object:
    try:
        answer = json.loads(body)
    except ValueError:
        return None
    return answer.get("error") if isinstance(answer, dict) else None


def _routes(x: Examination, prefix: str) -> list[tuple[str, str]]:
    """Return method and path of all routes below a prefix, with a word in place of each parameter."""
    x.require_fit()
    found = {
        (route["method"], PARAMETER.sub("doctor", route["path"]))
        for route in x.bridge.call("routes")
        if f"{route['path']}/".startswith(f"{prefix}/")
    }
    return sorted(found)


def _signed(secret: str, stamp: int) -> dict[str, str]:
    """Sign the body; the whole secret as the key is what every verifier of Polar's takes, whatever the scheme."""
    content = f"doctor-probe.{stamp}.{BODY}".encode()
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
