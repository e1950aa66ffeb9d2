"""Bearer tokens: whose they are, and everything that makes one worthless."""

import hashlib
import hmac
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from fastapi import Request
from jwt.algorithms import ECAlgorithm, RSAAlgorithm
from jwt.utils import base64url_encode

from app.auth.jwt import JwtAuth
from app.auth.keys import REFETCH_SECONDS, RETRY_SECONDS
from app.auth.user import User
from app.billing.dialect import DIALECT
from app.billing.errors import BillingError
from app.settings import Settings

SECRET = "0123456789abcdefghijklmnopqrstuvwxyz"
ISSUER, AUDIENCE = "https://id.example.com", "billing"
RSA_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
OTHER_RSA_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
EC_KEY = ec.generate_private_key(ec.SECP256R1())


def settings(**more: str) -> Settings:
    base = {
        "polar_webhook_secret": "whsec_for_these_tests_only_0123456789",
        "polar_server": "demo",
        "app_url": "https://app.example.com",
    }
    return Settings.model_validate({**base, "database_url": f"{DIALECT.name}://", **more})


def request(authorization: str | None) -> Request:
    headers = [] if authorization is None else [(b"authorization", authorization.encode("latin-1"))]
    return Request({"type": "http", "method": "GET", "headers": headers})


def claims(**more: Any) -> dict[str, Any]:
    usual = {"sub": "user_1", "exp": int(time.time()) + 60, "iss": ISSUER, "aud": AUDIENCE}
    return {name: value for name, value in {**usual, **more}.items() if value is not None}


def answer_of(auth: JwtAuth, token: str) -> User | tuple[int, str]:
    """Return the user, or the error."""
    try:
        return auth(request(f"Bearer {token}"))
    except BillingError as error:
        return error.status, error.code


UNAUTHORIZED = (401, "unauthorized")


class TestSharedSecret:
    """HS256, for development."""

    auth = JwtAuth(settings(auth_jwt_secret=SECRET))

    def sign(self, key: Any = SECRET, algorithm: str = "HS256", **more: Any) -> str:
        return jwt.encode(claims(**more), key, algorithm=algorithm)

    def test_the_user_is_the_sub(self) -> None:
        assert answer_of(self.auth, self.sign()) == User("user_1")

    @pytest.mark.parametrize(
        ("more", "user"),
        [
            ({"email": "a@example.com", "name": "Ann"}, User("user_1", "a@example.com", "Ann")),
            ({"email": "a@example.com", "email_verified": True}, User("user_1", "a@example.com")),
            ({"email": "a@example.com", "email_verified": False}, User("user_1")),
            ({"email": "nonsense"}, User("user_1")),
            ({"email": 1, "name": 2}, User("user_1")),
            ({"name": ""}, User("user_1")),
            ({"sub": "x" * 255}, User("x" * 255)),
            ({"sub": "user/2 é+%"}, User("user/2 é+%")),
        ],
    )
    def test_what_counts_of_the_claims(self, more: dict[str, Any], user: User) -> None:
        assert answer_of(self.auth, self.sign(**more)) == user

    @pytest.mark.parametrize("sub", ["", "x" * 256, "a\x00b", "a\nb", "\x9f", "\ud800", 5, ["user_1"], {}, True, None])
    def test_an_unusable_sub(self, sub: object) -> None:
        payload = json.dumps(claims(sub=sub)).encode()
        token = jwt.api_jws.encode(payload, SECRET, algorithm="HS256")
        assert answer_of(self.auth, token) == UNAUTHORIZED

    @pytest.mark.parametrize(
        "more",
        [
            {"exp": None},
            {"exp": 1},
            {"exp": "soon"},
            {"exp": "4102444800"},
            {"iat": "1"},
            {"nbf": int(time.time()) + 100},
        ],
        ids=str,
    )
    def test_an_unusable_time(self, more: dict[str, Any]) -> None:
        assert answer_of(self.auth, self.sign(**more)) == UNAUTHORIZED

    def test_another_secret(self) -> None:
        assert answer_of(self.auth, self.sign(SECRET[::-1])) == UNAUTHORIZED

    def test_other_algorithms(self) -> None:
        assert answer_of(self.auth, self.sign("", "none")) == UNAUTHORIZED
        assert answer_of(self.auth, self.sign(SECRET * 2, "HS512")) == UNAUTHORIZED
        assert answer_of(self.auth, self.sign(RSA_KEY, "RS256")) == UNAUTHORIZED

    def test_a_changed_token(self) -> None:
        head, body, signature = self.sign().split(".")
        _, other, _ = self.sign(sub="user_2").split(".")
        for token in (
            f"{head}.{other}.{signature}",
            f"{head}.{body}.",
            f"{head}.{body}",
            f"{head}.{body}.x",
            "...",
            "x",
        ):
            assert answer_of(self.auth, token) == UNAUTHORIZED

    @pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer ", "Basic dXNlcjE6eA==", "user_1", "Bearer é"])
    def test_no_token(self, header: str | None) -> None:
        with pytest.raises(BillingError) as caught:
            self.auth(request(header))
        assert caught.value.code == "unauthorized"
        assert caught.value.headers["WWW-Authenticate"] == "Bearer"

    def test_the_scheme_may_be_in_any_case(self) -> None:
        assert self.auth(request(f"bearer {self.sign()}")) == User("user_1")

    def test_a_deeply_nested_header(self) -> None:
        nested = base64url_encode(b'{"alg": ' + b"[" * 30_000).decode()
        assert answer_of(self.auth, f"{nested}.e30.x") == UNAUTHORIZED

    def test_issuer_and_audience_count_where_they_are_set(self) -> None:
        auth = JwtAuth(settings(auth_jwt_secret=SECRET, auth_issuer=ISSUER, auth_audience=AUDIENCE))
        assert answer_of(auth, self.sign()) == User("user_1")
        wrong: list[dict[str, Any]] = [{"iss": "x"}, {"iss": None}, {"aud": "x"}, {"aud": None}]
        for more in wrong:
            assert answer_of(auth, self.sign(**more)) == UNAUTHORIZED


