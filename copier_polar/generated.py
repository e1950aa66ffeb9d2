"""What a project was generated with: its answers, and the tables that all projects share.

The doctor compares the code of a project with it. The tables are those that the template itself reads.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined

_PACKAGE = Path(__file__).parent
# A wheel has them beside the code, a checkout beside the package.
_FOLDERS = (_PACKAGE / "common", _PACKAGE.parent / "template" / "common")


def events() -> dict[str, str | None]:
    """Return every type of event, and the projection that it goes to; None for those that are only stored."""
    return dict(_tables("events").EVENTS)


def subscription_policy() -> dict[str, str]:
    """Return the rule for every status of a subscription."""
    return dict(_tables("policy").SUBSCRIPTION_POLICY)


def order_policy() -> dict[str, bool]:
    """Return whether an order gives access, by its status."""
    return dict(_tables("policy").ORDER_POLICY)


def renewal_limit_days() -> int:
    """Return after how many days without a renewal access ends."""
    return int(_tables("policy").RENEWAL_LIMIT_DAYS)


def secret_names(answers: Mapping[str, Any]) -> list[str]:
    """Return the names of the settings that are secrets."""
    found = _read("environment", _facts(answers)).ENVIRONMENT
    is_jwt = answers.get("auth") == "jwt"
    return [variable["name"] for variable in found if variable["secret"] and (is_jwt or "auth" not in variable)]


def server(answers: Mapping[str, Any]) -> str:
    """Return the server that the catalogue was read from."""
    return str(answers["polar_catalog"]["server"])


def grace_days(answers: Mapping[str, Any]) -> int:
    """Return for how many days a declined payment leaves access."""
    return int(answers["past_due_grace_days"])


def premium(answers: Mapping[str, Any]) -> dict[str, bool]:
    """Return whether a product gives access, by the key of each chosen product."""
    return {key: key in answers["premium_products"] for key in answers["products"]}


def sells_subscriptions(answers: Mapping[str, Any]) -> bool:
    """Return whether the project changes and cancels subscriptions."""
    return "subscriptions" in answers["sells"]


def _facts(answers: Mapping[str, Any]) -> dict[str, object]:
    """Return what the tables ask of the answers."""
    return {"is_fastapi": answers["runtime"] == "fastapi", "sends_mail": answers.get("notifications") == "email"}


@cache
def _tables(name: str) -> Any:
    return _read(name, {})


def _read(name: str, facts: Mapping[str, object]) -> Any:
    """Run a file of tables, which only sets names, and return them."""
    file = next(path for folder in _FOLDERS if (path := folder / f"{name}.jinja").is_file())
    return Environment(undefined=StrictUndefined).from_string(file.read_text(encoding="utf-8")).make_module(dict(facts))
