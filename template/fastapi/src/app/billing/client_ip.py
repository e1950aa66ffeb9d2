"""The caller's address: Polar picks the currency and the tax by it."""

from collections.abc import Iterable
from ipaddress import ip_address, ip_network

from fastapi import Request


def client_ip(request: Request, trusted_proxies: Iterable[str]) -> str | None:
    """Return the peer, or, behind trusted proxies, the nearest hop in X-Forwarded-For that is none of them."""
    peer = request.client.host if request.client else ""
    hops = [hop.strip() for value in request.headers.getlist("x-forwarded-for") for hop in value.split(",")]
    address = _valid(peer)
    while address is not None and hops and _is_within(address, trusted_proxies):
        address = _valid(hops.pop())
    return address


def _valid(text: str) -> str | None:
    try:
        return str(ip_address(text.removeprefix("[").partition("]")[0] if text.startswith("[") else text))
    except ValueError:
        return None


def _is_within(address: str, networks: Iterable[str]) -> bool:
    return any(ip_address(address) in ip_network(network) for network in networks)
