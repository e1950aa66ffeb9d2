"""`endpoint`: the webhook endpoint at Polar."""

from __future__ import annotations

import os
from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cached_property
from ipaddress import ip_address
from secrets import token_hex
from typing import Annotated
from urllib.parse import urlsplit

import typer
from rich.text import Text
from typer.core import TyperCommand, TyperGroup

from copier_polar.audit import Record, trail
from copier_polar.bridge import SettingsProblem
from copier_polar.console import AsJson, Refused, Yes, confirm, good, note, show, warn
from copier_polar.facts import Facts
from copier_polar.polar import Json
from copier_polar.polar_admin import PolarAdmin, unreadable
from copier_polar.project import Opened, Store, chosen, open_bridge, store_of
from copier_polar.read import text
from copier_polar.webhook_secret import NAME, require_file, save_to_file, save_to_worker, split

COMMAND = "endpoint sync"
WEBHOOK_PATH = "/webhooks/polar"
ENDPOINTS, ENDPOINT = "/v1/webhooks/endpoints", "/v1/webhooks/endpoints/{id}"
READ, WRITE = "webhooks:read", "webhooks:write"
SAY_DONE = {"created": "Created", "repaired": "Repaired", "unchanged": "Nothing to change", "deleted": "Deleted"}
SAY_PLANNED = {
    "created": "To be created",
    "repaired": "To be repaired",
    "unchanged": "Nothing to change",
    "deleted": "To be deleted",
}
SAY_SECRET = {
    "known": good("The app has its secret."),
    "missing": warn("The app does not have its secret."),
    "saved": good("Its secret is handed over."),
}
NOT_PUBLIC = (".localhost", ".local", ".internal")
SECRET_HELP = {
    "worker": "Hand over the secret: to .dev.vars (file), or to the deployed Worker (wrangler).",
    "fastapi": "Hand over the secret: to .env (file).",
}
SAY_HOW = {
    "worker": f"`--secret file` puts it into .dev.vars, `--secret wrangler` into the deployed Worker, as {NAME}.",
    "fastapi": f"`--secret file` puts it into .env; elsewhere it goes into the secret store of your host, as {NAME}.",
}
SAY_SAVED = {
    "worker": "It is in .dev.vars. The Worker reads its secrets when it starts.",
    "fastapi": "It is in .env. The app reads its secrets when it starts.",
}
SAY_DEPLOYED = f"The deployed Worker has it. Older ones stay beside it only where {NAME} of the environment names them."

endpoint = typer.Typer(help="Look after the webhook endpoint at Polar.", no_args_is_help=True)


class Place(StrEnum):
    """Where a secret can be handed to."""

    FILE = "file"
    WRANGLER = "wrangler"


PLACES = {"worker": (Place.FILE, Place.WRANGLER), "fastapi": (Place.FILE,)}


@dataclass(frozen=True)
class WithAnySecret(Opened):
    """A project whose webhook secret may be unfit: the endpoint that has the right one may not exist yet."""

    def require_settings(self) -> None:
        """Raise SettingsProblem where anything else is unfit."""
        lines = self.facts.settings.problem.splitlines()
        if others := [line for line in lines if not line.startswith(f"{NAME}: ")]:
            raise SettingsProblem("\n".join(others))

    @cached_property
    def known(self) -> list[str] | None:
        """The secrets that the app has; None where that cannot be told: what is deployed cannot be read back."""
        secrets = split(self.settings.get(NAME))
        is_elsewhere = self.store.remote or self.project.bridge_command is not None
        return None if is_elsewhere and not secrets else secrets


def tailor(command: TyperCommand | TyperGroup, runtime: str) -> None:
    """Offer the places that a secret can be handed to in this runtime. The command line calls it."""
    for each in getattr(command, "commands", {}).values():
        for option in each.params:
            if option.name == "secret":
                option.help, option.metavar = SECRET_HELP[runtime], f"[{'|'.join(PLACES[runtime])}]"


