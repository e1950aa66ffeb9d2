"""The app of a generated project as the doctor sees it over the bridge: healthy, until a test breaks it."""

from __future__ import annotations

import base64
import hmac
import json
import time
from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]

DAY_US = 24 * 3600 * 1_000_000
PREMIUM = "/premium/hello"
WEBHOOK = ("/webhooks/polar", "/webhooks/polar/")
ROUTES = (
    ("POST", "/webhooks/polar"),
    ("GET", "/billing/access"),
    ("GET", "/billing/plans"),
    ("POST", "/billing/checkout"),
    ("GET", PREMIUM),
    ("GET", "/health"),
)
_LIVE = {
    "active": (14, "current_period_end_us"),
    "trialing": (14, "current_period_end_us"),
    "past_due": (7, "past_due_us"),
}


@dataclass
class App:
    """What it answers; a test changes the fields, or the answer to one method and path."""

    events: Json
    secret: str = ""
    routes: list[tuple[str, str]] = field(default_factory=lambda: list(ROUTES))
    answers: dict[tuple[str, str], int] = field(default_factory=dict)  # a status, whoever asks
    verifies: set[str] = field(default_factory=lambda: {"presence", "signature", "clock"})
    believes_tokens: bool = False
    lets_everybody_in: bool = False
    days: dict[str, int] = field(default_factory=dict)  # of access after the end of a period, by status
    orders: set[str] = field(default_factory=lambda: {"paid", "partially_refunded"})
    unreadable: set[str] = field(default_factory=set)  # projections
    requests: list[Json] = field(default_factory=list)

    def list_routes(self) -> list[Json]:
        """The operation `routes`."""
        return [{"method": method, "path": path} for method, path in self.routes]

    def request(self, **asked: Any) -> Json:
        """The operation `request`."""
        self.requests.append(asked)
        status, error = self._answer(**asked)
        return {"status": status, "headers": {}, "body": json.dumps({"error": error}) if error else "{}"}

    def standing(self, kind: str, held: Json, at: int) -> Json:
        """The operation `standing`."""
        if kind == "order":
            return {"access": held["status"] in self.orders}
        usual, since = _LIVE.get(held["status"], (0, "current_period_end_us"))
        return {"access": at - held[since] < self.days.get(held["status"], usual) * DAY_US}

    def read_event(self, type: str, data: Json) -> Json:
        """The operation `read_event`."""
        projection = self.events.get(type)
        assert {"id", "customer_id", "status"} <= data.keys()
        return {"projection": projection, "problem": "benefit is missing" if projection in self.unreadable else None}

    def _answer(self, method: str, path: str, headers: Json, body: str | None, user: Json | None) -> tuple[int, str]:
        if (method, path) in self.answers:
            return self.answers[method, path], ""
        if path in WEBHOOK:
            return (202, "") if self._accepts(headers, body or "") else (401, "invalid_signature")
        if path == "/billing/plans":
            return 200, ""
        if user is None and not (self.believes_tokens and "." in headers.get("authorization", "")):
            return 401, "unauthorized"
        if path == PREMIUM and not self.lets_everybody_in:
            return 403, "no_access"
        return 200, ""

    def _accepts(self, headers: Json, body: str) -> bool:
        stamp = headers.get("webhook-timestamp", "0")
        content = f"{headers.get('webhook-id')}.{stamp}.{body}".encode()
        expected = base64.b64encode(hmac.digest(self.secret.encode(), content, "sha256")).decode()
        found = {
            "presence": "webhook-signature" in headers,
            "signature": headers.get("webhook-signature") == f"v1,{expected}",
            "clock": abs(time.time() - int(stamp)) < 300,
        }
        return all(found[what] for what in self.verifies)
