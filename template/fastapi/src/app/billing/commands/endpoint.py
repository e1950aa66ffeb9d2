"""`endpoint`: the webhook endpoint at Polar."""

import os
from collections.abc import Sequence
from enum import StrEnum
from ipaddress import ip_address
from secrets import token_hex
from typing import Annotated
from urllib.parse import urlsplit

import typer
from rich.text import Text

from app.billing.commands.audit import Record, trail
from app.billing.commands.console import AsJson, Refused, Yes, confirm, good, note, show, warn
from app.billing.commands.polar_admin import PolarAdmin, unreadable
from app.billing.commands.webhook_secret import NAME, save_to_file, split
from app.billing.events import EVENTS
from app.billing.polar_sdk import API_VERSION
from app.billing.read import Json, text
from app.cli import load_environment
from app.settings import Settings, load_settings

COMMAND = "endpoint sync"
WEBHOOK_PATH = "/webhooks/polar"
ENDPOINTS, ENDPOINT = "/v1/webhooks/endpoints", "/v1/webhooks/endpoints/{id}"
READ, WRITE = "webhooks:read", "webhooks:write"
# What the code reads: `raw` is the JSON envelope, the others are for chat rooms.
WANTED = {"api_version": API_VERSION, "enabled": True, "format": "raw"}
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

endpoint = typer.Typer(help="Look after the webhook endpoint at Polar.", no_args_is_help=True)


class Place(StrEnum):
    """Where a secret can be handed to."""

    FILE = "file"


@endpoint.command()
def sync(
    url: Annotated[str | None, typer.Option("--url", help="The address that Polar calls.")] = None,
    secret: Annotated[Place | None, typer.Option("--secret", help="Hand over the secret: to .env (file).")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")] = False,
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
    settings, known = _settings()
    with PolarAdmin(settings) as polar, trail(settings.database_url) as record:
        address = callable_address(url or settings.app_url + WEBHOOK_PATH)
        note(f"Target: Polar's {settings.polar_server}")
        kept, others = _chosen(polar.items(ENDPOINTS, READ), address, known)
        changes = _changes(kept, address)
        if not dry_run:
            _confirm_deletion(others, yes=yes)
            kept = _apply(polar, kept, changes, record)
            _delete(polar, others, record)
        state = _hand_over(kept, known, None if dry_run else secret, record)
    result: Json = {
        "url": address,
        "endpoint": kept["id"] if kept else None,
        "action": _action(changes),
        "changes": changes,
        "deleted": [other["id"] for other in others],
        "secret": state,
        "dry_run": dry_run,
    }
    show(result, _lines(result), as_json=as_json)


def _settings() -> tuple[Settings, list[str]]:
    """Read the settings and the known secrets, which need not be fit: their endpoint may not exist yet."""
    load_environment()
    known = split(os.environ.get(NAME))
    os.environ[NAME] = token_hex(32)
    return load_settings(), known


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


def _changes(kept: Json | None, address: str) -> Json:
    """Return the fields to send to Polar; with `url` they make a new endpoint, which Polar switches on by itself."""
    if kept is None:
        return {"url": address, "format": "raw", "api_version": API_VERSION, "events": list(EVENTS)}
    there = kept.get("events")
    events = there if isinstance(there, list) else []
    missing = [kind for kind in EVENTS if kind not in events]
    changes: Json = {name: value for name, value in WANTED.items() if kept.get(name) != value}
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


def _hand_over(kept: Json | None, known: Sequence[str], place: Place | None, record: Record) -> str | None:
    """Put the secret where it is wanted. Returns whether the app has it; None where Polar did not say it."""
    secret = text(kept or {}, "secret")
    if not secret:
        if place:
            raise Refused("Polar did not give the secret of the endpoint: copy it from Settings > Webhooks.")
        return None
    if kept and place:
        save_to_file(secret)
        record(f"{COMMAND} secret", kept["id"])
        note("It is in .env. The app reads its secrets when it starts.")
        return "saved"
    if secret in known:
        return "known"
    note(f"`--secret file` puts it into .env; elsewhere it goes into the secret store of your host, as {NAME}.")
    return "missing"


def _lines(result: Json) -> list[Text]:
    mark, words = (warn, SAY_PLANNED) if result["dry_run"] else (good, SAY_DONE)
    place = f"{result['endpoint']} at {result['url']}" if result["endpoint"] else result["url"]
    lines = [(mark if result["changes"] else good)(f"{words[result['action']]}: endpoint {place}")]
    lines += [mark(f"  {name}: {_shown(value)}") for name, value in result["changes"].items() if name != "url"]
    lines += [mark(f"{words['deleted']}: endpoint {one}, of the same address") for one in result["deleted"]]
    return [*lines, SAY_SECRET[result["secret"]]] if result["secret"] else lines


def _shown(value: object) -> str:
    return f"{len(value)} types" if isinstance(value, list) else str(value).lower()
