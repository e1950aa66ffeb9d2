"""The caller's address: Polar picks the currency and the tax by it."""

import re
from collections.abc import Collection, Iterable
from ipaddress import ip_address, ip_network

from fastapi import Request

from app.settings import UNIX_SOCKET

# As proxies write them: with a port or without, IPv6 in brackets where there is one.
WITH_PORT = re.compile(r"(?:\[(?P<v6>[0-9a-fA-F:.]+)\]|(?P<v4>[0-9.]+))(?::[0-9]{1,5})?")


def client_ip(request: Request, trusted_proxies: Collection[str]) -> str | None:
    """Return the peer, or, behind trusted proxies, the nearest hop in X-Forwarded-For that is none of them."""
    peer = request.client.host if request.client else ""
    hops = [hop.strip() for value in request.headers.getlist("x-forwarded-for") for hop in value.split(",")]
    address = _valid(peer)
    if not peer and hops and UNIX_SOCKET in trusted_proxies:
        address = _valid(hops.pop())
    while address is not None and hops and _is_within(address, trusted_proxies):
        address = _valid(hops.pop())
    return address


def _valid(text: str) -> str | None:
    found = WITH_PORT.fullmatch(text)
    try:
        return str(ip_address(text if found is None else found["v6"] or found["v4"]))
    except ValueError:
        return None


def _is_within(address: str, networks: Iterable[str]) -> bool:
    return any(ip_address(address) in ip_network(network) for network in networks if network != UNIX_SOCKET)
