"""Recorded histories of a real Polar server: moved in time, posted at a running app, compared with Polar's end state.

The folder is named by POLAR_RECORDED: `histories/*.jsonl` (one delivery a line), `state/*.json` (Polar's customer state
after the last of them), `api/*.json` (answers of the API).
"""

from __future__ import annotations

import datetime as dt
import json
import os
import random
import re
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

import httpx

from . import deliveries

Mode = Literal["ordered", "reversed", "shuffled"]
_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|\+00:00)")
_TRIES = 6


def folder() -> Path | None:
    """The folder that POLAR_RECORDED names, or None where it is unset."""
    name = os.environ.get("POLAR_RECORDED")
    return Path(name).resolve() if name else None


def catalogue() -> list[dict[str, Any]]:
    """The products that the recorded server had, as its API listed them."""
    root = folder()
    if root is None:
        raise RuntimeError("POLAR_RECORDED is unset")
    answer = json.loads((root / "api" / "products_list.json").read_text())
    items: list[dict[str, Any]] = json.loads(answer["body"])["items"]
    return items


@dataclass(frozen=True)
class Event:
    """One delivery: its `webhook-id` and its body, with every instant moved."""

    webhook_id: str
    body: bytes


@dataclass(frozen=True)
class History:
    """All deliveries about one customer, the app's user they belong to (if any), and Polar's own end state."""

    name: str
    user: str | None
    events: tuple[Event, ...]
    subscriptions: dict[str, str]
    benefits: frozenset[str]


@cache
def histories(root: Path) -> tuple[History, ...]:
    """Every history, its instants moved so that the last delivery of all is a minute and a half ago."""
    raw = {
        file.stem: [json.loads(line) for line in file.open()] for file in sorted((root / "histories").glob("*.jsonl"))
    }
    last = max(_instant(json.loads(line["body"])["timestamp"]) for lines in raw.values() for line in lines)
    shift = dt.datetime.now(dt.UTC) - dt.timedelta(seconds=90) - last

    def move(text: str) -> str:
        return _INSTANT.sub(lambda found: (_instant(found[0]) + shift).strftime("%Y-%m-%dT%H:%M:%S.%fZ"), text)

    def history(name: str, lines: list[dict[str, Any]]) -> History:
        state = json.loads(move((root / "state" / f"{name}.json").read_text())) or {}
        events = tuple(Event(line["webhook_id"], move(line["body"]).encode()) for line in lines)
        subscriptions = {entry["id"]: entry["status"] for entry in state.get("active_subscriptions", [])}
        benefits = frozenset(entry["benefit_id"] for entry in state.get("granted_benefits", []))
        return History(name, _user(lines), events, subscriptions, benefits)

    return tuple(history(name, lines) for name, lines in raw.items())


def _instant(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text)


def _user(lines: Iterable[dict[str, Any]]) -> str | None:
    """The external id of a history: plain deletes send `null` from then on, so the first that is there counts."""
    for line in lines:
        body = json.loads(line["body"])
        data = body["data"]
        own = data.get("external_id") if body["type"].startswith("customer.") else None
        found = line.get("external_id") or (data.get("customer") or {}).get("external_id") or own
        if found:
            return str(found)
    return None


def arranged(all_histories: Iterable[History], mode: Mode, seed: int) -> list[Event]:
    """The deliveries in the order of `mode`; shuffled ones come with a quarter of them twice."""
    events = [event for history in all_histories for event in history.events]
    if mode == "reversed":
        events.reverse()
    if mode == "shuffled":
        chance = random.Random(seed)
        events += chance.choices(events, k=len(events) // 4)
        chance.shuffle(events)
    return events


def post(base: str, events: list[Event], secret: str, scheme: deliveries.Scheme, connections: int) -> list[str]:
    """Deliver every event, each again until it is accepted as Polar does; returns what was refused to the end."""
    with httpx.Client(base_url=base, timeout=15) as client, ThreadPoolExecutor(connections) as pool:

        def deliver(event: Event) -> str | None:
            for attempt in range(_TRIES):
                signed = deliveries.headers(event.body, event.webhook_id, secret, scheme)
                answer = client.post("/webhooks/polar", content=event.body, headers=signed)
                if answer.is_success:
                    return None
                time.sleep(0.2 * 2**attempt)
            return f"{event.webhook_id}: {answer.status_code} {answer.text[:200]}"

        return [refused for refused in pool.map(deliver, events) if refused]


def accounts(base: str, all_histories: Iterable[History], jwt_secret: str) -> dict[str, dict[str, Any]]:
    """What `GET /billing/account` says for the user of every history that has one, by the history's name."""
    with httpx.Client(base_url=base, timeout=15) as client:
        found = {}
        for history in all_histories:
            if history.user:
                answer = client.get("/billing/account", headers=deliveries.bearer(history.user, jwt_secret))
                answer.raise_for_status()
                found[history.name] = answer.json()
        return found


def differences(all_histories: Iterable[History], found: dict[str, dict[str, Any]]) -> dict[str, str]:
    """Where an account is not what Polar's own state says, by the history's name."""
    differ = {}
    for history in all_histories:
        if history.name not in found:
            continue
        account = found[history.name]
        live = {s["id"]: s["status"] for s in account["subscriptions"] if s["status"] in ("active", "trialing")}
        benefits = {benefit["id"] for benefit in account["access"]["benefits"]}
        if live != history.subscriptions:
            differ[history.name] = f"subscriptions {live}, at Polar {history.subscriptions}"
        elif benefits != history.benefits:
            differ[history.name] = f"benefits differ by {sorted(benefits ^ history.benefits)}"
    return differ