@endpoint.command()
def sync(
    url: Annotated[str | None, typer.Option("--url", help="The address that Polar calls.")] = None,
    secret: Annotated[Place | None, typer.Option("--secret", help=SECRET_HELP["worker"])] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")] = False,
    remote: Annotated[
        bool,
        typer.Option(
            "--remote",
            help="With the variables of wrangler.jsonc; the access token comes from the environment. The audit row goes"
            " to the deployed database.",
        ),
    ] = False,
    persist_to: Annotated[
        str | None,
        typer.Option(
            "--persist-to", metavar="<folder>", help="The audit row goes to the local database in this folder."
        ),
    ] = None,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Create or repair the webhook endpoint at Polar.

    It is found by its address, which is APP_URL with /webhooks/polar if none is given: run twice, there is one. It is
    switched on, and sends every event that this project knows, in the format and the API version that the code reads.
    Others of the same address are deleted, since they send every event once more. The secret is never shown: --secret
    puts it where the app reads it, beside older ones.

    Example: uv run billing endpoint sync --dry-run
    """
    with _opened(store_of(remote, persist_to), secret) as opened:
        result = _synced(opened, url, None if dry_run else secret, dry_run=dry_run, yes=yes)
    show(result, _lines(result), as_json=as_json)


@contextmanager
def _opened(store: Store, place: Place | None) -> Generator[WithAnySecret]:
    """Open the project with a random webhook secret, so that a wrong one hides nothing else that is wrong."""
    if place and place not in PLACES[chosen().runtime]:
        raise typer.BadParameter(f"'{place}' is not 'file'.", param_hint="'--secret'")
    with ExitStack() as stack:
        with _random_secret():
            opened = stack.enter_context(open_bridge(replace(store, remote=True) if place is Place.WRANGLER else store))
        yield WithAnySecret(opened.project, opened.bridge, opened.store)


@contextmanager
def _random_secret() -> Generator[None]:
    """Put it into the environment of what is started meanwhile."""
    before = os.environ.get(NAME)
    os.environ[NAME] = token_hex(32)
    try:
        yield
    finally:
        del os.environ[NAME]
        if before is not None:
            os.environ[NAME] = before


def _synced(opened: WithAnySecret, url: str | None, place: Place | None, *, dry_run: bool, yes: bool) -> Json:
    """Do it, and return what was done."""
    with PolarAdmin.of(opened) as polar, trail(opened) as record:
        address = callable_address(url or f"{opened.facts.settings.app_url}{WEBHOOK_PATH}")
        note(f"Target: Polar's {opened.facts.settings.server}")
        if place is Place.FILE:
            require_file(opened.project)
        kept, others = _chosen(polar.items(ENDPOINTS, READ), address, opened.known or [])
        changes = _changes(opened.facts, kept, address)
        if not dry_run:
            _confirm_deletion(others, yes=yes)
            kept = _apply(polar, kept, changes, record)
            _delete(polar, others, record)
        state = _hand_over(opened, kept, place, record)
    return {
        "url": address,
        "endpoint": kept["id"] if kept else None,
        "action": _action(changes),
        "changes": changes,
        "deleted": [other["id"] for other in others],
        "secret": state,
        "dry_run": dry_run,
    }


def callable_address(url: str) -> str:
    """Return an address that Polar can call. Raises Refused for what it answers 422 to: http, localhost, private hosts.

    A user name in it is refused too: addresses are shown.
    """
    try:
        parts = urlsplit(url.strip())
        public = parts.scheme == "https" and _is_public(parts.hostname or "") and parts.port != 0
    except ValueError:
        raise Refused("The address of the endpoint cannot be read.") from None
    if "@" in parts.netloc or parts.fragment:
        raise Refused("The address of the endpoint must have no user name and no fragment.")
    if not public:
        raise Refused(f"Polar cannot call {url}: it takes public https addresses. Set APP_URL, or give another --url.")
    return url.strip()


def _is_public(host: str) -> bool:
    try:
        return ip_address(host).is_global
    except ValueError:
        return "." in host and not host.endswith(NOT_PUBLIC)


def _chosen(endpoints: Sequence[Json], address: str, known: Sequence[str]) -> tuple[Json | None, list[Json]]:
    """Find the endpoints of an address: the one to keep, and the others.

    Kept is the one whose secret the app has, else one that is switched on, else the oldest.
    """

    def rank(one: Json) -> str:
        unknown, off = one.get("secret") not in known, one.get("enabled") is not True
        return f"{unknown:d}{off:d}{text(one, 'created_at')}{one['id']}"

    ours = sorted((one for one in endpoints if _normal(text(one, "url")) == _normal(address)), key=rank)
    return (ours[0], ours[1:]) if ours else (None, [])


def _normal(url: str | None) -> tuple[str, str | None, int | None, str, str] | None:
    """Return what makes an address the same: not the case of the host, nor a slash at the end."""
    try:
        parts = urlsplit((url or "").strip())
        return parts.scheme, parts.hostname, parts.port or 443, parts.path.rstrip("/"), parts.query
    except ValueError:
        return None


def _changes(facts: Facts, kept: Json | None, address: str) -> Json:
    """Return the fields to send to Polar; with `url` they make a new endpoint, which Polar switches on by itself."""
    # What the code reads: `raw` is the JSON envelope, the others are for chat rooms.
    wanted: Json = {"api_version": facts.api_version, "enabled": True, "format": "raw"}
    if kept is None:
        return {"url": address, "format": "raw", "api_version": facts.api_version, "events": list(facts.events)}
    there = kept.get("events")
    events = there if isinstance(there, list) else []
    missing = [kind for kind in facts.events if kind not in events]
    changes = {name: value for name, value in wanted.items() if kept.get(name) != value}
    return {**changes, "events": [*events, *missing]} if missing else changes


def _action(changes: Json) -> str:
    if not changes:
        return "unchanged"
    return "created" if "url" in changes else "repaired"


def _confirm_deletion(others: Sequence[Json], *, yes: bool) -> None:
    if others:
        ids = ", ".join(other["id"] for other in others)
        confirm(f"Delete {len(others)} more of the same address ({ids})?", yes=yes)


def _apply(polar: PolarAdmin, kept: Json | None, changes: Json, record: Record) -> Json:
    """Create or change the endpoint, and return it as Polar has it now."""
    if kept is not None and not changes:
        return kept
    if kept is None:
        kept = polar.ask("POST", ENDPOINTS, WRITE, body=changes)
        if not isinstance(kept.get("id"), str):
            raise Refused(unreadable(201))
    else:
        kept |= polar.ask("PATCH", ENDPOINT, WRITE, ids={"id": kept["id"]}, body=changes)
    record(COMMAND, kept["id"])
    return kept


def _delete(polar: PolarAdmin, others: Sequence[Json], record: Record) -> None:
    for other in others:
        polar.ask("DELETE", ENDPOINT, WRITE, ids={"id": other["id"]})
        record(f"{COMMAND} delete", other["id"])


def _hand_over(opened: WithAnySecret, kept: Json | None, place: Place | None, record: Record) -> str | None:
    """Put the secret where it is wanted. Returns whether the app has it; None where that cannot be told."""
    secret = text(kept or {}, "secret")
    if not secret:
        if place:
            raise Refused("Polar did not give the secret of the endpoint: copy it from Settings > Webhooks.")
        return None
    if kept and place:
        _save(opened, secret, place)
        record(f"{COMMAND} secret", kept["id"])
        return "saved"
    if secret in (opened.known or []):
        return "known"
    note(SAY_HOW[opened.project.runtime])
    return None if opened.known is None else "missing"


def _save(opened: WithAnySecret, secret: str, place: Place) -> None:
    if place is Place.FILE:
        save_to_file(opened.project, secret)
        note(SAY_SAVED[opened.project.runtime])
    else:
        save_to_worker(opened.project, opened.known or [], secret)
        note(SAY_DEPLOYED)


def _lines(result: Json) -> list[Text]:
    mark, words = (warn, SAY_PLANNED) if result["dry_run"] else (good, SAY_DONE)
    place = f"{result['endpoint']} at {result['url']}" if result["endpoint"] else result["url"]
    lines = [(mark if result["changes"] else good)(f"{words[result['action']]}: endpoint {place}")]
    lines += [mark(f"  {name}: {_shown(value)}") for name, value in result["changes"].items() if name != "url"]
    lines += [mark(f"{words['deleted']}: endpoint {one}, of the same address") for one in result["deleted"]]
    return [*lines, SAY_SECRET[result["secret"]]] if result["secret"] else lines


def _shown(value: object) -> str:
    return f"{len(value)} types" if isinstance(value, list) else str(value).lower()
