"""What goes wrong when Polar is asked: one line that says what to do, exit code not 0, nothing written, no token."""

from __future__ import annotations

import gzip
import itertools
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import copier
import pytest
from copier.errors import UserMessageError

from tests.catalogues import fixed, product
from tests.polar_server import (
    INVALID_TOKEN,
    MISSING_SCOPE,
    NOT_FOUND,
    UNAUTHORIZED,
    WEB_PAGE,
    Answer,
    PolarServer,
    rate_limited,
)
from tests.support.api_version import API_VERSION
from tests.support.process import free_port
from tests.support.render import TOKEN, polar_at

Generate = Callable[..., str]
BOMB = gzip.compress(b" " * 64 * 1024 * 1024)


@pytest.fixture
def refused(
    small_template: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], short_waits: list[float]
) -> Generate:
    """Generate with defaults, which must fail; the one line that says why."""

    def generate(url: str | None, **data: Any) -> str:
        with polar_at(url), pytest.raises(UserMessageError) as stopped:
            copier.run_copy(
                str(small_template),
                tmp_path / "app",
                data={"polar_server": "sandbox", **data},
                defaults=True,
                unsafe=True,
            )
        message = str(stopped.value.message)
        assert "\n" not in message
        assert not (tmp_path / "app").exists()
        secret = data.get("polar_access_token", TOKEN)
        assert secret not in message + "".join(capfd.readouterr())
        return message

    return generate


@pytest.mark.parametrize("answer", [INVALID_TOKEN, UNAUTHORIZED, Answer(401, "nonsense")])
def test_a_wrong_token(answer: Answer, refused: Generate, polar: PolarServer) -> None:
    polar.always = lambda path: answer
    message = refused(polar.url)
    assert "does not accept this token" in message
    assert "most likely, one of production" in message
    assert "https://sandbox.polar.sh, Settings > Developers" in message


def test_a_token_of_the_other_environment_is_named_as_the_likely_cause(refused: Generate, polar: PolarServer) -> None:
    polar.token = "polar_oat_of_production"
    assert "or answer polar_server=production" in refused(polar.url)
    assert "or answer polar_server=sandbox" in refused(polar.url, polar_server="production")


def test_no_token(refused: Generate) -> None:
    message = refused(None)
    assert message.startswith("No token for Polar (sandbox)")
    assert "POLAR_ACCESS_TOKEN" in message
    assert "polar_server=demo" in message


@pytest.mark.parametrize("token", ["polar oat", "polar_oat_\nInjected: header", "polar_oat_é", "Bearer\tpolar_oat_x"])
def test_a_token_that_is_none(token: str, refused: Generate, polar: PolarServer) -> None:
    assert "no token of Polar's has" in refused(polar.url, polar_access_token=token)
    assert polar.requests == []


def test_a_missing_scope(refused: Generate, polar: PolarServer) -> None:
    polar.scopes = set()
    assert "lacks a scope" in refused(polar.url)
    polar.always = lambda path: MISSING_SCOPE if "organizations" not in path else None
    assert "products:read" in refused(polar.url)


def test_no_products(refused: Generate, polar: PolarServer) -> None:
    polar.products = []
    message = refused(polar.url)
    assert "no products for sale" in message
    assert "https://sandbox.polar.sh, Products" in message
    assert "polar_server=demo" in message


def test_only_archived_and_draft_products_are_no_products(refused: Generate, polar: PolarServer) -> None:
    polar.products = [
        product("Old", fixed(1), is_archived=True),
        product("Draft", fixed(1), visibility="draft"),
    ]
    assert "no products for sale" in refused(polar.url)


def test_an_unreachable_server(refused: Generate) -> None:
    message = refused(f"http://127.0.0.1:{free_port()}")
    assert "cannot be reached" in message
    assert "polar_server=demo" in message


