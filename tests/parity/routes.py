"""Steps of clients: signing in, buying, changing, the portal, a Polar that fails, addresses and methods, CORS."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from tests.catalogues import identifier
from tests.parity.step import (
    FREE,
    LIFETIME,
    MONTHLY,
    NOBODY,
    NOW,
    ORIGIN,
    PREMIUM,
    Json,
    Step,
    deliver,
    get,
    post,
    token,
)
from tests.parity.story import Story
from tests.polar_server import WEB_PAGE, Answer, rate_limited
from tests.support import polar_runtime
from tests.support.events import Customer, event
from tests.support.polar_runtime import PolarRuntime, made_id


def catalogue_and_operations() -> Iterator[Step]:
    plans = {"currency": "usd", "products.1.key": "pro_monthly", "products.1.prices.0.amount": 1900}
    yield get("plans", "/billing/plans", expected=plans)
    yield get("plans with a bad token", "/billing/plans?x=1", expected=plans)
    yield get("health", "/healthz", expected={"status": "ok"})
    yield get("a new user's access", "/billing/access", "u-new", expected={"access": False, "reason": "none"})
    yield get("a new user's account", "/billing/account", "u-new", expected={"customer": None, "orders": []})


def sign_in() -> Iterator[Step]:
    def claims(**changes: Any) -> Json:
        now = int(time.time())
        made = {"sub": "u-new", "iat": now - 5, "exp": now + 600, **changes}
        return {name: value for name, value in made.items() if value != "missing"}

    def soon(seconds: float = 600) -> float:
        return int(time.time()) + seconds

    bad: dict[str, Callable[[], str]] = {
        "empty": lambda: "",
        "no token": lambda: "Bearer",
        "no JWT": lambda: "Bearer abc",
        "two parts": lambda: "Bearer a.b",
        "other scheme": lambda: f"Basic {token(claims())}",
        "no scheme": lambda: token(claims()),
        "two tokens": lambda: f"Bearer {token(claims())} {token(claims())}",
        "wrong key": lambda: f"Bearer {token(claims(), 'x' * 64)}",
        "no signature": lambda: f"Bearer {token(claims(), sign=False)}",
        "alg none": lambda: f"Bearer {token(claims(), header={'alg': 'none'}, sign=False)}",
        "alg None, signed": lambda: f"Bearer {token(claims(), header={'alg': 'None'})}",
        "alg HS512": lambda: f"Bearer {token(claims(), header={'alg': 'HS512'}, digest='sha512')}",
        "alg RS256": lambda: f"Bearer {token(claims(), header={'alg': 'RS256'})}",
        "no alg": lambda: f"Bearer {token(claims(), header={'typ': 'JWT'})}",
        "header is a list": lambda: f"Bearer {token(claims(), header=[])}",  # type: ignore[arg-type]
        "unknown crit": lambda: f"Bearer {token(claims(), header={'alg': 'HS256', 'crit': ['x'], 'x': 1})}",
        "expired": lambda: f"Bearer {token(claims(exp=soon(-60)))}",
        "expired just now": lambda: f"Bearer {token(claims(exp=soon(-10)))}",
        "no exp": lambda: f"Bearer {token(claims(exp='missing'))}",
        "exp is text": lambda: f"Bearer {token(claims(exp=str(soon())))}",
        "exp is true": lambda: f"Bearer {token(claims(exp=True))}",
        "not yet": lambda: f"Bearer {token(claims(nbf=soon()))}",
        "issued in the future": lambda: f"Bearer {token(claims(iat=soon()))}",
        "nbf is text": lambda: f"Bearer {token(claims(nbf='now'))}",
        "iat is text": lambda: f"Bearer {token(claims(iat='now'))}",
        "no sub": lambda: f"Bearer {token(claims(sub='missing'))}",
        "claims are a list": lambda: f"Bearer {token([])}",  # type: ignore[arg-type]
    }
    refused = {"error": "unauthorized"}
    for name, header in bad.items():
        yield Step(f"sign-in: {name}", 401, "GET", "/billing/access", headers=_authorization(header), expected=refused)
    good: dict[str, Callable[[], str]] = {
        "lower-case scheme": lambda: f"bearer {token(claims())}",
        "two spaces": lambda: f"Bearer  {token(claims())}",
        "no typ": lambda: f"Bearer {token(claims(), header={'alg': 'HS256'})}",
        "a kid": lambda: f"Bearer {token(claims(), header={'alg': 'HS256', 'kid': 'x'})}",
        "a fraction of a second": lambda: f"Bearer {token(claims(exp=soon(600.5)))}",
        "no iat": lambda: f"Bearer {token(claims(iat='missing'))}",
        "an audience and an issuer": lambda: f"Bearer {token(claims(aud='someone', iss='somebody'))}",
        "a list of audiences": lambda: f"Bearer {token(claims(aud=['a', 'b']))}",
        "issued by a clock that is ahead": lambda: f"Bearer {token(claims(iat=soon(3)))}",
        "a large token": lambda: f"Bearer {token(claims(note='x' * 6000))}",
    }
    for name, header in good.items():
        yield Step(f"sign-in: {name}", 200, "GET", "/billing/access", headers=_authorization(header))
    yield Step("sign-in: none", 401, "GET", "/billing/access", expected=refused)
    yield Step("sign-in: in the query", 401, "GET", f"/billing/access?token={token(claims())}", expected=refused)
    for path in ("/billing/checkout", "/billing/portal", "/billing/subscription/cancel"):
        yield post(f"sign-in: none and a bad body at {path}", path, None, b"{", 401, expected=refused)
    for path in ("/billing/account", f"/billing/checkout/{NOBODY}"):
        yield Step(f"sign-in: none at {path}", 401, "GET", path, expected=refused)
    yield Step("sign-in: none at the premium route", 401, "GET", f"{PREMIUM}/hello", expected=refused)


def _authorization(value: Callable[[], str]) -> Callable[[], dict[str, str]]:
    return lambda: {"authorization": value()}


def user_ids() -> Iterator[Step]:
    good = {
        "a path": "user/2 é+%",
        "dots": "..",
        "a dot": ".",
        "a query": "?a=b&c#d",
        "SQL": "'; DROP TABLE billing_customers; --",
        "spaces": "  a b  ",
        "an emoji": "😀",
        "Arabic": "مستخدم",
        "null": "null",
        "255 characters": "x" * 255,
        "255 letters of two bytes": "é" * 255,
        "127 emoji": "😀" * 127,
        "a line separator": "a\u2028b",
        "a zero-width space": "\u200b",
    }
    bad: dict[str, Any] = {
        "empty": "",
        "256 characters": "x" * 256,
        "a line feed": "a\nb",
        "NUL": "a\x00b",
        "delete": "a\x7fb",
        "next line": "a\x85b",
        "half an emoji": "a\ud800b",
        "a number": 7,
        "true": True,
        "a list": ["a"],
        "none": None,
    }
    for name, user in good.items():
        yield get(f"user id: {name}", "/billing/account", user, expected={"access.reason": "none"})
        body, email = {"product": "lifetime"}, f"{hashlib.sha256(user.encode()).hexdigest()[:9]}@example.com"
        yield post(f"user id: {name} buys", "/billing/checkout", user, body, 201, claims={"email": email})
        sold = Customer(user, NOW + dt.timedelta(minutes=1), f"the one with {name}").order(LIFETIME)
        yield deliver(f"user id: {name} has paid", event("order.paid", NOW, sold))
        yield get(f"user id: {name} has access", f"{PREMIUM}/hello", user)
    for name, user in bad.items():
        yield get(f"user id: {name}", "/billing/account", user, 401, expected={"error": "unauthorized"})
    emoji = "😀" * 128
    yield get("user id: 128 emoji", "/billing/account", emoji, 200)


def checkout_choices() -> Iterator[Step]:
    """What a user may choose; each user once, since the number of checkouts per minute is limited."""
    good: dict[str, Json] = {
        "monthly": {"product": "pro_monthly"},
        "free": {"product": "free"},
        "lifetime": {"product": "lifetime"},
        "any amount": {"product": "pay_what_you_want"},
        "least amount": {"product": "pay_what_you_want", "amount": 500},
        "most": {"product": "pay_what_you_want", "amount": 100_000},
        "locale": {"product": "lifetime", "locale": "fr"},
        "locale and region": {"product": "lifetime", "locale": "pt-BR"},
        "path": {"product": "lifetime", "path": "/thanks"},
        "path with query": {"product": "lifetime", "path": "/thanks?a=b&c=%20d"},
        "path with fragment": {"product": "lifetime", "path": "/thanks#top"},
        "path with an empty query": {"product": "lifetime", "path": "/thanks?"},
        "root": {"product": "lifetime", "path": "/"},
        "path with letters": {"product": "lifetime", "path": "/danke schön/😀"},
        "path with percent": {"product": "lifetime", "path": "/100%"},
        "path with quotes": {"product": "lifetime", "path": "/a\"b'c<d>e|f^g`h{i}"},
        "path with dots": {"product": "lifetime", "path": "/a/../b/./c"},
        "path that leaves by dots": {"product": "lifetime", "path": "/..//evil.example"},
        "path with at": {"product": "lifetime", "path": "/@evil.example"},
        "path with a later backslash": {"product": "lifetime", "path": "/a\\b"},
        "path with two later slashes": {"product": "lifetime", "path": "/a//evil.example"},
        "path with an id": {"product": "lifetime", "path": "/x?checkout_id=1"},
        "longest path": {"product": "lifetime", "path": "/" + "x" * 511},
    }
    for number, (name, body) in enumerate(good.items()):
        yield post(f"checkout: {name}", "/billing/checkout", f"u-choice-{number}", body, 201)
    bad: dict[str, Json] = {
        "amount too low": {"product": "pay_what_you_want", "amount": 499},
        "amount too high": {"product": "pay_what_you_want", "amount": 100_001},
        "amount below zero": {"product": "pay_what_you_want", "amount": -1},
        "amount for a fixed price": {"product": "lifetime", "amount": 500},
        "amount is text": {"product": "pay_what_you_want", "amount": "500"},
        "amount is true": {"product": "pay_what_you_want", "amount": True},
        "amount is a fraction": {"product": "pay_what_you_want", "amount": 500.5},
        "amount is huge": {"product": "pay_what_you_want", "amount": 10**20},
        "locale with underscore": {"product": "lifetime", "locale": "fr_FR"},
        "locale is empty": {"product": "lifetime", "locale": ""},
        "locale with line feed": {"product": "lifetime", "locale": "fr\n"},
        "locale is a number": {"product": "lifetime", "locale": 7},
        "path to another host": {"product": "lifetime", "path": "//evil.example"},
        "path with backslash": {"product": "lifetime", "path": "/\\evil.example"},
        "path is an address": {"product": "lifetime", "path": "https://evil.example"},
        "path with tab": {"product": "lifetime", "path": "/\t/evil.example"},
        "path without slash": {"product": "lifetime", "path": "thanks"},
        "path is empty": {"product": "lifetime", "path": ""},
        "path with line feed": {"product": "lifetime", "path": "/a\n"},
        "path with next line": {"product": "lifetime", "path": "/\x85"},
        "path with half an emoji": {"product": "lifetime", "path": "/\ud800"},
        "path too long": {"product": "lifetime", "path": "/" + "x" * 512},
        "not for sale": {"product": "team"},
        "product is a number": {"product": 7},
        "product is null": {"product": None},
        "product is empty": {"product": ""},
        "no product": {"locale": "fr"},
        "unknown key": {"product": "lifetime", "discount": "x"},
        "customer": {"product": "lifetime", "customer_id": NOBODY},
        "user": {"product": "lifetime", "external_customer_id": "u-cycle"},
        "prototype": {"product": "lifetime", "__proto__": {"amount": 1}},
    }
    for name, body in bad.items():
        status, code = (404, "not_found") if name == "not for sale" else (400, "invalid_body")
        user = "u-bad-" + hashlib.sha256(name.encode()).hexdigest()[:6]
        yield post(f"checkout: {name}", "/billing/checkout", user, body, status, expected={"error": code})
    for key in ("nothing", "__proto__", "constructor", "PRO_MONTHLY", "pro_monthly ", MONTHLY["id"], "x" * 100):
        body = {"product": key}
        missing = {"error": "not_found"}
        yield post(f"checkout: product {key[:20]!r}", "/billing/checkout", "u-choosy", body, 404, expected=missing)


def checkout_bodies() -> Iterator[Step]:
    good = b'{"product":"lifetime"}'
    invalid = {"error": "invalid_body"}
    bad: dict[str, bytes] = {
        "empty": b"",
        "no JSON": b"{",
        "a list": b"[]",
        "null": b"null",
        "text": b'"lifetime"',
        "trailing comma": b'{"product":"lifetime",}',
        "NaN": b'{"product":"pay_what_you_want","amount":NaN}',
        "infinity": b'{"product":"pay_what_you_want","amount":1e400}',
        "no UTF-8": b'{"product":"\xff"}',
        "two bodies": good + good,
        "deep": b"[" * 8000,
        "form": b"product=lifetime",
    }
    for name, raw in bad.items():
        yield post(f"body: {name}", "/billing/checkout", "u-body", raw, 400, expected=invalid)
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "json", ""):
        extra = {"content-type": kind}
        yield post(f"body: as {kind!r}", "/billing/checkout", "u-body", good, 400, extra=extra, expected=invalid)
    yield post("body: as nothing", "/billing/checkout", "u-body", good, 400, extra={}, expected=invalid)
    suffixed = {"content-type": "application/merge-patch+json"}
    yield post("body: as a patch", "/billing/checkout", "u-body", good, 400, extra=suffixed, expected=invalid)
    for kind in ("application/json; charset=utf-8", "APPLICATION/JSON", "application/json;x=y", "application/json ;"):
        user = "u-body-" + hashlib.sha256(kind.encode()).hexdigest()[:6]
        yield post(f"body: as {kind!r}", "/billing/checkout", user, good, 201, extra={"content-type": kind})
    spaced = b" " * (16 * 1024 - len(good)) + good
    yield post("body: just below the limit", "/billing/checkout", "u-body-1", spaced, 201)
    large = {"error": "body_too_large"}
    yield post("body: over the limit", "/billing/checkout", "u-body-1", b" " + spaced, 413, expected=large)
    yield post("body: far over the limit", "/billing/checkout", "u-body-1", b" " * 300_000, 413, expected=large)
    yield post("body: byte order mark", "/billing/checkout", "u-body-2", b"\xef\xbb\xbf" + good, 400)
    twice = b'{"product":"nothing","product":"lifetime"}'
    yield post("body: a key twice", "/billing/checkout", "u-body-2", twice, 201)
    nothing = {"product": "pay_what_you_want", "amount": None, "locale": None, "path": None}
    yield post("body: null is left out", "/billing/checkout", "u-body-5", nothing, 201)
    whole = b'{"product":"pay_what_you_want","amount":500.0}'
    yield post("body: a whole number with a point", "/billing/checkout", "u-body-3", whole, 201)
    power = b'{"product":"pay_what_you_want","amount":1e3}'
    yield post("body: a whole number with an exponent", "/billing/checkout", "u-body-4", power, 201)
    many = json.dumps({f"key{number}": 1 for number in range(20)}).encode()
    yield post("body: many unknown keys", "/billing/checkout", "u-body", many, 400, expected=invalid)
    odd = json.dumps({"ключ\u2028\x00" * 20: 1}).encode()
    yield post("body: an odd unknown key", "/billing/checkout", "u-body", odd, 400, expected=invalid)
    no_keys = {"subscription": NOBODY}
    yield post("body: keys for the portal", "/billing/portal", "u-body", no_keys, 400, expected=invalid)


def checkout_customers() -> Iterator[Step]:
    body = {"product": "lifetime"}

    def buys(name: str, user: str, status: int = 201, product: str = "lifetime", **more: Any) -> Step:
        return post(f"customer: {name}", "/billing/checkout", user, {"product": product}, status, **more)

    yield buys("made first", "u-mail", claims={"email": "mail@example.com", "name": "Ann"})
    known = {"customer.email": "mail@example.com", "customer.name": "Ann", "customer.external_id": "u-mail"}
    yield get("customer: in the account", "/billing/account", "u-mail", expected=known)
    yield buys("known by now", "u-mail", claims={"email": "other@example.com"})
    yield buys("unverified e-mail", "u-mail-2", claims={"email": "mail2@example.com", "email_verified": False})
    yield buys("verified e-mail", "u-mail-3", claims={"email": "mail3@example.com", "email_verified": True})
    yield buys("e-mail verified as text", "u-mail-4", claims={"email": "mail4@example.com", "email_verified": "false"})
    yield buys("no e-mail address", "u-mail-5", claims={"email": "nothing"})
    yield buys("e-mail is a number", "u-mail-6", claims={"email": 7, "name": 7})
    yield buys("empty name", "u-mail-7", claims={"email": "mail7@example.com", "name": ""})
    yield buys("long name", "u-mail-8", claims={"email": "mail8@example.com", "name": "n" * 300})
    taken, unlinked = {"email": "mail@example.com"}, {"error": "customer_unlinked"}
    yield buys("e-mail of another", "u-thief", 409, claims=taken, expected=unlinked)
    yield buys("e-mail of another, with a slash", "u/thief", 409, claims=taken, expected=unlinked)
    yield buys("e-mail of another, with a percent", "u%2Fthief é", 409, claims=taken, expected=unlinked)

    def remembers(polar: PolarRuntime, user: str, email: str) -> None:
        polar.add_customer(user, email)

    own = "own@example.com"
    for name, user in (("by id", "u-own"), ("with a slash", "u/own"), ("with odd letters", "u own é+%?")):
        email = hashlib.sha256(user.encode()).hexdigest()[:9] + own

        def known_at_polar(polar: PolarRuntime, user: str = user, email: str = email) -> None:
            remembers(polar, user, email)

        yield buys(f"at Polar already, {name}", user, claims={"email": email}, prepare=known_at_polar)
        account = {"customer.external_id": user, "customer.email": email}
        yield get(f"customer: found {name}", "/billing/account", user, expected=account)
    moved = "u-moved"
    yield buys(
        "at Polar already, with another e-mail",
        moved,
        claims={"email": "moved-2@example.com"},
        prepare=lambda polar: remembers(polar, moved, "moved-1@example.com"),
    )
    there = {"customer.external_id": moved}
    yield get("customer: found with another e-mail", "/billing/account", moved, expected=there)
    yield post("customer: portal with another e-mail", "/billing/portal", moved, {}, 201)
    held = {"error": "has_subscription"}
    yield buys("a second plan", "u-several", 409, "pro_yearly", expected=held)
    yield buys("the same plan", "u-several", 409, "pro_monthly", expected=held)
    yield buys("one-time beside a plan", "u-several")
    yield buys("a plan instead of the free one", "u-free", 201, "pro_monthly")
    yield buys("the free plan again", "u-free", 409, "free", expected=held)
    yield buys("a plan after a pause", "u-pause", 409, "pro_monthly", expected=held)
    limited = {"error": "rate_limited"}
    yield post("customer: too often", "/billing/checkout", "u-eager", body, 429, expected=limited, times=11)


def checkout_states() -> Iterator[Step]:
    mine = made_id("checkout", "u-buyer", 1)

    def at_polar(**changes: Any) -> Callable[[PolarRuntime], None]:
        return lambda polar: polar.checkouts[mine].update(changes)

    path = f"/billing/checkout/{mine}"
    yield post("state: bought", "/billing/checkout", "u-buyer", {"product": "lifetime"}, 201, expected={"id": mine})
    yield get("state: pending", path, "u-buyer", expected={"state": "pending", "access": False}, pause=2.1)
    confirmed = at_polar(status="confirmed")
    yield get("state: not asked again at once", path, "u-buyer", expected={"state": "pending"}, prepare=confirmed)
    yield get("state: confirmed", path, "u-buyer", expected={"state": "confirmed"}, pause=2.1)
    failing: dict[str, Answer] = {"broken": polar_runtime.BROKEN, "a web page": WEB_PAGE, "busy": rate_limited(7)}
    for name, answer in failing.items():

        def fails(polar: PolarRuntime, answer: Answer = answer) -> None:
            polar.next_answers.append(answer)

        kept = {"state": "confirmed"}
        yield get(f"state: Polar is {name}", path, "u-buyer", expected=kept, prepare=fails, pause=2.1)
        yield get(f"state: Polar was {name}", path, "u-buyer", expected=kept, prepare=_forget_faults)
    unheard = at_polar(status="unheard_of")
    yield get("state: unknown at Polar", path, "u-buyer", expected={"state": "confirmed"}, prepare=unheard, pause=2.1)
    done = at_polar(status="succeeded")
    yield get(
        "state: succeeded, and no purchase yet",
        path,
        "u-buyer",
        expected={"state": "confirmed"},
        prepare=done,
        pause=2.1,
    )
    missing = {"error": "not_found"}
    yield get("state: of another user", path, "u-new", 404, expected=missing)
    yield get("state: unknown", f"/billing/checkout/{NOBODY}", "u-buyer", 404, expected=missing)
    for odd in ("x", mine.upper(), mine + "x", "%00", "..%2F..", "%27--"):
        yield get(f"state: {odd[:9]!r}", f"/billing/checkout/{odd}", "u-buyer", 404, expected=missing)
    told = {
        "id": made_id("checkout", "u-choice-1", 1),
        "status": "expired",
        "metadata": {"app_user_id": "u-choice-1"},
        "created_at": polar_runtime.instant(NOW),
        "modified_at": None,
        "customer_id": None,
        "product_id": FREE["id"],
    }
    yield deliver("state: expired by event", event("checkout.expired", NOW, told))
    yield get("state: expired", f"/billing/checkout/{told['id']}", "u-choice-1", expected={"state": "expired"})
    foreign = {**told, "id": identifier("foreign checkout"), "metadata": {"app_user_id": "u-link"}, "status": "failed"}
    yield deliver("state: made elsewhere", event("checkout.updated", NOW, foreign))
    yield get("state: failed", f"/billing/checkout/{foreign['id']}", "u-link", expected={"state": "failed"})


def _forget_faults(polar: PolarRuntime) -> None:
    polar.next_answers.clear()


ACTIONS = ("change", "cancel", "uncancel", "resume", "revoke")


def changes() -> Iterator[Step]:
    story = Story("u-change", 3)
    held = story.buyer.subscription(MONTHLY)
    yield from story.tell("bought", "subscription.created", held).then("active", True).steps
    own = {"subscription": held["id"]}

    def known(polar: PolarRuntime) -> None:
        polar.subscriptions[held["id"]] = dict(held)

    def change(name: str, status: int = 200, action: str = "change", **more: Any) -> Step:
        body = more.pop("body", {**own, "product": "pro_yearly"} if action == "change" else own)
        user = more.pop("user", "u-change")
        return post(f"change: {name}", f"/billing/subscription/{action}", user, body, status, **more)

    yield change("to yearly", expected={"key": "pro_yearly", "amount": 19000, "id": held["id"]}, prepare=known)
    yield change("cancel", action="cancel", expected={"cancel_at_period_end": True})
    state = {"error": "subscription_state"}
    yield change("cancel twice", 409, "cancel", expected=state)
    yield change("uncancel", action="uncancel", expected={"cancel_at_period_end": False, "ends_at": None})
    yield get(
        "change: Polar's answer is stored", "/billing/account", "u-change", expected={"subscriptions.0.amount": 19000}
    )
    missing, invalid = {"error": "not_found"}, {"error": "invalid_body"}
    yield change("of another user", 404, user="u-new", expected=missing)
    yield change("cancel of another user", 404, "cancel", user="u-new", expected=missing)
    yield change("unknown subscription", 404, body={"subscription": NOBODY, "product": "free"}, expected=missing)
    yield change("unknown product", 404, body={**own, "product": "nothing"}, expected=missing)
    yield change("to a one-time product", 400, body={**own, "product": "lifetime"}, expected=invalid)
    for name, body in (
        ("no product", own),
        ("no subscription", {"product": "free"}),
        ("unknown key", {**own, "product": "free", "prorate": False}),
        ("a number", {"subscription": 7, "product": "free"}),
        ("null", {"subscription": None, "product": "free"}),
        ("empty", {"subscription": "", "product": "free"}),
        ("too long", {"subscription": "x" * 101, "product": "free"}),
        ("product is a list", {**own, "product": ["free"]}),
    ):
        yield change(f"body, {name}", 400, body=body, expected=invalid)
    yield change("cancel with a product", 400, "cancel", body={**own, "product": "free"}, expected=invalid)
    yield change("cancel without a body", 400, "cancel", body=b"", expected=invalid)
    for name, answer, status, code in (
        ("declined", polar_runtime.DECLINED, 402, "payment_failed"),
        ("locked", Answer(409, {"error": "SubscriptionLocked", "detail": "x"}), 409, "subscription_state"),
        ("refused", polar_runtime.refused(["product_id"], "x", "y"), 409, "subscription_state"),
        ("forbidden to the token", polar_runtime.NO_SCOPE, 502, "polar_error"),
        ("gone at Polar", polar_runtime.GONE, 404, "not_found"),
        ("an API version that is over", Answer(404, {"detail": "Not Found"}), 502, "polar_error"),
        ("busy", rate_limited(7), 503, "unavailable"),
        ("busy for an unknown time", Answer(429, "", {}), 503, "unavailable"),
        ("busy until a date", Answer(429, "", {"retry-after": "Wed, 21 Oct 2026 07:28:00 GMT"}), 503, "unavailable"),
        ("unauthorized", Answer(401, {"error": "invalid_token"}), 502, "polar_error"),
        ("broken", polar_runtime.BROKEN, 502, "polar_error"),
        ("a web page", WEB_PAGE, 502, "polar_error"),
        ("a list", Answer(200, []), 502, "polar_error"),
        ("an empty object", Answer(200, {}), 502, "polar_error"),
        ("nothing", Answer(200, ""), 502, "polar_error"),
    ):

        def fails(polar: PolarRuntime, answer: Answer = answer) -> None:
            polar.next_answers[:] = [answer]

        # A user of their own for each: the number of changes per minute is limited.
        other = Story(f"u-change {name}", 3)
        having = other.buyer.subscription(MONTHLY)
        yield from other.tell("bought", "subscription.created", having).steps
        for action in ACTIONS:
            body = {"subscription": having["id"], **({"product": "pro_yearly"} if action == "change" else {})}
            told = {"user": other.user, "body": body, "expected": {"error": code}, "prepare": fails}
            yield change(f"{action}, Polar answers: {name}", status, action, **told)
    for action in ACTIONS:
        yield change(f"{action} by nobody", 401, action, user=None, expected={"error": "unauthorized"})
        large = {"error": "body_too_large"}
        yield change(f"{action} with a large body", 413, action, body=b" " * 20_000, expected=large)
    for action in ("uncancel", "resume", "revoke"):
        yield change(f"{action} of another user", 404, action, user="u-others", expected=missing)
        yield change(f"{action} with a product", 400, action, body={**own, "product": "free"}, expected=invalid)
    yield from _resumed_and_revoked()
    limited = {"error": "rate_limited"}
    for action in ACTIONS:
        yield change(f"{action} too often", 429, action, user="u-hasty", expected=limited, times=11)
    done = Story("u-over", 3)
    over = {**done.buyer.subscription(MONTHLY), "status": "canceled", "ended_at": done.buyer.at(2)}
    yield replace(deliver("change: over", event("subscription.revoked", NOW, over)), prepare=_forget_faults)
    yield change(
        "of one that is over", 404, "cancel", user=done.user, body={"subscription": over["id"]}, expected=missing
    )


def _resumed_and_revoked() -> Iterator[Step]:
    """One that is paused goes on, then ends at once."""
    story = Story("u-resume", 3)
    held = {**story.buyer.subscription(MONTHLY), "status": "paused"}
    yield from story.tell("paused", "subscription.paused", held).then("paused").steps
    own = {"subscription": held["id"]}

    def known(polar: PolarRuntime) -> None:
        polar.next_answers.clear()
        polar.subscriptions[held["id"]] = dict(held)

    def stored(name: str, reason: str) -> Step:
        return get(name, "/billing/account", story.user, expected={"access.reason": reason})

    going_on, ended = {"id": held["id"], "status": "active"}, {"id": held["id"], "status": "canceled"}
    resume, revoke = "/billing/subscription/resume", "/billing/subscription/revoke"
    yield post("change: resume", resume, story.user, own, 200, expected=going_on, prepare=known)
    yield stored("change: resumed", "active")
    yield post("change: revoke", revoke, story.user, own, 200, expected=ended)
    yield stored("change: revoked", "canceled")


def portals() -> Iterator[Step]:
    yield post("portal: opened", "/billing/portal", "u-mail", {}, 201)
    yield post("portal: without a body", "/billing/portal", "u-mail", b"", 201, extra={})
    yield post("portal: without a customer", "/billing/portal", "u-new", {}, 409, expected={"error": "no_customer"})
    yield post("portal: unknown at Polar", "/billing/portal", "u-once", {}, 409, expected={"error": "no_customer"})
    yield post("portal: after the end", "/billing/portal", "u-anonymous", {}, 409, expected={"error": "no_customer"})
    invalid = {"error": "invalid_body"}
    stolen = {"customer_id": NOBODY}
    yield post("portal: of another", "/billing/portal", "u-mail", stolen, 400, expected=invalid)
    yield post("portal: a list", "/billing/portal", "u-mail", [], 400, expected=invalid)
    yield post("portal: as text", "/billing/portal", "u-mail", b"{}", 400, extra={"content-type": "text/plain"})
    yield post("portal: spaces", "/billing/portal", "u-mail", b"  ", 400, expected=invalid)
    limited = {"error": "rate_limited"}
    yield post("portal: too often", "/billing/portal", "u-own", {}, 429, expected=limited, times=11)


def faults() -> Iterator[Step]:
    unreachable = {"error": "polar_error"}
    for name, answer, status, code in (
        ("broken", polar_runtime.BROKEN, 502, "polar_error"),
        ("busy", rate_limited(9), 503, "unavailable"),
        ("a web page", WEB_PAGE, 502, "polar_error"),
        ("an object without an id", Answer(201, {"url": "https://polar.example"}), 502, "polar_error"),
        ("an object without an address", Answer(201, {"id": NOBODY}), 502, "polar_error"),
        ("a refusal", polar_runtime.refused(["products", 0], "Product is archived.", "x"), 502, "polar_error"),
        ("no scope", polar_runtime.NO_SCOPE, 502, "polar_error"),
    ):

        def fails(polar: PolarRuntime, answer: Answer = answer) -> None:
            polar.next_answers[:] = [answer]

        user = "u-fault-" + name.replace(" ", "-")
        body, more = {"product": "lifetime"}, {"expected": {"error": code}, "prepare": fails}
        yield post(f"fault: {name} at the checkout", "/billing/checkout", user, body, status, **more)
        claims = {"email": f"{user}@example.com"}
        if name not in ("an object without an address", "a refusal"):
            yield post(f"fault: {name} at the customer", "/billing/checkout", user, body, status, claims=claims, **more)
        if name not in ("an object without an id", "a refusal"):
            yield post(f"fault: {name} at the portal", "/billing/portal", "u-mail-3", {}, status, **more)

    def hangs(polar: PolarRuntime) -> None:
        polar.next_answers[:] = [Answer(200, {}, delay=8)]

    body = {"product": "lifetime"}
    yield post("fault: hangs", "/billing/checkout", "u-wait", body, 502, expected=unreachable, prepare=hangs)
    yield replace(get("fault: over", "/billing/plans"), prepare=_forget_faults)


def routing() -> Iterator[Step]:
    missing, not_allowed = {"error": "not_found"}, {"error": "method_not_allowed"}
    for path in ("/", "/nope", "/billing", "/billing/", "/billing/nope", "/webhooks", "/billing/subscription", "/%00"):
        yield get(f"route: {path}", path, status=404, expected=missing)
        yield post(f"route: POST {path}", path, None, {}, 404, expected=missing)
    odd = ("//billing/plans", "/billing//plans", "/Billing/plans")
    for path in ("/billing/plans/", "/billing/access/", "/healthz/", *odd):
        yield get(f"route: {path}", path, "u-new", 404, expected=missing)
    for path in ("/billing/checkout/", "/billing/portal/"):
        yield post(f"route: POST {path}", path, "u-new", {"product": "lifetime"}, 404, expected=missing)
    for path in ("/billing/plans", "/billing/access", "/billing/account", f"/billing/checkout/{NOBODY}", "/healthz"):
        for method in ("POST", "PUT", "DELETE", "PATCH"):
            yield Step(f"route: {method} {path}", 405, method, path, expected=not_allowed)
    posts = ("checkout", "portal", "subscription/change", "subscription/cancel", "subscription/uncancel")
    for path in (*(f"/billing/{name}" for name in posts), "/webhooks/polar", "/webhooks/polar/"):
        for method in ("GET", "PUT", "DELETE", "PATCH"):
            yield Step(f"route: {method} {path}", 405, method, path, expected=not_allowed)
    for path in ("/billing/plans", "/healthz"):
        yield Step(f"route: HEAD {path}", 200, "HEAD", path)
    yield Step("route: OPTIONS /healthz", 405, "OPTIONS", "/healthz", expected=not_allowed)
    no_access = {"error": "no_access"}
    yield get("route: unknown premium path, no access", f"{PREMIUM}/nope", "u-new", 403, expected=no_access)
    yield get("route: unknown premium path, access", f"{PREMIUM}/nope", "u-once", 404, expected=missing)
    yield get("route: unknown premium path, nobody", f"{PREMIUM}/nope", None, 401, expected={"error": "unauthorized"})
    yield get("route: the premium prefix", PREMIUM, "u-once", 404, expected=missing)
    yield get("route: the premium prefix, nobody", f"{PREMIUM}/", None, 401, expected={"error": "unauthorized"})
    yield get("route: beside the premium prefix", f"{PREMIUM}x", None, 404, expected=missing)
    yield post("route: POST to a premium route", f"{PREMIUM}/hello", "u-once", {}, 405, expected=not_allowed)
    yield post("route: POST to a premium route, no access", f"{PREMIUM}/hello", "u-new", {}, 403, expected=no_access)
    for path in (f"{PREMIUM}/hello/", f"{PREMIUM}/%68ello", f"{PREMIUM}/../premium/hello", f"{PREMIUM}//hello"):
        yield get(f"route: {path} without access", path, "u-new", 403, expected=no_access)


def cors() -> Iterator[Step]:
    def preflight(
        name: str, path: str, origin: str, granted: bool, method: str = "POST", headers: str = "authorization"
    ) -> Step:
        asked = {"origin": origin, "access-control-request-method": method, "access-control-request-headers": headers}
        return Step(f"CORS: {name}", 0, "OPTIONS", path, headers=lambda: asked, expected={"granted": granted})

    for path in ("/billing/checkout", "/billing/plans", f"{PREMIUM}/hello", "/billing/nope"):
        yield preflight(f"preflight of {path}", path, ORIGIN, True, headers="authorization, content-type")
        yield preflight(f"preflight of {path} from elsewhere", path, "https://evil.example", False)
    yield preflight("preflight of a GET", "/billing/access", ORIGIN, True, "GET")
    yield preflight("preflight of a method that is not allowed", "/billing/checkout", ORIGIN, False, "DELETE")
    yield preflight("preflight of a header that is not allowed", "/billing/checkout", ORIGIN, False, headers="x-other")
    yield preflight("preflight from null", "/billing/checkout", "null", False)
    yield preflight("preflight in the other case", "/billing/checkout", ORIGIN.upper(), False)
    for origin in (ORIGIN, "https://evil.example", "null", ORIGIN + ".evil.example"):
        yield Step(f"CORS: plans from {origin}", 200, "GET", "/billing/plans", headers=_origin(origin))
        yield Step(f"CORS: refused from {origin}", 401, "GET", "/billing/access", headers=_origin(origin))
        yield Step(f"CORS: missing from {origin}", 404, "GET", "/billing/nope", headers=_origin(origin))
        yield Step(f"CORS: health from {origin}", 200, "GET", "/healthz", headers=_origin(origin))
        yield Step(f"CORS: webhook from {origin}", 401, "POST", "/webhooks/polar", headers=_origin(origin))


def _origin(origin: str) -> Callable[[], dict[str, str]]:
    return lambda: {"origin": origin}
