"""`simulate`: plays what happens at Polar to the running app."""

import re
import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Annotated

import typer
from rich.text import Text

from app.auth.user import is_user_id
from app.billing.catalog import catalog
from app.billing.commands.console import (
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
from app.billing.commands.project import open_settings
from app.billing.events import EVENTS
from app.billing.simulation.play import Played, Told, arranged, play
from app.billing.simulation.running_app import RunningApp
from app.billing.simulation.scenarios import Scenario, begin, read_scenarios, roles_in, single_events, why_not
from app.billing.simulation.sign_in import sign_in
from app.settings import Settings

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
    settings: Settings
    user: str | None
    header: str | None
    duplicates: bool
    seed: int | None

    def scenario(self, scenario: Scenario) -> Life:
        """Play a scenario, unless the catalogue lacks what it is about."""
        if skipped := why_not(scenario, roles_in(catalog)):
            return Life(scenario.name, None, skipped, None, [])
        user = self._user()
        life = begin(catalog, user)
        told = [
            Told(step.about, step.access, [event for line in step.lines for event in life.play(line)])
            for step in scenario.steps
        ]
        return self._play(scenario.name, user, told)

    def event(self, kind: str) -> Life:
        """Send one event of a type, about a life that the app was told nothing else of."""
        user = self._user()
        event = single_events(catalog, user).get(kind)
        if event is None:
            raise Refused(f"No scenario that fits the catalogue has an event {kind}.")
        return self._play(kind, user, [Told("a single event", None, [event])])

    def _user(self) -> str:
        return self.user or f"simulated-{secrets.token_hex(4)}"

    def _play(self, name: str, user: str, told: Sequence[Told]) -> Life:
        header = self.header or sign_in(self.settings, user)
        steps = play(self.app, header, arranged(told, self.duplicates, self.seed))
        return Life(name, user, None, all(step.as_expected for step in steps), steps)


def simulate(
    scenarios: Annotated[list[str] | None, typer.Argument(help="Scenarios to play; none lists them.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Play every scenario.")] = False,
    event: Annotated[str | None, typer.Option("--event", help="Send a single event of this type instead.")] = None,
    duplicates: Annotated[bool, typer.Option("--duplicates", help="Deliver every event twice.")] = False,
    shuffle: Annotated[bool, typer.Option("--shuffle", help="Deliver the events in another order.")] = False,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Which other order.")] = 1,
    user: Annotated[str | None, typer.Option("--user", help="The user's id; a new user by default.")] = None,
    header: Annotated[
        str | None, typer.Option("--header", help="NAME: VALUE of the header that signs the user in.")
    ] = None,
    url: Annotated[str, typer.Option("--url", help="The address of the running app.")] = "http://127.0.0.1:8000",
    as_json: AsJson = False,
) -> None:
    """Play what happens at Polar to the running app.

    A scenario is the life of a user who buys your products. Its events are signed and delivered as by Polar, and the
    access before and after each step is shown beside the one that is expected; ends with 1 where it is another one.
    Neither network nor an account is needed. Only an app on this machine is played to, and what happens is written to
    its database. Polar knows nothing of it, so that a reconciliation takes it back.

    Example: uv run billing simulate buy past_due recover
    """
    known = read_scenarios()
    chosen = _choose(known, scenarios or [], every, event)
    _check(user, header)
    if not chosen and event is None:
        _list(known, as_json)
        return
    settings = open_settings()
    if settings.production:
        raise Refused("POLAR_SERVER is production: nothing is simulated there.")
    app = RunningApp(url, settings.polar_webhook_secret[0].get_secret_value())
    simulation = Simulation(app, settings, user, header, duplicates, seed if shuffle else None)
    lives = _play_all(simulation, chosen) if event is None else [simulation.event(event)]
    is_expected = _show(lives, url, as_json)
    if len(lives) < len(chosen):
        end_interrupted(len(lives), len(chosen), "What was played stays in the database.")
    if not is_expected:
        raise typer.Exit(1)


def _choose(known: Mapping[str, Scenario], named: Sequence[str], every: bool, event: str | None) -> list[Scenario]:
    """Return the scenarios that are asked for."""
    if [bool(named), every, event is not None].count(True) > 1:
        raise typer.BadParameter("scenarios, --all and --event exclude each other")
    for name in named:
        if name not in known:
            raise typer.BadParameter(f"no scenario is called {name}; `simulate` lists them")
    if event is not None and event not in EVENTS:
        raise typer.BadParameter(f"Polar has no event type {event}", param_hint="--event")
    return list(known.values()) if every else [known[name] for name in named]


def _check(user: str | None, header: str | None) -> None:
    if user is not None and not is_user_id(user):
        raise typer.BadParameter("must be 1 to 255 characters", param_hint="--user")
    if header is not None and (user is None or not HEADER.fullmatch(header)):
        raise typer.BadParameter("must be NAME: VALUE, with the --user that it signs in", param_hint="--header")


def _play_all(simulation: Simulation, chosen: Sequence[Scenario]) -> list[Life]:
    """Play scenarios, as many as there are before Ctrl-C."""
    lives = []
    with interruptible() as interrupted:
        for scenario in progress(chosen, "Simulating", len(chosen)):
            lives.append(simulation.scenario(scenario))
            if interrupted():
                break
    return lives


def _list(known: Mapping[str, Scenario], as_json: bool) -> None:
    roles = roles_in(catalog)
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
