"""Plays events to the running app, and asks for the access between them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from copier_polar.simulation.lifecycle import Event
from copier_polar.simulation.running_app import RunningApp

ACCEPTED = 202


@dataclass(frozen=True)
class Told:
    """A step with the events that tell of it, and the access after it; None where that is not known."""

    do: str
    expected: bool | None
    events: Sequence[Event]


@dataclass(frozen=True)
class Delivered:
    """An event that was delivered, and the status of the answer."""

    type: str
    webhook_id: str
    status: int


@dataclass(frozen=True)
class Played:
    """A step that was played, and the access before and after it; None where it cannot be asked."""

    do: str
    before: bool | None
    after: bool | None
    expected: bool | None
    events: Sequence[Delivered]

    @property
    def as_expected(self) -> bool:
        """Whether every event was accepted, and the access is not another one than expected."""
        differs = None not in (self.after, self.expected) and self.after is not self.expected
        return not differs and all(event.status == ACCEPTED for event in self.events)


def play(app: RunningApp, header: str | None, told: Sequence[Told]) -> list[Played]:
    """Deliver the events step by step; the header signs the user in. Raises Refused when the app does not take part."""
    return [_play(app, header, step) for step in told]


def arranged(told: Sequence[Told], duplicates: bool, seed: int | None) -> list[Told]:
    """Return the steps with every event twice, if wanted, and as one step in another order, if there is a seed."""
    times = 2 if duplicates else 1
    steps = [Told(step.do, step.expected, [event for event in step.events for _ in range(times)]) for step in told]
    return steps if seed is None else [_shuffled(steps, seed)]


def _play(app: RunningApp, header: str | None, told: Told) -> Played:
    before = _access(app, header)
    events = [Delivered(event.type, event.id, app.deliver(event)) for event in told.events]
    return Played(told.do, before, _access(app, header), told.expected, events)


def _access(app: RunningApp, header: str | None) -> bool | None:
    return None if header is None else app.access(header)


def _shuffled(told: Sequence[Told], seed: int) -> Told:
    """Return one step with all events, in an order that the seed decides, the same everywhere."""
    events = [event for step in told for event in step.events]
    places = sorted(range(len(events)), key=lambda place: hashlib.sha256(f"{seed}/{place}".encode()).digest())
    return Told(f"all of it, in the order of seed {seed}", told[-1].expected, [events[place] for place in places])