class Provider:
    """An identity provider's keys on loopback."""

    def __init__(self) -> None:
        self.body = b""
        self.status = 200
        self.fetches = 0
        self.url = ""
        self.agent: str | None = None

    def publish(self, **keys: Any) -> None:
        """Serve these keys."""
        self.body = json.dumps({"keys": [{**public_jwk(key), "kid": kid} for kid, key in keys.items()]}).encode()


def public_jwk(key: Any) -> dict[str, Any]:
    """Return the public half."""
    if isinstance(key, dict):
        return key
    algorithm = RSAAlgorithm if isinstance(key, rsa.RSAPrivateKey) else ECAlgorithm
    return algorithm.to_jwk(key.public_key(), as_dict=True)


@pytest.fixture
def provider() -> Iterator[Provider]:
    provider = Provider()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            provider.fetches += 1
            provider.agent = self.headers["User-Agent"]
            self.send_response(provider.status)
            self.end_headers()
            self.wfile.write(provider.body)

        def log_message(self, format: str, *args: object) -> None:
            """Keep the test output clean."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    provider.url = f"http://127.0.0.1:{server.server_port}/jwks"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield provider
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def clock() -> list[float]:
    """Return the monotonic time, to be moved."""
    return [1000.0]


@pytest.fixture
def auth(provider: Provider, clock: list[float]) -> JwtAuth:
    provider.publish(one=RSA_KEY)
    environment = settings(auth_jwks_url=provider.url, auth_issuer=ISSUER, auth_audience=AUDIENCE)
    return JwtAuth(environment, lambda: clock[0])


def sign(key: Any = RSA_KEY, algorithm: str = "RS256", kid: str | None = "one", **more: Any) -> str:
    return jwt.encode(claims(**more), key, algorithm=algorithm, headers={"kid": kid} if kid else {})


def header_of(algorithm: str) -> str:
    """Return the first part of a token."""
    header = json.dumps({"alg": algorithm, "kid": "one", "typ": "JWT"}, separators=(",", ":"))
    return base64url_encode(header.encode()).decode()


class TestProviderKeys:
    """JWKS, everywhere."""

    def test_tokens_of_the_provider_hold(self, auth: JwtAuth, provider: Provider) -> None:
        provider.publish(one=RSA_KEY, two=EC_KEY)
        assert answer_of(auth, sign()) == User("user_1")
        assert answer_of(auth, sign(algorithm="PS256")) == User("user_1")
        assert answer_of(auth, sign(EC_KEY, "ES256", "two")) == User("user_1")
        assert provider.fetches == 1

    @pytest.mark.parametrize(
        "more",
        [{"iss": "x"}, {"iss": None}, {"aud": "x"}, {"aud": None}, {"exp": None}, {"exp": 1}, {"sub": None}],
        ids=str,
    )
    def test_claims_that_do_not_hold(self, auth: JwtAuth, more: dict[str, Any]) -> None:
        assert answer_of(auth, sign(**more)) == UNAUTHORIZED

    def test_another_key_under_a_known_name(self, auth: JwtAuth) -> None:
        assert answer_of(auth, sign(OTHER_RSA_KEY)) == UNAUTHORIZED

    def test_the_public_key_is_no_shared_secret(self, auth: JwtAuth, provider: Provider) -> None:
        """Algorithm confusion: an HS256 token signed with what everybody may know."""
        signing_input = f"{header_of('HS256')}.{sign().split('.')[1]}"
        pem = RSA_KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        for secret in (pem, provider.body, RSA_KEY.public_key().public_numbers().n.to_bytes(256, "big")):
            signature = hmac.new(secret, signing_input.encode(), hashlib.sha256).digest()
            forged = f"{signing_input}.{base64url_encode(signature).decode()}"
            assert jwt.get_unverified_header(forged)["alg"] == "HS256"
            assert answer_of(auth, forged) == UNAUTHORIZED
        assert answer_of(auth, sign("", "none")) == UNAUTHORIZED

    def test_a_published_shared_secret_is_not_used(self, auth: JwtAuth, provider: Provider) -> None:
        encoded = base64url_encode(SECRET.encode()).decode()
        provider.publish(one={"kty": "oct", "k": encoded})
        assert answer_of(auth, sign(SECRET, "HS256")) == UNAUTHORIZED

    def test_a_key_is_used_with_algorithms_of_its_kind(self, auth: JwtAuth) -> None:
        assert answer_of(auth, sign(EC_KEY, "ES256", "one")) == UNAUTHORIZED

    def test_a_token_that_names_no_key(self, auth: JwtAuth, provider: Provider) -> None:
        assert answer_of(auth, sign(kid=None)) == User("user_1")
        provider.publish(one=RSA_KEY, two=OTHER_RSA_KEY)
        other = JwtAuth(settings(auth_jwks_url=provider.url, auth_issuer=ISSUER, auth_audience=AUDIENCE))
        assert answer_of(other, sign(kid=None)) == UNAUTHORIZED

    def test_a_new_key_is_fetched_at_most_once_a_minute(
        self, auth: JwtAuth, provider: Provider, clock: list[float]
    ) -> None:
        assert answer_of(auth, sign()) == User("user_1")
        provider.publish(two=OTHER_RSA_KEY)
        for _ in range(5):
            assert answer_of(auth, sign(OTHER_RSA_KEY, kid="two")) == UNAUTHORIZED
        assert provider.fetches == 1
        clock[0] += REFETCH_SECONDS
        assert answer_of(auth, sign(OTHER_RSA_KEY, kid="two")) == User("user_1")
        assert answer_of(auth, sign()) == UNAUTHORIZED
        assert provider.fetches == 2

    @pytest.mark.parametrize(("status", "body"), [(500, b"oops"), (200, b"<html>"), (200, b"[]"), (302, b"")])
    def test_a_provider_that_is_down_is_not_the_users_fault(
        self, auth: JwtAuth, provider: Provider, clock: list[float], status: int, body: bytes
    ) -> None:
        good = provider.body
        provider.status, provider.body = status, body
        for _ in range(3):
            assert answer_of(auth, sign()) == (503, "unavailable")
        assert provider.fetches == 1
        provider.status, provider.body = 200, good
        clock[0] += RETRY_SECONDS
        assert answer_of(auth, sign()) == User("user_1")