def test_a_server_that_takes_too_long(refused: Generate, polar: PolarServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POLAR_TIMEOUT", "0.05")
    polar.always = lambda path: Answer(delay=0.3)
    assert "did not answer in time" in refused(polar.url)


def test_a_server_that_drips(refused: Generate, polar: PolarServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POLAR_TIMEOUT", "0.2")
    polar.always = lambda path: Answer(body={"items": []}, pause=0.15)
    assert "needs more than 0.8 s for an answer" in refused(polar.url)


def test_a_server_that_pages_for_ever(refused: Generate, polar: PolarServer) -> None:
    pages = itertools.count(1)

    def page(path: str) -> Answer:
        number = next(pages)
        return Answer(body={"items": [{"id": str(number)}], "pagination": {"max_page": number + 1}})

    polar.always = page
    assert "has more than 100 pages of products" in refused(polar.url)
    assert next(pages) <= 102


def test_polar_sdk_is_missing(refused: Generate, polar: PolarServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "polar.base", None)
    assert refused(polar.url).endswith("or give uvx `--with polar-sdk`.")


@pytest.mark.parametrize("seconds", ["abc", "-1", "0", "nan", "1e9"])
def test_a_time_that_is_none(
    seconds: str, refused: Generate, polar: PolarServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POLAR_TIMEOUT", seconds)
    assert refused(polar.url).startswith("POLAR_TIMEOUT must be a number of seconds")


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (WEB_PAGE, "answers with a web page (200)"),
        (Answer(404, "<html>", {"content-type": "text/html"}), "answers with a web page (404)"),
        (Answer(200, '{"items": [', {}), "answers with no readable JSON (200)"),
        (Answer(200, {"items": "none"}), "no list of products"),
        (Answer(200, ["items"]), "no list of products"),
        (Answer(200, {"items": [{"name": "no id"}]}), "no list of products"),
        (NOT_FOUND, f"does not know the address or API version {API_VERSION} any more: update the template"),
        (Answer(307, "", {"location": "https://example.com/"}), "redirects to another address (307)"),
        (Answer(422, {"error": "RequestValidationError", "detail": []}), "refuses the request (422)"),
        (Answer(200, "[" * 100_000), "answers with no readable JSON (200)"),
        (Answer(200, BOMB, {"content-encoding": "gzip"}), "gives more than 32 MB"),
        (Answer(200, b"no gzip", {"content-encoding": "gzip"}), "cannot be reached (DecodingError)"),
        (Answer(200, {"items": [{"id": "1"}], "pagination": {"max_page": 10**30}}), "has more than 100 pages"),
        (Answer(500, "oops"), "a fault of its own (500)"),
        (rate_limited(0), "too many requests"),
    ],
)
def test_answers_that_are_none(answer: Answer, says: str, refused: Generate, polar: PolarServer) -> None:
    polar.always = lambda path: answer
    assert says in refused(polar.url)


@pytest.mark.parametrize(
    "url", ["polar.example", "ftp://polar.example", "http://user:secret@polar.example", "http://[", "http://x:99999"]
)
def test_a_base_url_that_is_none(url: str, refused: Generate) -> None:
    assert refused(url) == "POLAR_BASE_URL must be an http(s) address without user name or query."


def test_products_of_two_organizations(refused: Generate, polar: PolarServer) -> None:
    polar.products[0]["organization_id"] = "1f1e6a3c-6f0d-4f0e-9d5e-0d3a8d5f4c22"
    assert "products of 2 organizations" in refused(polar.url)


def test_what_passes_is_waited_for(
    small_template: Path, tmp_path: Path, polar: PolarServer, short_waits: list[float]
) -> None:
    polar.next_answers = [rate_limited(7), Answer(503, "busy")]
    with polar_at(polar.url):
        copier.run_copy(
            str(small_template),
            tmp_path / "app",
            data={"polar_server": "sandbox"},
            defaults=True,
            unsafe=True,
            quiet=True,
        )
    assert (tmp_path / "app" / "facts.json").exists()
    assert short_waits == [7, 1]
    assert len([target for target in polar.requests if target.startswith("/v1/products/")]) == 3


def test_a_failing_organization_is_no_missing_scope(refused: Generate, polar: PolarServer) -> None:
    """Else a refresh at a bad moment would change grace days and proration."""
    polar.always = lambda path: Answer(500) if "organizations" in path else None
    assert "a fault of its own" in refused(polar.url)


def test_waiting_has_an_end(refused: Generate, polar: PolarServer, short_waits: list[float]) -> None:
    polar.always = lambda path: rate_limited(50)
    assert "too many requests" in refused(polar.url)
    assert short_waits == [50, 50]


def command(template: Path, destination: Path, url: str, *data: str) -> subprocess.CompletedProcess[str]:
    """`copier copy` as a user runs it."""
    return subprocess.run(
        [sys.executable, "-m", "copier", "copy", "--trust", "--defaults", *data, str(template), str(destination)],
        env={**os.environ, "POLAR_BASE_URL": url, "POLAR_ACCESS_TOKEN": TOKEN, "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    ("answer", "data", "says"),
    [
        (INVALID_TOKEN, [], "does not accept this token"),
        (WEB_PAGE, [], "a web page"),
        (None, ["--data", "products=[gold]"], "products: gold is not in the catalogue"),
        (None, ["--data", "premium_path=/api/"], "premium_path: begin with /"),
    ],
)
def test_the_command_says_one_line_and_fails(
    answer: Answer | None, data: list[str], says: str, small_template: Path, tmp_path: Path, polar: PolarServer
) -> None:
    polar.always = lambda path: answer
    done = command(small_template, tmp_path / "app", polar.url, "--data", "polar_server=sandbox", *data)
    assert done.returncode != 0
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    assert len(lines) == 1, done.stderr
    assert says in lines[0]
    assert TOKEN not in done.stdout + done.stderr
    assert not (tmp_path / "app").exists()


def test_the_command_tells_of_progress(small_template: Path, tmp_path: Path, polar: PolarServer) -> None:
    polar.products = [product(f"Plan {number}", fixed(number)) for number in range(230)]
    done = command(small_template, tmp_path / "app", polar.url, "--data", "polar_server=sandbox")
    assert done.returncode == 0, done.stderr
    assert "100 products read, page 1 of 3" in done.stderr
    assert "230 products read, page 3 of 3" in done.stderr
    assert "limit=100" in polar.requests[0]
