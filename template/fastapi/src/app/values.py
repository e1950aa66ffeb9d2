"""What a value of the environment may look like, whoever put it there. The other runtime has the same rules."""

import re
import unicodedata
from ipaddress import IPv6Address
from typing import Literal

Kind = Literal["word", "text", "list"]

MAX_LENGTH: dict[Kind, int] = {"word": 4096, "text": 4096, "list": 16384}
# Blanks, line ends and marks that editors, shells and secret stores leave around a value.
AROUND = "\t\n\v\f\r \u0085\u00a0\u200b\u2028\u2029\ufeff"
QUOTES = "\"'`"
PRINTABLE = re.compile("[!-~]+")
# Syntax of other tools: a shell, a template or a secret store should have put the value in its place.
REFERENCE = re.compile(
    r"\$\{|\$\(|\{\{|^\$\w+$|^%\w+%$|^<.*>$|^[\[{(].*[\]})]$|^ENC\[|^@Microsoft\.KeyVault|^arn:aws|^projects/[^/]+/secrets/"
    r"|^!(Ref|Sub|GetAtt)\b|^(secretref|vault):"
    r"|^(op|vault|secret|secrets|sops|ssm|doppler|infisical|bws|file|env|ref\+\w+)://",
    re.ASCII,
)
# Words of examples, which are published.
PLACEHOLDER = re.compile(
    r"change[-_ ]?me|generated-at-first-start|example|placeholder|replace[-_ ]?me|your[-_ ]|at[-_ ]least[-_ ]"
    r"|09d25e094faa|\.\.\.",
    re.IGNORECASE,
)
HOST = r"(?:[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?\.)*(?!0x)[a-z](?:[a-z0-9_-]*[a-z0-9])?"
OCTET = r"(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
ADDRESS = re.compile(
    rf"(?P<scheme>https?)://(?P<host>{HOST}|(?:{OCTET}\.){{3}}{OCTET}|\[(?P<v6>[0-9a-f:]+)\])"
    rf"(?::(?P<port>[1-9][0-9]{{0,4}}))?(?P<path>/[^\\#]*)?",
    re.IGNORECASE,
)
DEFAULT_PORTS = {"http": "80", "https": "443"}


def trimmed(value: str) -> str | None:
    """Return a value without what surrounds it; None when nothing is left."""
    return value.strip(AROUND) or None


def entries(value: str) -> tuple[str, ...]:
    """Return the entries of a comma-separated list: trimmed, without empty ones."""
    return tuple(part for item in value.split(",") if (part := item.strip(AROUND)))


def objection(value: str, kind: Kind) -> str | None:
    """Return what is wrong with a trimmed value of a kind, or None. It does not repeat the value."""
    if len(value) > MAX_LENGTH[kind]:
        return "is too long."
    if kind == "list":
        return next((wrong for part in entries(value) if (wrong := _objection(part, "text"))), None)
    return _objection(value, kind)


def _objection(value: str, kind: Kind) -> str | None:
    if len(value) > 1 and value[0] in QUOTES and value[0] == value[-1]:
        return "has quotes around the value: remove them."
    if REFERENCE.search(value):
        return "is a reference that nothing has replaced by its value."
    if kind == "word" and not PRINTABLE.fullmatch(value):
        return "must not have blanks, line breaks or characters outside ASCII."
    if kind == "text" and any(unicodedata.category(character)[0] == "C" for character in value):
        return "must not have line breaks or control characters."
    return None


def is_example(value: str) -> bool:
    """Whether a value is, or contains, what examples say."""
    return PLACEHOLDER.search(value) is not None


def is_address(url: str) -> bool:
    """Whether a value is an http or https address, without a user and a fragment."""
    return _parts(url) is not None


def origin(url: str) -> str:
    """Return the origin that an address is, such as https://example.com or http://localhost:3000."""
    parts = _parts(url.lower())
    if parts is None or parts["path"] not in {None, "/"}:
        raise ValueError("must be an origin such as https://app.example.com.")
    port = parts["port"]
    place = f"{parts['scheme']}://{parts['host']}"
    return place if port is None or port == DEFAULT_PORTS[parts["scheme"]] else f"{place}:{port}"


def _parts(url: str) -> re.Match[str] | None:
    found = ADDRESS.fullmatch(url)
    if found is None or int(found["port"] or "1") > 65535:
        return None
    return found if found["v6"] is None or _is_short(found["v6"].lower()) else None


def _is_short(address: str) -> bool:
    """Whether an IPv6 address is written in its one short form."""
    try:
        return str(IPv6Address(address)) == address
    except ValueError:
        return False
