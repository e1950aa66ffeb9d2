"""Requests that nobody should send: refused, answered, and forgotten; tokens and paths that lead elsewhere."""

from __future__ import annotations

import base64
import json
import time
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from tests.conformance.conftest import Counts
from tests.conformance.fuzz import LIMIT, Attack, Maker, status_of
from tests.conformance.station import AUDIENCE, ISSUER, Station
from tests.parity.step import token

CONNECTIONS = 4
WARM_UP = 200
MIB = 1024 * 1024
# How much more memory all processes of an app may take, whatever they are sent. workerd's heap grows until it is worth
# collecting: measured, it levels off at 370 MiB more after some 4,000 requests.
GROWTH = {"fastapi": 150 * MIB, "worker": 420 * MIB}
# wrangler's development server in front of it keeps some 70 KiB of every request, a plain `GET /healthz` too.
KEPT_BY_WRANGLER = 96 * 1024
REFUSED = 600  # bodies of a MiB each


def _verdict(attack: Attack, status: int) -> str | None:
    """Why an answer is wrong, if it is."""
    if status == 0:
        return None if attack.droppable else "got no answer"
    if not (200 <= status < 300 or 400 <= status < 500):
        return f"got {status}"
    if attack.verdict == "must" and status >= 300:
        return f"was refused with {status}"
    return f"was accepted with {status}" if attack.verdict == "never" and status < 300 else None


def test_fuzzed_webhooks_are_refused_and_leave_no_trace(black_box: Station, counts: Counts) -> None:
    def send(number: int) -> tuple[str, str | None]:
        attack = Maker(black_box.secret, counts.seed, number).attack()
        wrong = _verdict(attack, status_of(black_box.port, attack))
        return attack.name, wrong and f"{number} ({attack.name}) {wrong}"

    with ThreadPoolExecutor(CONNECTIONS) as pool:
        told = list(pool.map(send, range(WARM_UP)))
        before = black_box.memory()
        told += pool.map(send, range(WARM_UP, counts.fuzzed_requests))
    grown = black_box.memory() - before
    wrong = [each for _, each in told if each]
    assert not wrong, "\n".join(wrong)
    assert len(Counter(name.partition(" ")[0] for name, _ in told)) > 10, "hardly any kind was tried"
    assert grown < _growth(black_box, len(told) - WARM_UP), f"{grown // MIB} MiB more than before"
    assert httpx.get(f"{black_box.base}/healthz", timeout=30).json()["status"] == "ok"


def _growth(app: Station, requests: int) -> int:
    runtime = app.variant.runtime
    return GROWTH[runtime] + (KEPT_BY_WRANGLER * requests if runtime == "worker" else 0)


