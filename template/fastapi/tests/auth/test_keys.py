"""The provider's keys over time: what they may be, and what happens while the provider is slow or down."""

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from jwt.algorithms import OKPAlgorithm, RSAAlgorithm
from jwt.utils import base64url_encode
from jwt.warnings import InsecureKeyLengthWarning

from app.auth.jwt import JwtAuth
from app.auth.keys import FRESH_SECONDS, MAX_WAITING, USABLE_SECONDS, KeysUnavailable, ProviderKeys
from app.auth.user import User
from tests.auth.test_jwt import (
    AUDIENCE,
    ISSUER,
    RSA_KEY,
    UNAUTHORIZED,
    Provider,
    answer_of,
    auth,
    claims,
    clock,
    provider,
    public_jwk,
    settings,
    sign,
)

HOUR = 3600
__all__ = ["auth", "clock", "provider"]


def lines(caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    return [json.loads(line) for line in caplog.messages if line.startswith("{")]


class TestTime:
    @pytest.mark.parametrize(
        ("more", "holds"),
        [
            ({"nbf": 3}, True),
            ({"nbf": 9}, False),
            ({"iat": 3}, True),
            ({"iat": 9}, False),
            ({"exp": -2}, True),
            ({"exp": -6}, False),
        ],
        ids=str,
    )
    def test_five_seconds_are_forgiven(self, auth: JwtAuth, more: dict[str, int], holds: bool) -> None:
        moved: dict[str, Any] = {name: int(time.time()) + seconds for name, seconds in more.items()}
        token = sign(**moved)
        assert answer_of(auth, token) == (User("user_1") if holds else UNAUTHORIZED)

    @pytest.mark.parametrize("value", [True, "1", [1], float("inf"), float("nan")], ids=str)
    @pytest.mark.parametrize("name", ["exp", "iat", "nbf"])
    def test_an_instant_is_a_number(self, auth: JwtAuth, name: str, value: object) -> None:
        payload = json.dumps(claims(**{name: value})).encode()
        token = jwt.api_jws.encode(payload, RSA_KEY, algorithm="RS256", headers={"kid": "one"})
        assert answer_of(auth, token) == UNAUTHORIZED


class TestKinds:
    @pytest.mark.parametrize("of_key", ["EdDSA", "Ed25519", None])
    @pytest.mark.parametrize("of_token", ["EdDSA", "Ed25519"])
    def test_ed25519_has_two_names(self, auth: JwtAuth, provider: Provider, of_token: str, of_key: str | None) -> None:
        key = ed25519.Ed25519PrivateKey.generate()
        public = {**OKPAlgorithm.to_jwk(key.public_key(), as_dict=True), "use": "sig"}
        provider.publish(two={**public, "alg": of_key} if of_key else public)
        jws = jwt.PyJWS()
        jws.register_algorithm("Ed25519", OKPAlgorithm())
        token = jws.encode(json.dumps(claims()).encode(), key, algorithm=of_token, headers={"kid": "two"})
        assert answer_of(auth, token) == User("user_1")

    def test_a_short_rsa_key_is_not_trusted(self, auth: JwtAuth, provider: Provider) -> None:
        short = rsa.generate_private_key(public_exponent=65537, key_size=1024)
        provider.publish(one=short)
        with pytest.warns(InsecureKeyLengthWarning):
            token = sign(short)
        assert answer_of(auth, token) == UNAUTHORIZED

    @pytest.mark.parametrize(
        "more",
        [{"use": "enc"}, {"alg": "RS512"}, {"key_ops": ["sign"]}, {"kid": "other"}, {"kty": "EC"}, {"n": "?"}],
        ids=str,
    )
    def test_a_key_for_something_else(self, auth: JwtAuth, provider: Provider, more: dict[str, Any]) -> None:
        key = {**RSAAlgorithm.to_jwk(RSA_KEY.public_key(), as_dict=True), "kid": "one", **more}
        provider.body = json.dumps({"keys": [key]}).encode()
        assert answer_of(auth, sign()) == UNAUTHORIZED

    def test_a_published_private_key_is_none(self, auth: JwtAuth, provider: Provider) -> None:
        provider.publish(one={**RSAAlgorithm.to_jwk(RSA_KEY.public_key(), as_dict=True), "d": "x"})
        assert answer_of(auth, sign()) == (503, "unavailable")

    def test_keys_of_unknown_kinds_are_passed_over(self, auth: JwtAuth, provider: Provider) -> None:
        odd = [{"kty": "AKP", "alg": "ML-DSA-44", "pub": "x"}, {"kty": "oct", "k": "x"}, "text", None]
        provider.body = json.dumps({"keys": [*odd, {**public_jwk(RSA_KEY), "kid": "one"}]}).encode()
        assert answer_of(auth, sign()) == User("user_1")

    def test_what_is_wrong_is_logged_and_no_value(self, auth: JwtAuth, caplog: pytest.LogCaptureFixture) -> None:
        head, body, signature = sign().split(".")
        nested = base64url_encode(b'{"alg":"none"}').decode()
        with caplog.at_level("INFO", logger="app.billing"):
            forged = f"{head}.{body}.{'A' * len(signature)}"
            for token in (forged, sign(kid="secret_id"), f"{nested}.e30.", sign(iss="x")):
                assert answer_of(auth, token) == UNAUTHORIZED
        assert [line.get("reason") or line["claim"] for line in lines(caplog)] == ["signature", "key", "key", "iss"]
        assert "secret_id" not in caplog.text


class TestProviderThatIsDown:
    def test_known_keys_serve_on_for_hours(
        self, auth: JwtAuth, provider: Provider, clock: list[float], caplog: pytest.LogCaptureFixture
    ) -> None:
        assert answer_of(auth, sign()) == User("user_1")
        provider.status = 500
        for hour in range(1, 11):
            clock[0] = 1000.0 + hour * HOUR
            for _ in range(5):
                assert answer_of(auth, sign()) == User("user_1")
            assert provider.fetches == 1 + hour
        host = provider.url.split("/")[2]
        assert lines(caplog)[0] == {"event": "jwks_unavailable", "host": host, "status": 500}
        clock[0] = 1000.0 + USABLE_SECONDS
        assert answer_of(auth, sign()) == (503, "unavailable")

    def test_a_key_that_was_taken_back_is_not_used_once_the_provider_answers(
        self, auth: JwtAuth, provider: Provider, clock: list[float]
    ) -> None:
        assert answer_of(auth, sign()) == User("user_1")
        provider.publish(two=RSA_KEY)
        clock[0] += FRESH_SECONDS
        assert answer_of(auth, sign()) == UNAUTHORIZED

    def test_a_fetch_may_end_before_it_is_waited_for(self, auth: JwtAuth, monkeypatch: pytest.MonkeyPatch) -> None:
        start = threading.Thread.start
        monkeypatch.setattr(threading.Thread, "start", lambda each: each.run() if each.name == "jwks" else start(each))
        assert answer_of(auth, sign()) == User("user_1")

    def test_the_request_says_who_asks(self, auth: JwtAuth, provider: Provider) -> None:
        answer_of(auth, sign())
        assert provider.agent == "polar-billing/1.0"


class Slow:
    """A provider that drips its answer, a byte at a time."""

    def __init__(self) -> None:
        self.asked = 0
        self.stop = threading.Event()
        slow = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                slow.asked += 1
                self.send_response(200)
                self.end_headers()
                while not slow.stop.wait(0.05):
                    try:
                        self.wfile.write(b" ")
                    except OSError:
                        return

            def log_message(self, format: str, *args: object) -> None:
                """Keep the test output clean."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02})
        self.thread.start()

    def close(self) -> None:
        self.stop.set()
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


def test_a_key_set_that_drips_keeps_few_waiting_and_none_for_long() -> None:
    slow = Slow()
    keys = ProviderKeys(f"http://127.0.0.1:{slow.server.server_port}/jwks", time.monotonic, fetch_seconds=1.0)
    waits: list[float] = []

    def ask(_number: int) -> None:
        began = time.monotonic()
        with pytest.raises(KeysUnavailable):
            keys.find({"alg": "RS256", "kid": "one"})
        waits.append(time.monotonic() - began)

    try:
        with ThreadPoolExecutor(40) as pool:
            list(pool.map(ask, range(40)))
    finally:
        slow.close()
    assert slow.asked == 1
    assert len([wait for wait in waits if wait > 0.5]) <= MAX_WAITING
    assert max(waits) < 2.5


def test_one_fetch_at_a_time(provider: Provider) -> None:
    provider.publish(one=RSA_KEY)
    auth = JwtAuth(settings(auth_jwks_url=provider.url, auth_issuer=ISSUER, auth_audience=AUDIENCE))
    token = sign()
    with ThreadPoolExecutor(MAX_WAITING) as pool:
        answers = list(pool.map(lambda _: answer_of(auth, token), range(MAX_WAITING)))
    assert set(answers) == {User("user_1")}
    assert provider.fetches == 1
