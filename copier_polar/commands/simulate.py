"""`simulate`: plays what happens at Polar to the running app."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Annotated

import typer
from rich.text import Text

from copier_polar.console import (
    AsJson,
    Refused,
    bad,
    columns,
    end_interrupted,
    good,
    interruptible,
    note,
    progress,
    show,
    warn,
)
from copier_polar.facts import Facts
from copier_polar.project import ADDRESSES, Opened, Project, Store, chosen
from copier_polar.simulation.play import Played, Told, arranged, play
from copier_polar.simulation.running_app import START, RunningApp
from copier_polar.simulation.scenarios import Scenario, begin, read_scenarios, roles_in, single_events, why_not
from copier_polar.simulation.sign_in import USER, bearer, filled_in
from copier_polar.user import is_user_id

HEADER = re.compile(r"[\w-]+:[\x20-\x7e]+", re.ASCII)
HEAD = ("step", "event", "answer", "access", "expected")
WORDS = {True: "yes", False: "no", None: "?"}


@dataclass(frozen=True)
class Life:
    """What became of a scenario; `skipped` says why it was not played."""

    name: str
    user: str | None
    skipped: str | None
    as_expected: bool | None
    steps: Sequence[Played]


@dataclass(frozen=True)
class Simulation:
    """What is the same for every scenario that is played."""

    app: RunningApp
    facts: Facts
    user: str | None
    header: str | None
    jwt_secret: str | None
    duplicates: bool
    seed: int | None

    def scenario(self, scenario: Scenario) -> Life:
        """Play a scenario, unless the catalogue lacks what it is about."""
        if skipped := why_not(scenario, roles_in(self.facts.catalogue)):
            return Life(scenario.name, None, skipped, None, [])
        user = self._user()
        life = begin(self.facts, user)
        days = self.facts.grace_days
        told = [
            Told(step.about, step.access_with(days), [event for line in step.lines for event in life.play(line)])
            for step in scenario.steps
        ]
        return self._play(scenario.name, user, told)

    def event(self, kind: str) -> Life:
        """Send one event of a type, about a life that the app was told nothing else of."""
        user = self._user()
        event = single_events(self.facts, user).get(kind)
        if event is None:
            raise Refused(f"No scenario that fits the catalogue has an event {kind}.")
        return self._play(kind, user, [Told("a single event", None, [event])])

    def _user(self) -> str:
        return self.user or f"simulated-{secrets.token_hex(4)}"

    def _play(self, name: str, user: str, told: Sequence[Told]) -> Life:
        steps = play(self.app, self._sign_in(user), arranged(told, self.duplicates, self.seed))
        return Life(name, user, None, all(step.as_expected for step in steps), steps)

    def _sign_in(self, user: str) -> str | None:
        """Return the header that signs a user in; None where only the project knows how."""
        if self.header is not None:
            return filled_in(self.header, user)
        return None if self.jwt_secret is None else bearer(self.jwt_secret, self.facts.settings, user)


def simulate(
    scenarios: Annotated[list[str] | None, typer.Argument(help="Scenarios to play; none lists them.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Play every scenario.")] = False,
    event: Annotated[str | None, typer.Option("--event", help="Send a single event of this type instead.")] = None,
    duplicates: Annotated[bool, typer.Option("--duplicates", help="Deliver every event twice.")] = False,
    shuffle: Annotated[bool, typer.Option("--shuffle", help="Deliver the events in another order.")] = False,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Which other order.")] = 1,
    user: Annotated[str | None, typer.Option("--user", help="The user's id; a new user by default.")] = None,
    header: Annotated[
        str | None,
        typer.Option("--header", help="NAME: VALUE of the header that signs the user in; {user} in it is the id."),
    ] = None,
    url: Annotated[str | None, typer.Option("--url", help="The address of the running app.")] = None,
    as_json: AsJson = False,
) -> None:
    """Play what happens at Polar to the running app.

    A scenario is the life of a user who buys your products. Its events are signed and delivered as by Polar, and the
    access before and after each step is shown beside the one that is expected; ends with 1 where it is another one.
    Neither network nor an account is needed. Only an app on this machine is played to, and what happens is written to
    its database. Polar knows nothing of it, so that a reconciliation takes it back.

    Example: uv run billing simulate buy past_due recover
    """
    _check(user, header)
    known = read_scenarios()
    named = _named(known, scenarios or [], every, event)
    project = chosen()
    with project.start_bridge(Store()) as bridge:
        opened = Opened(project, bridge)
        if not named and event is None:
            _list(opened.facts, known, as_json)
            return
        if event is not None and event not in opened.facts.events:
            raise typer.BadParameter(f"Polar has no event type {event}", param_hint="--event")
        opened.require_settings()
        facts, settings = opened.facts, opened.settings
    app = _app(project, facts, settings, ADDRESSES[project.runtime] if url is None else url)
    jwt_secret = settings.get("AUTH_JWT_SECRET") if project.answers.get("auth") == "jwt" else None
    simulation = Simulation(app, facts, user, header, jwt_secret, duplicates, seed if shuffle else None)
    lives = _play_all(simulation, named) if event is None else [simulation.event(event)]
    is_expected = _show(lives, app.url, as_json)
    if len(lives) < len(named):
        end_interrupted(len(lives), len(named), "What was played stays in the database.")
    if not is_expected:
        raise typer.Exit(1)


def _named(known: Mapping[str, Scenario], names: Sequence[str], every: bool, event: str | None) -> list[Scenario]:
    """Return the scenarios that are asked for."""
    if [bool(names), every, event is not None].count(True) > 1:
        raise typer.BadParameter("scenarios, --all and --event exclude each other")
    for name in names:
        if name not in known:
            raise typer.BadParameter(f"no scenario is called {name}; `simulate` lists them")
    return list(known.values()) if every else [known[name] for name in names]


def _check(user: str | None, header: str | None) -> None:
    if user is not None and not is_user_id(user):
        raise typer.BadParameter("must be 1 to 255 characters", param_hint="--user")
    if header is None:
        return
    if (user is None and USER not in header) or not HEADER.fullmatch(filled_in(header, user or "")):
        raise typer.BadParameter(
            "must be NAME: VALUE, with {user} in it or with the --user that it signs in", param_hint="--header"
        )


def _app(project: Project, facts: Facts, settings: Mapping[str, str], url: str) -> RunningApp:
    """Return the app that is played to. Raises Refused where nothing is simulated."""
    if "production" in (facts.settings.server, settings.get("POLAR_SERVER", "").strip()):
        raise Refused("POLAR_SERVER is production: nothing is simulated there.")
    keys = [key for part in settings.get("POLAR_WEBHOOK_SECRET", "").split(",") if (key := part.strip())]
    if not keys:
        raise Refused("POLAR_WEBHOOK_SECRET is not set here, so there is nothing to sign with.")
    return RunningApp(url, keys[0], START[project.runtime])


def _play_all(simulation: Simulation, chosen: Sequence[Scenario]) -> list[Life]:
    """Play scenarios, as many as there are before Ctrl-C."""
    lives = []
    with interruptible() as interrupted:
        for scenario in progress(chosen, "Simulating", len(chosen)):
            lives.append(simulation.scenario(scenario))
            if interrupted():
                break
    return lives


def _list(facts: Facts, known: Mapping[str, Scenario], as_json: bool) -> None:
    roles = roles_in(facts.catalogue)
    rows = [(each.name, each.about, why_not(each, roles)) for each in known.values()]
    names = ("name", "about", "skipped")
    lines = columns([(name, f"{about} (Skipped: {skipped}.)" if skipped else about) for name, about, skipped in rows])
    show({"scenarios": [dict(zip(names, row, strict=True)) for row in rows]}, lines, as_json=as_json)


def _show(lives: Sequence[Life], url: str, as_json: bool) -> bool:
    """Show what was played. Returns whether something was, and all of it as expected."""
    wrong = sum(life.as_expected is False for life in lives)
    skipped = sum(life.skipped is not None for life in lives)
    if any(step.after is None for life in lives for step in life.steps):
        note("The access cannot be asked: sign the user in with --header and --user.")
    lines = [line for life in lives for line in _timeline(life)]
    lines.append(f"Played: {len(lives) - skipped}, not as expected: {wrong}, skipped: {skipped}.")
    show({"url": url, "scenarios": [asdict(life) for life in lives]}, lines, as_json=as_json)
    return not wrong and skipped < len(lives)


def _timeline(life: Life) -> Iterator[str | Text]:
    if life.skipped is not None:
        yield warn(f"{life.name}: skipped, for it {life.skipped}.")
    else:
        yield f"{life.name} of {life.user}"
        yield from (f"  {line}" for line in columns([HEAD, *(row for step in life.steps for row in _rows(step))]))
        yield good("As expected.") if life.as_expected else bad("Not as expected.")
    yield ""


def _rows(step: Played) -> Iterator[Sequence[str]]:
    """Return one row for each event, with the access beside the last."""
    do = step.do
    for event in step.events[:-1]:
        yield do, event.type, str(event.status), "", ""
        do = ""
    access = f"{WORDS[step.before]} -> {WORDS[step.after]}"
    for event in step.events[-1:]:
        yield do, event.type, str(event.status), access, WORDS[step.expected]
