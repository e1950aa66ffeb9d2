"""The identity provider's keys: fetched when they are needed, one fetch at a time, and used on while it is down."""

import asyncio
import json
import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import httpx
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from jwt import PyJWK
from jwt.exceptions import PyJWTError

from app.billing.log import log_line

# Per algorithm: the type of key, and its curve. So a key is never used with an algorithm of another kind, nor as a
# shared secret.
ALGORITHMS: dict[str, tuple[str, str | None]] = {
    **dict.fromkeys(("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"), ("RSA", None)),
    "ES256": ("EC", "P-256"),
    "ES384": ("EC", "P-384"),
    "ES512": ("EC", "P-521"),
    "EdDSA": ("OKP", "Ed25519"),
    "Ed25519": ("OKP", "Ed25519"),  # the same by its newer name (RFC 9864)
}
MIN_RSA_BITS = 2048
FRESH_SECONDS = 600
# Keys that were right are better than no sign-in, as long as the provider is down; but not for ever.
USABLE_SECONDS = 12 * 3600
REFETCH_SECONDS = 60
RETRY_SECONDS = 5
FETCH_SECONDS = 5.0
MAX_BYTES = 1024 * 1024
# Requests that may wait for a fetch; each of them holds a thread.
MAX_WAITING = 8
HEADERS = {"User-Agent": "polar-billing/1.0", "Accept": "application/json", "Accept-Encoding": "identity"}


class KeysUnavailable(Exception):
    """There are no keys to check a token with; the user is not to blame."""


class NoKey(Exception):
    """No key of the provider fits the token, or several do."""


@dataclass(frozen=True)
class KeySet:
    """Keys as they were fetched."""

    keys: tuple[Mapping[str, Any], ...]
    fetched_at: float
    made: dict[tuple[int, str], Any] = field(default_factory=dict)

    def find(self, algorithm: str, key_id: object) -> Any | None:
        """Return the one key for an algorithm that has this id, if one is asked for; None when there is none."""
        fitting = [number for number, key in enumerate(self.keys) if _fits(key, algorithm, key_id)]
        if len(fitting) > 1:
            raise NoKey
        return self._made(fitting[0], algorithm) if fitting else None

    def _made(self, number: int, algorithm: str) -> Any:
        if (number, algorithm) not in self.made:
            name = "EdDSA" if algorithm == "Ed25519" else algorithm
            try:
                key = PyJWK(dict(self.keys[number]), name).key
            except (PyJWTError, ValueError, TypeError) as error:
                raise NoKey from error
            if isinstance(key, RSAPublicKey) and key.key_size < MIN_RSA_BITS:
                raise NoKey
            self.made[number, algorithm] = key
        return self.made[number, algorithm]


class ProviderKeys:
    """The keys behind an address."""

    def __init__(self, url: str, clock: Callable[[], float], fetch_seconds: float = FETCH_SECONDS) -> None:
        self._url = url
        self._clock = clock
        self._fetch_seconds = fetch_seconds
        self._lock = threading.Lock()
        self._seats = threading.BoundedSemaphore(MAX_WAITING)
        self._known: KeySet | None = None
        self._retry_at = float("-inf")
        self._flight: threading.Event | None = None

    def find(self, header: Mapping[str, Any]) -> Any:
        """Return the key that the header of a token names. An unknown one is looked for at most once a minute."""
        algorithm, key_id = str(header.get("alg")), header.get("kid")
        if algorithm not in ALGORITHMS:
            raise NoKey
        known = self._current()
        key = known.find(algorithm, key_id)
        if key is None and self._clock() >= known.fetched_at + REFETCH_SECONDS:
            known = self._fetched(known)
            key = known.find(algorithm, key_id)
        if key is None:
            raise NoKey
        return key

    def _current(self) -> KeySet:
        """Return the keys; those that are not fresh are fetched once more, and serve on where that fails."""
        known, now = self._known, self._clock()
        if known is None or now >= known.fetched_at + USABLE_SECONDS:
            return self._fetched(None)
        if now < known.fetched_at + FRESH_SECONDS or self._flight is not None:
            return known
        return self._fetched(known)

    def _fetched(self, known: KeySet | None) -> KeySet:
        """Fetch the keys, or wait for whoever does. `known` is the answer where there are no newer ones."""
        with self._lock:
            if self._is_newer(known):
                return _or_unavailable(self._known)
            flight = self._flight  # read once: the thread that fetches takes it away at any moment
            if flight is None and self._clock() < self._retry_at:
                return _or_unavailable(known)
            if flight is None:
                flight = self._flight = threading.Event()
                threading.Thread(target=self._fetch, args=(flight,), name="jwks", daemon=True).start()
        if not self._seats.acquire(blocking=False):
            return _or_unavailable(known)
        try:
            flight.wait(self._fetch_seconds + 1)
        finally:
            self._seats.release()
        return _or_unavailable(self._known if self._is_newer(known) else known)

    def _is_newer(self, known: KeySet | None) -> bool:
        """Whether there are keys, still usable, that were fetched after others."""
        latest = self._known
        if latest is None or self._clock() >= latest.fetched_at + USABLE_SECONDS:
            return False
        return known is None or latest.fetched_at > known.fetched_at

    def _fetch(self, flight: threading.Event) -> None:
        """Fetch the keys in a thread of its own: what drips or never ends keeps nobody longer than the deadline."""
        try:
            keys = asyncio.run(asyncio.wait_for(_download(self._url), self._fetch_seconds))
            self._known = KeySet(keys, self._clock())
            self._retry_at = float("-inf")
        except Exception as error:
            said = {"status": error.status} if isinstance(error, _Refused) else {"error": type(error).__name__}
            log_line("jwks_unavailable", level=logging.ERROR, host=urlsplit(self._url).netloc, **said)
            self._retry_at = self._clock() + (RETRY_SECONDS if self._known is None else REFETCH_SECONDS)
        finally:
            self._flight = None
            flight.set()


class _Refused(Exception):
    """The provider answered with another status than 200."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


def _or_unavailable(known: KeySet | None) -> KeySet:
    if known is None:
        raise KeysUnavailable
    return known


async def _download(url: str) -> tuple[Mapping[str, Any], ...]:
    body = bytearray()
    client = httpx.AsyncClient(headers=HEADERS, timeout=FETCH_SECONDS)
    async with client, client.stream("GET", url) as response:
        if response.status_code != 200:
            raise _Refused(response.status_code)
        async for chunk in response.aiter_bytes():
            body += chunk
            if len(body) > MAX_BYTES:
                raise ValueError("the key set is too large")
    keys = json.loads(body)["keys"]
    listed = keys if isinstance(keys, list) else []
    found = tuple(key for key in listed if isinstance(key, dict) and "d" not in key)
    if not found:
        raise ValueError("the key set is empty")
    return found


def _fits(key: Mapping[str, Any], algorithm: str, key_id: object) -> bool:
    """Whether a key is meant for an algorithm, and has the id that is asked for."""
    kind, curve = ALGORITHMS[algorithm]
    operations, named = key.get("key_ops", ["verify"]), key.get("alg", algorithm)
    return (
        key.get("kty") == kind
        and (curve is None or key.get("crv") == curve)
        and (named == algorithm or (kind == "OKP" and named in {"EdDSA", "Ed25519"}))
        and (key_id is None or (isinstance(key_id, str) and key.get("kid") == key_id))
        and key.get("use", "sig") == "sig"
        and isinstance(operations, list)
        and "verify" in operations
    )