def test_bodies_that_are_refused_are_not_kept(black_box: Station, counts: Counts) -> None:
    """They are as large as may be, and read to their end: nothing before it tells that the signature is another one."""
    secret = f"whsec_{'A' * 43}="

    def send(number: int) -> int:
        attack = Maker(secret, counts.seed, number).signed("of another secret", b" " * LIMIT, "never")
        return status_of(black_box.port, attack)

    with ThreadPoolExecutor(CONNECTIONS) as pool:
        told = set(pool.map(send, range(WARM_UP // 10)))
        before = black_box.memory()
        told |= set(pool.map(send, range(REFUSED)))
    assert told == {401}
    grown = black_box.memory() - before
    assert grown < _growth(black_box, REFUSED) < REFUSED * MIB, f"{grown // MIB} MiB more than before"


# Tokens: the apps here have an issuer and an audience set


def _claims(**changes: Any) -> dict[str, Any]:
    now = int(time.time())
    made = {"sub": "u-abuse", "iat": now - 5, "exp": now + 600, "iss": ISSUER, "aud": AUDIENCE, **changes}
    return {name: value for name, value in made.items() if value is not None}


def _plain(part: Mapping[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode()


def _swapped_claims(secret: str) -> str:
    """The signature of one user's token under another user's claims."""
    header, _, signature = token(_claims(), secret).split(".")
    return f"{header}.{_plain(_claims(sub='admin'))}.{signature}"


HOUR = 3600
BAD_TOKENS: dict[str, Callable[[str], str]] = {
    "another audience": lambda secret: token(_claims(aud="someone"), secret),
    "audiences without ours": lambda secret: token(_claims(aud=["a", "b"]), secret),
    "no audience": lambda secret: token(_claims(aud=None), secret),
    "an empty audience": lambda secret: token(_claims(aud=""), secret),
    "an audience that begins so": lambda secret: token(_claims(aud=AUDIENCE + "x"), secret),
    "an audience in the other case": lambda secret: token(_claims(aud=AUDIENCE.upper()), secret),
    "an audience that is an object": lambda secret: token(_claims(aud={AUDIENCE: AUDIENCE}), secret),
    "another issuer": lambda secret: token(_claims(iss="https://evil.example"), secret),
    "no issuer": lambda secret: token(_claims(iss=None), secret),
    "a list of issuers": lambda secret: token(_claims(iss=[ISSUER]), secret),
    "an issuer with a slash more": lambda secret: token(_claims(iss=ISSUER + "/"), secret),
    "expired": lambda secret: token(_claims(exp=int(time.time()) - HOUR), secret),
    "expired, negative": lambda secret: token(_claims(exp=-1), secret),
    "never expires": lambda secret: token(_claims(exp=None), secret),
    "not yet": lambda secret: token(_claims(nbf=int(time.time()) + HOUR), secret),
    "forged": lambda secret: token(_claims(), "0" * 64),
    "an empty key": lambda secret: token(_claims(), ""),
    "claims swapped": _swapped_claims,
    "alg none": lambda secret: token(_claims(), secret, header={"alg": "none"}, sign=False),
    "alg nOnE": lambda secret: token(_claims(), secret, header={"alg": "nOnE"}, sign=False),
    "alg empty": lambda secret: token(_claims(), secret, header={"alg": ""}, sign=False),
    "alg is a list": lambda secret: token(_claims(), secret, header={"alg": ["HS256"]}),
    "alg HS384": lambda secret: token(_claims(), secret, header={"alg": "HS384"}, digest="sha384"),
    "alg ES256": lambda secret: token(_claims(), secret, header={"alg": "ES256"}),
    "a key of its own": lambda secret: token(
        _claims(), "k", header={"alg": "HS256", "jwk": {"kty": "oct", "k": "aw"}, "jku": "http://127.0.0.1:1/"}
    ),
    "a critical extension": lambda secret: token(_claims(), secret, header={"alg": "HS256", "crit": ["exp"]}),
    "a user that is a number": lambda secret: token(_claims(sub=7), secret),
    "a user that is empty": lambda secret: token(_claims(sub=""), secret),
    "a user of 256 characters": lambda secret: token(_claims(sub="x" * 256), secret),
    "no user": lambda secret: token(_claims(sub=None), secret),
    "dots": lambda secret: "..",
    "four parts": lambda secret: token(_claims(), secret) + ".x",
    "five parts": lambda secret: "a.b.c.d.e",
    "padding": lambda secret: token(_claims(), secret) + "==",
    "no base64": lambda secret: "!!!.???.***",
    "binary": lambda secret: ".".join([base64.urlsafe_b64encode(b"\xff\x00\xfe").decode()] * 3),
    "huge": lambda secret: "x" * 12_000,
    "deep": lambda secret: base64.urlsafe_b64encode(b"[" * 4000).rstrip(b"=").decode() + ".e30.x",
    "an exponent": lambda secret: f"{_plain({'alg': 'HS256'})}.{base64.urlsafe_b64encode(b'{1e999}').decode()}.x",
}


@pytest.mark.parametrize("name", BAD_TOKENS)
def test_a_token_that_is_not_for_us_opens_nothing(black_box: Station, name: str) -> None:
    headers = {"authorization": f"Bearer {BAD_TOKENS[name](black_box.jwt_secret)}"}
    answer = httpx.get(f"{black_box.base}/billing/access", headers=headers, timeout=30)
    assert answer.status_code == 401, answer.text
    assert answer.json()["error"] == "unauthorized"


def test_a_right_token_opens(black_box: Station) -> None:
    """The refusals above are about what is wrong in each, not about these apps' settings."""
    for claims in (_claims(), _claims(aud=["other", AUDIENCE])):
        headers = {"authorization": f"Bearer {token(claims, black_box.jwt_secret)}"}
        assert httpx.get(f"{black_box.base}/billing/access", headers=headers, timeout=30).status_code == 200


# Addresses: nothing that a client says leads a buyer elsewhere

PATHS = (
    *("///evil.example", "/\t/evil.example", "/\n/evil.example", "/\r//evil.example", "/\\/evil.example"),
    *("\\\\evil.example", "\\/evil.example", " //evil.example", "\t//evil.example", "\u3000//evil.example"),
    *("/%2f%2fevil.example", "/%5cevil.example", "/%09/evil.example", "/\u2028/evil.example", "/\u2215evil.example"),
    *("/.//evil.example", "/..//evil.example", "/..\\evil.example", "/;@evil.example", "/:80@evil.example"),
    *("http:evil.example", "//evil.example:443/", "javascript:alert(1)", "data:text/html,x", "https:/evil.example"),
    *("/?next=//evil.example", "/#//evil.example", "@evil.example", ".evil.example", ":1@evil.example", "/\x00//evil"),
)
FOREIGN = ("success_url", "return_url", "redirect_url", "url", "embed_origin", "cancel_url", "next", "customer_id")


@pytest.mark.parametrize("path", PATHS, ids=ascii)
def test_a_path_stays_on_the_apps_origin(black_box: Station, path: str) -> None:
    headers = black_box.bearer(f"path-{PATHS.index(path)}")
    body = {"product": "lifetime", "path": path}
    answer = httpx.post(f"{black_box.base}/billing/checkout", json=body, headers=headers, timeout=30)
    if answer.status_code == 400:
        assert answer.json()["error"] == "invalid_body"
        return
    assert answer.status_code == 201, answer.text
    _stays(black_box, black_box.polar.checkouts[answer.json()["id"]])


def _stays(app: Station, checkout: dict[str, Any]) -> None:
    for name in ("success_url", "return_url"):
        if checkout[name] is not None:
            # As a browser reads it: without tabs and line ends, a backslash for a slash.
            seen = checkout[name].translate({9: None, 10: None, 13: None}).replace("\\", "/")
            assert urlsplit(seen)[:2] == urlsplit(app.base)[:2], name


@pytest.mark.parametrize("name", FOREIGN)
@pytest.mark.parametrize("route", ["checkout", "portal"])
def test_an_address_or_customer_of_the_clients_own_is_refused(black_box: Station, route: str, name: str) -> None:
    body = {"product": "lifetime"} if route == "checkout" else {}
    headers = black_box.bearer(f"foreign-{name}")
    sent = {**body, name: "https://evil.example"}
    answer = httpx.post(f"{black_box.base}/billing/{route}", json=sent, headers=headers, timeout=30)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_body")


@pytest.mark.parametrize("header", ["host", "x-forwarded-host", "forwarded", "x-original-url", "origin", "referer"])
def test_a_header_does_not_move_the_app(black_box: Station, header: str) -> None:
    value = "host=evil.example" if header == "forwarded" else "evil.example"
    headers = {**black_box.bearer(f"moved-{header}"), header: value, "x-forwarded-proto": "https"}
    answer = httpx.post(f"{black_box.base}/billing/checkout", json={"product": "lifetime"}, headers=headers, timeout=30)
    assert answer.status_code < 500
    if answer.status_code == 201:
        _stays(black_box, black_box.polar.checkouts[answer.json()["id"]])
