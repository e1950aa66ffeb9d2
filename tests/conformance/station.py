"""A generated app that can be killed and started again on its store, beside a Polar of its own."""

from __future__ import annotations

import os
import secrets
import signal
import threading
from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import Popen
from typing import Any

from tests.catalogues import shop
from tests.conformance import histories
from tests.conformance.polar.lifecycle import Polar
from tests.polar_server import Answer
from tests.support import apps, deliveries, logs
from tests.support.polar_runtime import BROKEN, Call
from tests.support.process import free_port
from tests.support.render import TOKEN

ISSUER, AUDIENCE = "https://issuer.example.com", "conformance"
CLAIMS = {"iss": ISSUER, "aud": AUDIENCE}
_SCHEME: deliveries.Scheme = "standard"


def is_background(call: Call) -> bool:
    """Whether a call is of a reconciliation."""
    return call.method == "GET" and (call.path.endswith("/state") or "customer_id" in call.query)


def no_reconciliation(call: Call) -> Answer | None:
    """Deliveries alone make the state: this Polar knows nothing of the buyers they tell of."""
    return BROKEN if is_background(call) else None


def only_lives(polar: Polar) -> Callable[[Call], Answer | None]:
    """Nothing is known of buyers who live nowhere, and all of the others."""
    return lambda call: None if polar.is_known(call) else no_reconciliation(call)


@dataclass
class Station:
    """An app on its port and store, beside a Polar of its own."""

    variant: apps.Variant
    project: Path
    folder: Path
    polar: Polar
    database: str = ""
    polar_url: str = ""  # another Polar than the stand-in, as one that nobody answers for
    port: int = field(default_factory=free_port)
    secret: str = field(default_factory=lambda: deliveries.new_secret(_SCHEME))
    jwt_secret: str = field(default_factory=lambda: secrets.token_hex(32))
    process: Popen[bytes] | None = None
    up: threading.Event = field(default_factory=threading.Event)
    _running: ExitStack = field(default_factory=ExitStack)

    @property
    def base(self) -> str:
        """The app's address."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start the app, on the store as it is."""
        settings = {
            "POLAR_ACCESS_TOKEN": TOKEN,
            "POLAR_BASE_URL": self.polar_url or self.polar.url,
            "POLAR_WEBHOOK_SECRET": self.secret,
            "AUTH_JWT_SECRET": self.jwt_secret,
            "AUTH_ISSUER": ISSUER,
            "AUTH_AUDIENCE": AUDIENCE,
        }
        started = apps.started(self.variant, self.project, self.folder, settings, self.port, self.database)
        self.process = self._running.enter_context(started)
        self.up.set()

    def kill(self) -> None:
        """SIGKILL for every process of the app: nothing is written, closed or said."""
        assert self.process is not None
        self.up.clear()
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(timeout=10)
        self.stop()

    def stop(self) -> None:
        """End what still runs."""
        self._running.close()

    def sign(self, delivery: histories.Delivery) -> dict[str, str]:
        """Headers of one attempt."""
        return deliveries.headers(delivery.body, delivery.webhook_id, self.secret, _SCHEME)

    def bearer(self, user: str, **claims: object) -> dict[str, str]:
        """The header of a signed-in user."""
        return deliveries.bearer(user, self.jwt_secret, **{**CLAIMS, **claims})

    def told(self, users: Sequence[str]) -> histories.Told:
        """What the app says of these users."""
        return histories.told(self.base, users, self.jwt_secret, **CLAIMS)

    def log_lines(self) -> list[dict[str, Any]]:
        """Every line of JSON that the app has logged, over all its starts."""
        return list(logs.events(self.folder / "app.log"))

    def memory(self) -> int:
        """Resident bytes of all processes of the app."""
        assert self.process is not None
        pages = 0
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                group = int((folder / "stat").read_text().rpartition(")")[2].split()[2])
                pages += int((folder / "statm").read_text().split()[1]) if group == self.process.pid else 0
            except (OSError, IndexError):
                continue  # it ended meanwhile
        return pages * os.sysconf("SC_PAGE_SIZE")


@contextmanager
def station(variant: apps.Variant, project: Path, folder: Path, polar_url: str = "") -> Generator[Station]:
    """An app that is started, on an empty store."""
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        polar = stack.enter_context(Polar(shop()))
        polar.always = only_lives(polar)
        polar.api_version = variant.api_version
        url = apps.database_url(variant, folder, stack) if variant.runtime == "fastapi" else ""
        made = Station(variant, project, folder, polar, url, polar_url)
        stack.callback(made.stop)
        made.start()
        yield made
