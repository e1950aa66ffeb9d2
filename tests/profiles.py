"""Named profiles: sets of answers to work on by hand (`tests/watch.py`), and to follow through updates and benches.

That every combination of answers is sound is the matter of `tests/variants`. A profile with a catalogue asks the
stand-in Polar server for it; one without uses the demo catalogue.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Profile:
    """Answers to the template's questions, and the catalogue that Polar would have for them."""

    name: str
    runtime: str
    catalogue: str | None = None
    answers: dict[str, Any] = field(default_factory=dict)

    def data(self) -> dict[str, Any]:
        """All answers, as `copier copy --data` would give them."""
        return {"project_name": f"Profile {self.name}", "runtime": self.runtime, **self.answers}


_ONLY_SUBSCRIPTIONS = {
    "polar_server": "production",
    "products": ["free", "pro_monthly", "pro_yearly"],
    "sells": ["subscriptions"],
    "past_due_grace_days": 0,
    "proration": "invoice",
    "premium_path": "/app/pro",
}

WORKER_PROFILES = (
    Profile("demo", "worker"),
    Profile("shop", "worker", "shop", {"polar_server": "sandbox"}),
    Profile(
        "subscriptions",
        "worker",
        "shop",
        _ONLY_SUBSCRIPTIONS,
    ),
    Profile(
        "one-time",
        "worker",
        "shop",
        {"polar_server": "sandbox", "products": ["lifetime"], "sells": ["one_time"], "past_due_grace_days": 21},
    ),
    Profile("custom-auth", "worker", answers={"auth": "custom", "past_due_grace_days": 2}),
    Profile("hostile", "worker", "hostile", {"polar_server": "sandbox"}),
    Profile("large", "worker", "large", {"polar_server": "production", "auth": "custom", "proration": "next_period"}),
)

FASTAPI_PROFILES = (
    Profile("fastapi-demo", "fastapi", answers={"database": "sqlite"}),
    Profile("fastapi-shop", "fastapi", "shop", {"database": "postgres", "polar_server": "sandbox"}),
    Profile(
        "fastapi-subscriptions",
        "fastapi",
        "shop",
        {"database": "sqlite", **_ONLY_SUBSCRIPTIONS},
    ),
    Profile(
        "fastapi-one-time",
        "fastapi",
        "shop",
        {"database": "sqlite", "polar_server": "sandbox", "products": ["lifetime"], "sells": ["one_time"]},
    ),
    Profile("fastapi-custom-auth", "fastapi", answers={"database": "postgres", "auth": "custom"}),
    Profile("fastapi-hostile", "fastapi", "hostile", {"database": "sqlite", "polar_server": "sandbox"}),
    Profile(
        "fastapi-large",
        "fastapi",
        "large",
        {"database": "sqlite", "polar_server": "production", "auth": "custom", "past_due_grace_days": 21},
    ),
)

PROFILES = (*WORKER_PROFILES, *FASTAPI_PROFILES)
