"""Requests at the webhook route that nobody should send, each made from a number, and a client that sends them."""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import hmac
import json
import random
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from tests.conformance.histories import LIFETIME, MONTHLY
from tests.support.events import Customer, event

Verdict = Literal["must", "may", "never"]  # be accepted
Headers = list[tuple[bytes, bytes]]
LIMIT = 1024 * 1024
TIMEOUT = 30
# What wrangler's own proxy in front of a Worker says where the client's body breaks off: the app was asked nothing.
_NOT_THE_APP = b"Error: Network connection lost."


@dataclass(frozen=True)
class Attack:
    """Bytes to send, in parts with a pause between, and whether they may be accepted.

    `droppable`: no HTTP, or a body that is refused before its end; then a closed connection is an answer too.
    """

    name: str
    parts: tuple[bytes, ...]
    verdict: Verdict
    pause: float = 0
    droppable: bool = False


class Maker:
    """Makes the request of a number; the same one whenever it is asked."""

    def __init__(self, secret: str, seed: int, number: int) -> None:
        self.key = base64.b64decode(secret.removeprefix("whsec_"))
        self.chance = random.Random(f"{seed}/{number}")
        self.webhook_id = f"wh_fuzz_{seed}_{number}".encode()
        self.buyer = Customer(f"fuzz-{seed}-{number % 50}", _START)

    def attack(self) -> Attack:
        """Any of the kinds."""
        kinds: tuple[Callable[[], Attack], ...] = (
            self.good,
            self.odd_body,
            self.odd_body,
            self.mutated,
            self.mutated,
            self.mutated,
            self.missing_header,
            self.odd_header,
            self.odd_id,
            self.odd_time,
            self.tampered,
            self.tampered,
            self.odd_signature,
            self.odd_method,
            self.odd_framing,
        )
        if self.chance.random() < 0.02:
            return self.chance.choice((self.large, self.slow))()
        return self.chance.choice(kinds)()

    # Bodies, rightly signed

    def good(self) -> Attack:
        return self.signed("good", self.body(), "must")

    def odd_body(self) -> Attack:
        """Whatever a body can be; what is signed is accepted, and stored as failed where it cannot be read."""
        chance, whole = self.chance, self.body()
        name, body = chance.choice(
            (
                ("empty", b""),
                ("spaces", b" \r\n\t" * 50),
                ("no UTF-8", whole.replace(b'"type"', b'"\xff\xfe"')),
                ("UTF-16", whole.decode().encode("utf-16")),
                ("a BOM", b"\xef\xbb\xbf" + whole),
                ("deep lists", b"[" * 50_000 + b"]" * 50_000),
                ("deep objects", b'{"a":' * 20_000 + b"1" + b"}" * 20_000),
                ("open ends", b'{"data":' * 5_000),
                ("a huge number", b'{"type":"order.paid","timestamp":' + b"9" * 5000 + b',"data":{}}'),
                ("an infinite number", whole.replace(b'"amount": 1900', b'"amount": 1e999')),
                ("NaN", whole.replace(b"1900", b"NaN")),
                ("keys twice", whole[:-1] + b', "data": {"id": 1}, "data": null}'),
                ("cut off", whole[: chance.randrange(len(whole))]),
                ("twice", whole + whole),
                ("random bytes", chance.randbytes(chance.randrange(1, 4000))),
            )
        )
        return self.signed(f"body: {name}", body, "may")

    def mutated(self) -> Attack:
        """An event with some of its values turned into others."""
        told = json.loads(self.body())
        for _ in range(self.chance.randint(1, 3)):
            self._mutate(told if self.chance.random() < 0.15 else told.get("data"))
        return self.signed(
            "mutated", json.dumps(told, ensure_ascii=self.chance.random() < 0.7).encode(errors="replace")
        )

    def _mutate(self, told: Any) -> None:
        if not isinstance(told, dict) or not told:
            return
        name = self.chance.choice(sorted(told))
        if isinstance(told[name], dict) and self.chance.random() < 0.6:
            return self._mutate(told[name])
        told[name] = self.chance.choice(ODD_VALUES)

    def large(self) -> Attack:
        size = self.chance.choice((LIMIT + 1, LIMIT + 5000, 2 * LIMIT, 5 * LIMIT))
        attack = self.signed("larger than allowed", b" " * size, "never")
        return Attack(attack.name, attack.parts, "never", droppable=True)

    def slow(self) -> Attack:
        """A good one that comes byte by byte, or never to its end."""
        whole = b"".join(self.good().parts)
        cuts = sorted(self.chance.sample(range(1, len(whole)), 4))
        parts = tuple(whole[a:b] for a, b in zip([0, *cuts], [*cuts, len(whole)], strict=True))
        if self.chance.random() < 0.5:
            return Attack("slow", parts, "must", pause=0.3)
        return Attack("never ends", parts[:-1], "never", pause=0.2, droppable=True)

    # Headers

    def missing_header(self) -> Attack:
        body = self.body()
        gone = self.chance.choice((b"webhook-id", b"webhook-timestamp", b"webhook-signature"))
        headers = [(name, value) for name, value in self.headers(body) if name != gone]
        return Attack(f"without {gone.decode()}", (request(headers, body),), "never")

    def odd_header(self) -> Attack:
        """One of the three is there twice, or something it cannot be; or a header beside them is."""
        body, headers = self.body(), self.headers(self.body())
        name = self.chance.choice((b"webhook-id", b"webhook-timestamp", b"webhook-signature"))
        values = (b"", b"x", b"\xe9\xff", "ü".encode(), b"x" * 7000, b"0", b"null", b"' OR 1=1 --", b"v1,", b",,  ,")
        value, others = self.chance.choice(values), [(n, v) for n, v in headers if n != name]
        match self.chance.randrange(5):
            case 0:
                return Attack(f"odd {name.decode()}", (request([*others, (name, value)], body),), "never")
            case 1:
                # Joined by the server, as HTTP says, or one of the two is taken: then the signature may be right.
                return Attack(f"two of {name.decode()}", (request([*headers, (name, value)], body),), "may")
            case 2:
                huge = [*headers, (b"x-huge", b"x" * self.chance.choice((20_000, 70_000, 300_000)))]
                return Attack("a huge header", (request(huge, body),), "may", droppable=True)
            case 3:
                many = [*headers, *((b"x-%d" % number, b"y") for number in range(self.chance.choice((90, 500))))]
                return Attack("many headers", (request(many, body),), "may", droppable=True)
        control = [*others, (name, self.chance.choice((b"a\x00b", b"a\x01b", b"a\rb", b"a\nb", b"\x7f")))]
        return Attack("a control character", (request(control, body),), "never", droppable=True)

    def odd_id(self) -> Attack:
        """Rightly signed under an id that no one gives."""
        ids = (b"x" * 6000, b"'; DROP TABLE billing_orders; --", b"a b", b"{}", b"%00", b"..", b'"', b"-", b"a.b.c")
        return self.signed("odd id", self.body(), "may", webhook_id=self.chance.choice(ids))

    def odd_time(self) -> Attack:
        """Rightly signed, and sent at no time, long ago, or later."""
        now = int(time.time())
        bad = (
            *(str(now + seconds) for seconds in (-86400, -3600, -360, 360, 3600, 10**9)),
            *("0", "-1", str(-now), "9" * 30, "9" * 400, "nan", "inf", "1e400", "", "now", "0x5f5e100"),
            *(str(now * 1000), str(2**63), str(2**64), f"{now},{now}", f"-{now}", str(-(2**63) - 1)),
        )
        stamp = self.chance.choice(bad)
        if self.chance.random() < 0.3:  # odd ways to write an instant that is right
            stamp = self.chance.choice(
                (f"+{now}", f"{now}.0", f"{now}.5", f"0{now}", f"{now}e0", f"{now}x", f"{now}_0")
            )
            return self.signed("an instant in other words", self.body(), "may", stamp=stamp.encode())
        return self.signed(f"timestamp {stamp[:20]}", self.body(), "never", stamp=stamp.encode())

    def tampered(self) -> Attack:
        """One byte is another than what was signed."""
        body = self.body()
        headers = dict(self.headers(body))
        what = self.chance.choice((b"body", b"webhook-id", b"webhook-timestamp", b"webhook-signature"))
        if what == b"body":
            body = _other_byte(body, self.chance)
        elif what == b"webhook-timestamp":
            headers[what] = str(int(headers[what]) - self.chance.randint(1, 200)).encode()
        else:
            start = 3 if what == b"webhook-signature" else 0
            value = headers[what]  # its last letters of base64 may stand for the same bytes
            headers[what] = value[:start] + _other_letter(value[start:-4], self.chance) + value[-4:]
        return Attack(f"tampered {what.decode()}", (request(list(headers.items()), body),), "never")

    def odd_signature(self) -> Attack:
        """Other keys, other digests, several signatures of which none is right, and other versions."""
        body, headers = self.body(), dict(self.headers(self.body()))
        right = headers[b"webhook-signature"]
        wrong = b"v1," + base64.b64encode(self.chance.randbytes(32))
        value = self.chance.choice(
            (
                wrong,
                b" ".join([wrong] * self.chance.choice((2, 50))),
                b"v1a," + right[3:],
                b"v2," + right[3:],
                right[3:],
                b"v1," + right[3:].lower(),
                b"v1,",
                b"v1," + base64.b64encode(b""),
                b"v1," + base64.b64encode(hmac.new(b"", body, hashlib.sha256).digest()),
                b"v1," + base64.b64encode(hmac.new(self.key, body, hashlib.sha256).digest()),
                b"v1," + right[3:20],
                b"v1=" + right[3:],
            )
        )
        headers[b"webhook-signature"] = value
        return Attack("odd signature", (request(list(headers.items()), body),), "never")

    # The request itself

    def odd_method(self) -> Attack:
        body = self.body()
        methods = (b"GET", b"PUT", b"DELETE", b"PATCH", b"HEAD", b"OPTIONS")
        method = self.chance.choice(methods)
        if self.chance.random() < 0.3:
            path = self.chance.choice(
                (b"/webhooks/polar/x", b"/webhooks//polar", b"/WEBHOOKS/polar", b"/webhooks/polar%00")
            )
            return Attack(f"path {path.decode()}", (request(self.headers(body), body, path=path),), "never")
        return Attack(f"method {method.decode()}", (request(self.headers(body), body, method),), "never")

    def odd_framing(self) -> Attack:
        """Chunks, and lengths that are not true."""
        body = self.body()
        headers, chunked = self.headers(body), (b"transfer-encoding", b"chunked")
        whole = request([*headers, chunked], b"", length=False)
        sizes = (b"%x\r\n" % len(body), b"\r\n0\r\n\r\n")
        match self.chance.randrange(5):
            case 0:
                middle = self.chance.randrange(1, len(body))
                chunks = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (body[:middle], body[middle:]))
                return Attack("chunked", (whole + chunks + b"0\r\n\r\n",), "must")
            case 1:
                return Attack("chunks of no size", (whole + b"zz\r\n" + body + sizes[1],), "never", droppable=True)
            case 2:
                both = request([*headers, chunked], b"", length=False).replace(b"\r\n", b"\r\ncontent-length: 3\r\n", 1)
                return Attack("a length and chunks", (both + sizes[0] + body + sizes[1],), "may", droppable=True)
            case 3:
                short = request([*headers, (b"content-length", b"%d" % (len(body) // 2))], b"", length=False)
                return Attack("more than its length", (short + body,), "never")
        wrong = self.chance.choice((b"-1", b"abc", b"1, 2", b"9" * 30, b"+5", b""))
        lied = request([*headers, (b"content-length", wrong)], b"", length=False)
        return Attack(f"length {wrong[:5].decode()}", (lied + body,), "never", droppable=True)

    # What they are made of

    def body(self) -> bytes:
        """A good event, of a buyer that no test asks about."""
        kind, data = self.chance.choice(
            (
                ("order.paid", self.buyer.order(LIFETIME)),
                ("subscription.updated", self.buyer.subscription(MONTHLY)),
                ("benefit_grant.created", self.buyer.grant(MONTHLY["benefits"][0])),
                ("customer.updated", self.buyer.customer()),
            )
        )
        return event(kind, _START, data)

    def signed(
        self, name: str, body: bytes, verdict: Verdict = "may", webhook_id: bytes = b"", stamp: bytes | None = None
    ) -> Attack:
        return Attack(name, (request(self.headers(body, webhook_id, stamp), body),), verdict)

    def headers(self, body: bytes, webhook_id: bytes = b"", stamp: bytes | None = None) -> Headers:
        """The three headers with the right signature over whatever they are."""
        webhook_id = webhook_id or self.webhook_id
        stamp = str(int(time.time())).encode() if stamp is None else stamp
        digest = hmac.new(self.key, webhook_id + b"." + stamp + b"." + body, hashlib.sha256).digest()
        signature = b"v1," + base64.b64encode(digest)
        return [(b"webhook-id", webhook_id), (b"webhook-timestamp", stamp), (b"webhook-signature", signature)]


_START = dt.datetime(2026, 11, 1, tzinfo=dt.UTC)
ODD_VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1.5, 2**31, 2**53, 2**63, 2**64, -(2**63) - 1, 10**40, 1e308, float("nan")),
    *("", " ", "\x00", "a\x00b", "\ud800", "\udfff\ud800", "\u202e", "x" * 100_000, "'; --", "${x}", "true"),
    *("0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z", "2026-13-45T99:99:99Z", "+275760-09-13T00:00:00Z"),
    *("2026-11-01T00:00:00-23:59", "10000-01-01T00:00:00Z", "1969-12-31T23:59:59Z", "2026-11-01T00:00:60Z"),
    *([], {}, [None], [[]], {"id": None}, {"": ""}, {"__proto__": {"x": 1}}, {"constructor": 1}, ["x"] * 1000),
)


def request(
    headers: Headers, body: bytes, method: bytes = b"POST", path: bytes = b"/webhooks/polar", length: bool = True
) -> bytes:
    """The bytes of a request."""
    lines = [b"%b %b HTTP/1.1" % (method, path), b"host: localhost", b"connection: close"]
    lines += [b"content-type: application/json", *(b"%b: %b" % header for header in headers)]
    if length:
        lines.append(b"content-length: %d" % len(body))
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def _other_byte(body: bytes, chance: random.Random) -> bytes:
    place = chance.randrange(len(body))
    return body[:place] + bytes([body[place] ^ 1 << chance.randrange(8)]) + body[place + 1 :]


def _other_letter(value: bytes, chance: random.Random) -> bytes:
    place = chance.randrange(len(value))
    return value[:place] + (b"A" if value[place : place + 1] != b"A" else b"B") + value[place + 1 :]


def status_of(port: int, attack: Attack) -> int:
    """Send an attack on a connection of its own; the answer's status, or 0 where there is none."""
    with socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT) as connection:
        connection.settimeout(TIMEOUT)
        try:
            for number, part in enumerate(attack.parts):
                time.sleep(attack.pause if number else 0)
                connection.sendall(part)
            if attack.droppable:
                connection.shutdown(socket.SHUT_WR)  # nothing more comes
        except (ConnectionError, OSError):
            pass  # it was refused before its end: the answer may be there
        return _status(connection)


def _status(connection: socket.socket) -> int:
    raw = b""
    try:
        while more := connection.recv(65536):
            raw += more
    except ConnectionError:
        pass
    if raw.endswith(b"\r\n\r\n" + _NOT_THE_APP):
        return 0
    parts = raw.split(b" ", 2)
    return int(parts[1]) if raw.startswith(b"HTTP/1.") and len(parts) > 1 else 0
