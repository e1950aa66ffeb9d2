"""The running app as `simulate` asks it: on this machine alone, over HTTP."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from http.client import HTTPConnection, HTTPException
from urllib.parse import urlsplit

from copier_polar.console import Refused
from copier_polar.simulation.lifecycle import Event

START = {"worker": "npm run dev", "fastapi": "uv run dev"}
LOOPBACK = {"127.0.0.1", "localhost", "::1"}
TIMEOUT_SECONDS = 30


class RunningApp:
    """The app at an address, which events are delivered to; `start` is the command that starts it.

    Raises Refused for one that is not on this machine.
    """

    def __init__(self, url: str, secret: str, start: str) -> None:
        self.url, self._secret, self._start = url, secret, start
        try:
            parts = urlsplit(url)
            self._host, self._port = parts.hostname or "", parts.port
        except ValueError:
            raise Refused(f"{url} is no address.") from None
        if parts.scheme != "http" or self._host not in LOOPBACK or parts.path not in ("", "/"):
            raise Refused(f"{url} is not on this machine: only an app at http://127.0.0.1:PORT is played to.")

    def deliver(self, event: Event) -> int:
        """Deliver an event as Polar does, and return the status of the answer.

        Raises Refused when the app does not answer or does not take the signature.
        """
        body = event.raw()
        stamp = str(int(time.time()))
        # The SDK's verifier takes a secret as the key both as it is and decoded.
        digest = hmac.digest(self._secret.encode(), f"{event.id}.{stamp}.".encode() + body, hashlib.sha256)
        headers = {
            "Content-Type": "application/json",
            "webhook-id": event.id,
            "webhook-timestamp": stamp,
            "webhook-signature": f"v1,{base64.b64encode(digest).decode()}",
        }
        status, _ = self._ask("POST", "/webhooks/polar", headers, body)
        if status == 401:
            raise Refused("The app refuses the signature: its POLAR_WEBHOOK_SECRET is another one than here.")
        return status

    def access(self, header: str) -> bool:
        """Ask whether the user that the header signs in has access.

        Raises Refused when the app does not answer, or not with the access.
        """
        name, _, value = header.partition(":")
        status, body = self._ask("GET", "/billing/access", {name: value.strip()})
        if status == 401:
            raise Refused("The app does not let the user in, so the access cannot be asked: it signs in differently.")
        if status != 200:
            raise Refused(f"The app answers {status} where it is asked for the access.")
        try:
            return json.loads(body)["access"] is True
        except (ValueError, LookupError, TypeError):
            raise Refused("The app answers something else than the access where it is asked for it.") from None

    def _ask(self, method: str, path: str, headers: dict[str, str], body: bytes | None = None) -> tuple[int, bytes]:
        connection = HTTPConnection(self._host, self._port, timeout=TIMEOUT_SECONDS)
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            return answer.status, answer.read()
        except (OSError, HTTPException):
            raise Refused(f"The app does not answer at {self.url}: start it with `{self._start}`.") from None
        finally:
            connection.close()
