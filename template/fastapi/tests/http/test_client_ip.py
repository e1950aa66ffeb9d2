"""Whose address Polar is told: it picks the currency and the tax by it."""

from collections.abc import Callable

import pytest
from fastapi.testclient import TestClient

from tests.support.app import APP_URL, Shop


def told(shop: Shop, peer: str, forwarded: list[str]) -> str | None:
    """Return the address that reached Polar."""
    client = TestClient(shop.client.app, client=(peer, 1), base_url=APP_URL)
    headers = [("x-test-user", '{"id": "user_1"}'), *(("x-forwarded-for", value) for value in forwarded)]
    assert client.post("/billing/checkout", json={"product": "lifetime"}, headers=headers).status_code == 201
    address: str | None = shop.polar.body_of("POST", "/v1/checkouts/").get("customer_ip_address")
    return address


@pytest.mark.parametrize(
    ("trusted", "peer", "forwarded", "address"),
    [
        ("", "203.0.113.9", [], "203.0.113.9"),
        ("", "203.0.113.9", ["198.51.100.1"], "203.0.113.9"),
        ("10.0.0.1", "203.0.113.9", ["198.51.100.1"], "203.0.113.9"),
        ("10.0.0.1", "10.0.0.1", ["198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", "10.0.0.1", ["6.6.6.6, 198.51.100.1"], "198.51.100.1"),
        ("10.0.0.0/8", "10.0.0.1", ["6.6.6.6, 198.51.100.1, 10.9.9.9"], "198.51.100.1"),
        ("10.0.0.0/8", "10.0.0.1", ["6.6.6.6", "198.51.100.1"], "198.51.100.1"),
        ("10.0.0.0/8", "10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", "10.0.0.1", ["nonsense"], None),
        ("10.0.0.1", "10.0.0.1", ["2001:db8::1"], "2001:db8::1"),
        ("10.0.0.1, 2001:db8::/32", "10.0.0.1", ["198.51.100.1, 2001:db8::5"], "198.51.100.1"),
        ("10.0.0.1", "testclient", [], None),
        ("10.0.0.1", "10.0.0.1", ["203.0.113.9:51234"], "203.0.113.9"),
        ("10.0.0.1", "10.0.0.1", ["[2001:db8::1]:51234"], "2001:db8::1"),
        ("10.0.0.1", "10.0.0.1", ["[2001:db8::1]"], "2001:db8::1"),
        ("10.0.0.1", "10.0.0.1", ["nonsense, 203.0.113.9:1"], "203.0.113.9"),
        ("10.0.0.1", "10.0.0.1", ["203.0.113.9:x"], None),
        ("10.0.0.1", "10.0.0.1", ["[203.0.113.9"], None),
        ("10.0.0.1", "10.0.0.1", ["203.0.113.9:51234:1"], None),
        ("unix", "", ["203.0.113.9"], "203.0.113.9"),
        ("unix", "", ["6.6.6.6, 203.0.113.9:7"], "203.0.113.9"),
        ("unix, 10.0.0.0/8", "", ["6.6.6.6, 203.0.113.9, 10.0.0.2"], "203.0.113.9"),
        ("unix", "", [], None),
        ("unix", "198.51.100.1", ["203.0.113.9"], "198.51.100.1"),
        ("10.0.0.1", "", ["203.0.113.9"], None),
    ],
)
def test_only_trusted_proxies_are_believed(
    open_shop: Callable[..., Shop], trusted: str, peer: str, forwarded: list[str], address: str | None
) -> None:
    assert told(open_shop(TRUSTED_PROXIES=trusted), peer, forwarded) == address
