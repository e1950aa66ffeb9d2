"""Your own sign-in: nobody is signed in by accident, and other sites cannot use a visitor's cookies."""

from collections.abc import Iterator

import pytest
from fastapi import Request
from fastapi.testclient import TestClient

from app.auth import custom
from app.auth.custom import CustomAuth
from app.auth.user import User
from app.billing.context import Billing
from app.database import Database
from app.main import create_app
from app.settings import Settings
from tests.support.app import APP_URL, CATALOG, base, error_of

SHOP = "https://shop.example.com"


@pytest.fixture
def client(database: Database) -> Iterator[TestClient]:
    environment = {name.lower(): value for name, value in {**base(), "ALLOWED_ORIGINS": SHOP}.items()}
    settings = Settings.model_validate(environment)
    billing = Billing(settings, CATALOG, database, CustomAuth(settings), None)
    with TestClient(create_app(billing=billing, background=False), base_url=APP_URL) as client:
        yield client


def signed_in(monkeypatch: pytest.MonkeyPatch, user: object) -> None:
    def identify(_request: Request) -> object:
        if isinstance(user, Exception):
            raise user
        return user

    monkeypatch.setattr(custom, "identify", identify)


def test_until_it_is_filled_in_nobody_is_signed_in(client: TestClient) -> None:
    for headers in ({}, {"authorization": "Bearer x"}, {"cookie": "session=1"}):
        assert error_of(client.get("/billing/access", headers=headers)) == (401, "unauthorized")


@pytest.mark.parametrize(
    "user", [None, User(""), User("x" * 256), User("a\x00"), RuntimeError("no"), KeyError("session")], ids=repr
)
def test_it_fails_closed(client: TestClient, monkeypatch: pytest.MonkeyPatch, user: object) -> None:
    signed_in(monkeypatch, user)

    assert error_of(client.get("/billing/access")) == (401, "unauthorized")


@pytest.mark.parametrize("origin", [APP_URL, SHOP])
def test_own_pages_may_ask_for_changes(client: TestClient, monkeypatch: pytest.MonkeyPatch, origin: str) -> None:
    signed_in(monkeypatch, User("user_1"))

    answer = client.post("/billing/portal", headers={"cookie": "session=1", "origin": origin})
    assert error_of(answer) == (503, "demo_catalogue")


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", f"{APP_URL}.evil.example", "http://app.example.com", ""]
)
def test_other_sites_may_not(client: TestClient, monkeypatch: pytest.MonkeyPatch, origin: str) -> None:
    signed_in(monkeypatch, User("user_1"))

    answer = client.post("/billing/portal", headers={"cookie": "session=1", "origin": origin})
    assert error_of(answer) == (403, "forbidden_origin")
    assert client.get("/billing/access", headers={"origin": origin}).status_code == 200


def test_without_an_origin_no_change(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    signed_in(monkeypatch, User("user_1"))

    assert error_of(client.post("/billing/portal")) == (403, "forbidden_origin")
    bearer = client.post("/billing/portal", headers={"authorization": "Bearer x"})
    assert error_of(bearer) == (503, "demo_catalogue")
