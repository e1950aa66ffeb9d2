"""Polar's API as commands ask it: at its pace, page by page, and one line where it refuses."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Generator
from pathlib import Path

import polar as polar_sdk
import pytest

from copier_polar.bridge import PolarGoneProblem, PolarProblem
from copier_polar.console import NO_ANSWER, Refused
from copier_polar.polar import MAX_PAGES, MAX_WAITS, PAGE_SIZE, SERVERS, Pace, Polar, TooManyPages
from copier_polar.polar_admin import PolarAdmin
from tests.catalogues import CATALOGUES
from tests.operations.polar_operations import PolarOperations
from tests.polar_server import NOT_FOUND, WEB_PAGE, Answer, rate_limited
from tests.support.api_version import API_VERSION
from tests.support.polar_runtime import BROKEN, GONE, refused
from tests.support.render import TOKEN

PRODUCTS = "/v1/products/"


@pytest.fixture(scope="module")
def _served() -> Generator[PolarOperations]:
    with PolarOperations(CATALOGUES["shop"]()) as server:
        yield server


@pytest.fixture
def server(_served: PolarOperations) -> PolarOperations:
    _served.always = lambda call: None
    _served.calls.clear()
    _served.next_answers.clear()
    _served.customers.clear()
    return _served


@pytest.fixture
def polar(server: PolarOperations) -> Generator[Polar]:
    with Polar(TOKEN, server="sandbox", base_url=server.url, api_version=API_VERSION) as asked:
        yield asked


@pytest.fixture
def waited(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    slept: list[float] = []
    monkeypatch.setattr(time, "sleep", lambda seconds: seconds and slept.append(seconds))
    return slept


def test_no_minute_has_more_calls_than_allowed() -> None:
    now, waited = 0.0, []

    def sleep(seconds: float) -> None:
        nonlocal now
        waited.append(seconds)
        now += seconds

    pace = Pace(3, clock=lambda: now, sleep=sleep)
    passed = []
    for _ in range(8):
        pace.wait()
        passed.append(now)
        now += 1
    assert passed == [0, 1, 2, 60, 61, 62, 120, 121]
    assert waited == [57, 0, 0, 57, 0]


@pytest.mark.parametrize(("environment", "calls"), [("sandbox", 80), ("production", 400)])
def test_each_server_has_its_pace(server: PolarOperations, environment: str, calls: int, waited: list[float]) -> None:
    with Polar(TOKEN, server=environment, base_url=server.url, api_version=API_VERSION) as polar:
        polar.pace.wait(calls)
        polar.exchange("GET", PRODUCTS)
    (wait,) = waited
    assert 50 < wait <= 60


def test_the_addresses_are_those_of_the_sdk() -> None:
    source = Path(polar_sdk.__file__ or "").parent / f"v{API_VERSION.replace('-', '_')}" / "client.py"
    assert dict(re.findall(r'"([a-z]+)": "(https://[^"]+)"', source.read_text())) == SERVERS


def test_token_and_version_go_with_every_request(polar: Polar, server: PolarOperations) -> None:
    polar.exchange("GET", PRODUCTS, query={"limit": 1, "event_type": ["a", "b"], "none": None})
    (call,) = server.calls
    assert (call.authorization, call.version) == (f"Bearer {TOKEN}", API_VERSION)
    assert call.query == {"limit": ["1"], "event_type": ["a", "b"]}


def test_polar_is_asked_again_after_the_wait_it_asks_for(
    polar: Polar, server: PolarOperations, waited: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    server.always = lambda call: rate_limited(7)
    with pytest.raises(PolarProblem, match="429") as raised:
        polar.customer("c1")
    assert (raised.value.status, raised.value.retry_after) == (429, 7)
    assert waited == [7] * MAX_WAITS
    assert len(server.calls) == MAX_WAITS + 1
    assert capsys.readouterr().err.count("Polar asks to wait for 7 s.") == MAX_WAITS


@pytest.mark.parametrize(
    ("header", "waits"),
    [({"retry-after": "Sat, 28 Nov 2026"}, [60]), ({}, [60]), ({"retry-after": "301"}, [])],
)
def test_odd_waits(
    polar: Polar, server: PolarOperations, waited: list[float], header: dict[str, str], waits: list[float]
) -> None:
    server.next_answers = [Answer(429, "", header)]
    answer = polar.exchange("GET", PRODUCTS)
    assert waited == waits
    assert answer.status == (200 if waits else 429)


@pytest.mark.parametrize("hostile", ["a/b", "..", "a?b=c#d", "é +%", "\u2028", "a\\b", "{id}"])
def test_an_id_is_never_part_of_the_address(polar: Polar, server: PolarOperations, hostile: str) -> None:
    customer = server.add_customer(hostile, "ada@example.com")
    server.add_customer(f"{hostile}x", "bob@example.com")
    assert polar.external_customer(hostile)["id"] == customer["id"]
    with pytest.raises(PolarGoneProblem):
        polar.external_customer(f"{hostile}y")


def test_a_list_is_read_to_its_end_and_no_further_than_it_may(polar: Polar, server: PolarOperations) -> None:
    for number in range(PAGE_SIZE + 1):
        server.add_customer(None, f"{number}@example.com")
    assert len(list(polar.customers())) == PAGE_SIZE + 1
    assert [call.query["page"] for call in server.calls] == [["1"], ["2"]]
    server.always = lambda call: Answer(200, {"items": [], "pagination": {"max_page": 10**9}})
    polar.pace = Pace(10**6)
    with pytest.raises(TooManyPages):
        list(polar.pages(PRODUCTS, {}, 3))
    assert len(server.calls) == 2 + 3
    with pytest.raises(Refused, match=f"more than {MAX_PAGES * PAGE_SIZE} entries in {PRODUCTS}"):
        PolarAdmin(polar).items(PRODUCTS, "products:read")


@pytest.mark.parametrize(
    "answer",
    [WEB_PAGE, Answer(200, []), Answer(200, {"items": {}}), Answer(200, {"items": [1], "pagination": {"max_page": 1}})],
)
def test_a_list_that_cannot_be_read(polar: Polar, server: PolarOperations, answer: Answer) -> None:
    server.always = lambda call: answer
    with pytest.raises(PolarProblem, match="unreadable"):
        list(polar.pages(PRODUCTS, {}))


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (Answer(401, {"error": "invalid_token"}), "Polar refuses the access token: it is wrong, expired"),
        (Answer(403, {"error": "insufficient_scope"}), "The access token lacks the scope webhooks:write: give it that"),
        (GONE, "Polar no longer has what was to be changed: run the command again."),
        (NOT_FOUND, f"Polar does not know API version {API_VERSION} at this address: update the project."),
        (refused(["url", 0], "is bad", "secret"), "Polar refuses the request: url.0: is bad"),
        (Answer(422, {"error": "x", "detail": "text"}), "Polar's answer (422) cannot be read: is POLAR_BASE_URL"),
        (Answer(429, "", {"retry-after": "301"}), "Polar limits how often it is asked: try again in 301 seconds."),
        (BROKEN, "Polar has a fault of its own (500): try again later."),
        (WEB_PAGE, "Polar's answer (200) cannot be read: is POLAR_BASE_URL, or a proxy, in between?"),
        (Answer(418, ""), "Polar's answer (418) cannot be read"),
    ],
)
def test_where_polar_refuses_it_is_one_line(polar: Polar, server: PolarOperations, answer: Answer, said: str) -> None:
    server.always = lambda call: answer
    with pytest.raises(Refused) as raised:
        PolarAdmin(polar).ask("PATCH", "/v1/webhooks/endpoints/{id}", "webhooks:write", ids={"id": "e1"}, body={"a": 1})
    assert str(raised.value).startswith(said)
    assert "secret" not in str(raised.value)


def test_no_answer_is_a_network_that_is_not_there() -> None:
    with Polar(TOKEN, server="sandbox", base_url="http://127.0.0.1:9", api_version=API_VERSION) as polar:
        with pytest.raises(PolarProblem) as raised:
            polar.exchange("GET", PRODUCTS)
        assert (raised.value.status, TOKEN in str(raised.value)) == (0, False)
        with pytest.raises(Refused) as refusal:
            PolarAdmin(polar).items(PRODUCTS, "products:read")
        assert str(refusal.value) == NO_ANSWER


def test_only_what_asks_polar_imports_the_sdk() -> None:
    code = (
        "import sys; from copier_polar import cli, polar, polar_admin, audit; "
        "from copier_polar.commands import block, erase, link, migrate, reconcile, replay, unlinked; "
        "print([name for name in ('polar', 'httpx', 'yaml', 'dotenv', 'copier') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "[]\n"
