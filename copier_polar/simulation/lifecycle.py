"""Plays a scenario: keeps the objects of one customer and makes the events that Polar would send.

The language of the scenarios is described in `copier_polar.simulation`.
"""

from __future__ import annotations

import datetime as dt
import json
import re
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]

TICK = dt.timedelta(milliseconds=10)
_OFFSET = re.compile(r"@([+-]\d+)([dhms])")
_REFERENCE = re.compile(r"[$&](~?)([\w:.]+)(?: - (\d+))?")
_UNITS = {"d": "days", "h": "hours", "m": "minutes", "s": "seconds"}
_ENTITLED = ("active", "trialing", "paid", "partially_refunded")


@dataclass(frozen=True)
class Fixed:
    """A value that is read no more: text of a merchant or a user may look like a reference."""

    value: Any


@dataclass(frozen=True)
class Event:
    """One event: its `webhook-id`, and its body as Polar sends it."""

    id: str
    type: str
    body: Json

    def raw(self) -> bytes:
        """Return the bytes that are signed and sent."""
        return json.dumps(self.body).encode()


@dataclass
class Lifecycle:
    """The objects of one user's customers at Polar, and the clock they live by."""

    objects: Mapping[str, Json]
    """What an object of each kind looks like at first: `objects.json`."""
    names: Mapping[str, Any]
    """`user`, `email`, `organization`, and the products that scenarios speak of, as Polar has them."""
    api_version: str
    now: dt.datetime
    new_id: Callable[[], str] = lambda: str(uuid.uuid4())
    state: dict[str, Json] = field(default_factory=dict)
    """The objects so far, by the names that scenarios give them."""
    _grants: dict[tuple[str, str, str], str] = field(default_factory=dict)

    def play(self, line: Sequence[Any]) -> Iterator[Event]:
        """Make the events of one line, one after the other."""
        name, options, kinds = line[0], line[1] if len(line) > 1 else {}, line[2:]
        if name == "state":
            yield self._event("customer.state_changed", self.customer_state(options.get("of", "customer")))
        elif name == "grants":
            yield from self._grant_events(options, kinds)
        else:
            self.change(name, options)
            for kind in kinds:
                yield self._event(f"{kind_of(name)}.{kind}", self.snapshot(name))

    def change(self, name: str, changes: Json) -> None:
        """Change an object; one that is not there yet is made."""
        entry = self.state.get(name)
        if entry is None:
            entry = self.state[name] = {**self.objects[kind_of(name)], **changes}
            news = entry
        else:
            news = {"modified_at": "@now", **changes} if changes else {}
        entry.update({key: self._fix(value, entry) for key, value in news.items()})

    def snapshot(self, name: str) -> Json:
        """Return an object as it stands."""
        return self._plain(self.state[name])

    def of_kind(self, kind: str) -> list[Json]:
        """Return all objects of a kind, as they stand."""
        return [self.snapshot(name) for name in self.state if kind_of(name) == kind]

    def customer_state(self, name: str) -> Json:
        """Return what Polar says of a customer as a whole."""
        customer = self.snapshot(name)
        live = self._owned(
            customer["id"], "subscription", lambda entry: self._of(entry, "status") in ("active", "trialing")
        )
        granted = self._owned(customer["id"], "benefit_grant", lambda entry: self._of(entry, "is_granted"))
        return {
            **customer,
            "active_subscriptions": [self._plain(self.objects["state_subscription"], entry) for entry in live],
            "granted_benefits": [self._plain(self.objects["state_grant"], entry) for entry in granted],
            "active_meters": [self._plain(entry) for entry in self._owned(customer["id"], "customer_meter")],
        }

    def _owned(self, customer_id: str, kind: str, condition: Callable[[Json], bool] = lambda entry: True) -> list[Json]:
        entries = [entry for name, entry in self.state.items() if kind_of(name) == kind and condition(entry)]
        return [
            entry
            for entry in entries
            if customer_id in (self._of(entry, "customer_id"), self._of(entry, "_customer_id"))
        ]

    def _event(self, kind: str, data: Json) -> Event:
        body = {"type": kind, "timestamp": self._instant(), "api_version": self.api_version, "data": data}
        self.now += TICK
        return Event(self.new_id(), kind, body)

    def _grant_events(self, options: Json, kinds: Sequence[str]) -> Iterator[Event]:
        """Give and take the benefits of a purchase as it stands now; or tell `kinds` of those that are given."""
        source, member = options["of"], options.get("member", "member")
        purchase = self.state[source]
        product = self._of(purchase, "_product" if kind_of(source) == "order" else "product")
        entitled = not options.get("end") and self._of(purchase, "status") in _ENTITLED
        wanted = {benefit["id"]: benefit for benefit in product["benefits"]} if entitled else {}
        held = {benefit: name for (of, who, benefit), name in self._grants.items() if (of, who) == (source, member)}
        given = [benefit for benefit, name in held.items() if self._of(self.state[name], "is_granted")]
        for kind in kinds:
            for benefit in given:
                yield self._event(f"benefit_grant.{kind}", self.snapshot(held[benefit]))
        for benefit in [each for each in held if each in given and each not in wanted]:
            ended = {"is_granted": False, "granted_at": None, "is_revoked": True, "revoked_at": "@now"}
            yield from self.play([held[benefit], ended, "revoked"])
        for benefit in [each for each in wanted if each not in given]:
            name = self._grants.setdefault((source, member, benefit), f"benefit_grant:{len(self._grants)}")
            again = {"is_granted": True, "granted_at": "@now", "is_revoked": False, "revoked_at": None}
            first = {
                f"{kind_of(source)}_id": f"${source}.id",
                "customer": f"&{options.get('customer', 'customer')}",
                "member": f"&{member}",
                "benefit": Fixed(wanted[benefit]),
            }
            yield from self.play([name, again if name in self.state else first, "created"])

    def _fix(self, value: Any, entry: Json) -> Any:
        """Replace what is to be read when it is written."""
        match value:
            case str() if value[:1] in ("@", "$", "#"):
                return Fixed(self._read(value, entry))
            case list():
                return [self._fix(each, entry) for each in value]
            case dict():
                return {key: self._fix(each, entry) for key, each in value.items()}
        return value

    def _plain(self, entry: Json, itself: Json | None = None) -> Json:
        read = {key: self._read(value, entry if itself is None else itself) for key, value in entry.items()}
        return {key: value for key, value in read.items() if not key.startswith("_")}

    def _read(self, value: Any, entry: Json) -> Any:
        """Give a value as it goes into a body; `entry` is the object that `self` means."""
        match value:
            case Fixed():
                return value.value
            case "#":
                return self.new_id()
            case str() if value.startswith("@"):
                return self._instant(value)
            case str() if value[:1] in ("$", "&"):
                return self._follow(value, entry)
            case list():
                return [self._read(each, entry) for each in value]
            case dict():
                return {key: self._read(each, entry) for key, each in value.items()}
        return value

    def _follow(self, reference: str, entry: Json) -> Any:
        found = _REFERENCE.fullmatch(reference)
        if found is None:
            raise ValueError(f"{reference}: no reference")
        brief, path, less = found.groups()
        first, *rest = path.split(".")
        value = self._start(first, rest, entry)
        for part in rest:
            value = None if value is None else value[int(part)] if isinstance(value, list) else value.get(part)
        if brief and value is not None:
            value = {key: each for key, each in value.items() if key == "metadata" or not isinstance(each, dict | list)}
        return value - int(less) if less and isinstance(value, int) else value

    def _start(self, first: str, rest: list[str], entry: Json) -> Any:
        """Give what a path begins at. Of an object, the field in question alone: fields refer to each other."""
        if first in self.names:
            return self.names[first]
        target = entry if first == "self" else self.state.get(first)
        if target is None and kind_of(first) not in self.objects:
            raise ValueError(f"{first}: no such name")
        if target is None or not rest:
            return None if target is None else self._plain(target)
        return {rest[0]: self._of(target, rest[0])}

    def _of(self, entry: Json, key: str) -> Any:
        return self._read(entry.get(key), entry)

    def _instant(self, text: str = "@now") -> str:
        found = _OFFSET.fullmatch(text)
        offset = dt.timedelta(**{_UNITS[found[2]]: int(found[1])}) if found else dt.timedelta()
        return (self.now + offset).astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def kind_of(name: str) -> str:
    """Return `order` for `order:renewal`."""
    return name.partition(":")[0]
