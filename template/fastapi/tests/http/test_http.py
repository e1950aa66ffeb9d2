"""What holds for all routes: errors, bodies, CORS, health, documentation."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import text

from app.billing.choices import PREMIUM_PATH
from app.billing.errors import ERRORS
from app.billing.json_body import MAX_BODY_BYTES
from tests.support.app import MONTHLY, Shop, error_of

USER_ROUTES = [
    ("POST", "/billing/checkout"),
    ("GET", "/billing/checkout/11111111-1111-4111-8111-111111111111"),
    ("POST", "/billing/portal"),
    ("GET", "/billing/access"),
    ("GET", "/billing/account"),
    ("GET", f"{PREMIUM_PATH}/hello"),
]
BODY_ROUTES = ["/billing/checkout", "/billing/portal"]


@pytest.mark.parametrize(("method", "path"), USER_ROUTES)
def test_who_is_not_signed_in_gets_401(shop: Shop, method: str, path: str) -> None:
    for body in (b"", b"nonsense", b"x" * (MAX_BODY_BYTES + 1)):
        answer = shop.client.request(method, path, content=body)
        assert error_of(answer) == (401, "unauthorized")
        assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize(
    "path", ["/nothing", "/billing", "/billing/plans/", "/billing/nothing", "/webhooks", "/../etc"]
)
def test_unknown_paths_are_not_found(shop: Shop, path: str) -> None:
    assert error_of(shop.get(path)) == (404, "not_found")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/billing/checkout", "POST"),
        ("DELETE", "/billing/portal", "POST"),
        ("POST", "/billing/plans", "GET"),
        ("PUT", "/billing/access", "GET"),
        ("POST", "/healthz", "GET"),
    ],
)
def test_wrong_methods_are_named(shop: Shop, method: str, path: str, allowed: str) -> None:
    answer = shop.client.request(method, path)

    assert error_of(answer) == (405, "method_not_allowed")
    assert answer.headers["allow"] == allowed


@pytest.mark.parametrize("path", BODY_ROUTES)
@pytest.mark.parametrize(
    ("content", "content_type"),
    [
        (b"{}", "text/plain"),
        (b"{}", ""),
        (b"product=pro", "application/x-www-form-urlencoded"),
        (b"{", "application/json"),
        (b"\xff\xfe", "application/json"),
        (b"[" * 10_000, "application/json"),
        (b'{"product": "\\ud800"}', "application/json"),
        (b'{"a": 1e999}', "application/json"),
        (b"null", "application/json"),
    ],
)
def test_what_is_not_a_json_object_is_refused(shop: Shop, path: str, content: bytes, content_type: str) -> None:
    headers = {"x-test-user": '{"id": "user_1"}', "content-type": content_type}
    assert error_of(shop.client.post(path, content=content, headers=headers)) == (400, "invalid_body")


def test_the_content_type_may_have_a_charset(shop: Shop) -> None:
    headers = {"x-test-user": '{"id": "user_1"}', "content-type": "Application/JSON; charset=utf-8"}
    body = json.dumps({"product": "lifetime"})
    assert shop.client.post("/billing/checkout", content=body, headers=headers).status_code == 201


@pytest.mark.parametrize("path", BODY_ROUTES)
def test_large_bodies_are_refused(shop: Shop, path: str) -> None:
    assert error_of(shop.post(path, {"product": "x" * MAX_BODY_BYTES})) == (413, "body_too_large")


def test_unexpected_errors_tell_nothing(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("secret inside")

    monkeypatch.setattr("app.billing.routes.plans_of", fail)
    answer = shop.get("/billing/plans")

    assert error_of(answer) == (500, "internal")
    assert "secret" not in answer.text


def test_without_cors_no_origin_is_allowed(shop: Shop) -> None:
    answer = shop.get("/billing/plans", origin="https://shop.example.com")

    assert "access-control-allow-origin" not in answer.headers


def test_named_origins_may_ask(open_shop: Callable[..., Shop]) -> None:
    shop = open_shop(ALLOWED_ORIGINS="https://shop.example.com, https://other.example.com")
    preflight = {"origin": "https://shop.example.com", "access-control-request-method": "POST"}
    preflight["access-control-request-headers"] = "authorization, content-type"

    allowed = shop.client.options("/billing/checkout", headers=preflight)
    assert allowed.status_code == 200
    assert allowed.headers["access-control-allow-origin"] == "https://shop.example.com"
    asked = shop.get("/billing/plans", origin="https://other.example.com")
    assert asked.headers["access-control-allow-origin"] == "https://other.example.com"
    for stranger in ("https://evil.example", "https://shop.example.com.evil.example", "null"):
        assert "access-control-allow-origin" not in shop.get("/billing/plans", origin=stranger).headers


def test_healthy(shop: Shop) -> None:
    answer = shop.client.get("/healthz")

    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


def test_a_missing_migration_is_unhealthy(shop: Shop) -> None:
    with shop.database.write() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = 'before_' || version_num"))

    answer = shop.client.get("/healthz")

    with shop.database.write() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = substr(version_num, 8)"))
    assert error_of(answer) == (503, "unavailable")
    assert "alembic" not in answer.text


def test_plans_show_what_is_for_sale(shop: Shop) -> None:
    plans = shop.get("/billing/plans", user=None).json()

    assert plans["currency"] == "usd"
    assert [(plan["key"], plan["purchasable"], plan["premium"]) for plan in plans["products"]] == [
        ("free", True, False),
        ("pro_monthly", True, True),
        ("pro_yearly", True, True),
        ("lifetime", True, True),
        ("supporter", True, True),
        ("team", False, True),
        ("starter", True, False),
        ("usage", True, True),
    ]
    assert plans["products"][1] == {
        "key": "pro_monthly",
        "id": MONTHLY.id,
        "name": "Pro Monthly",
        "description": None,
        "interval": "month",
        "interval_count": 1,
        "trial_interval": None,
        "trial_interval_count": None,
        "prices": [
            {
                "type": "fixed",
                "currency": "usd",
                "amount": 1900,
                "minimum": None,
                "maximum": None,
                "preset": None,
                "unit_amount": None,
            }
        ],
        "benefits": [{"key": "support", "id": "benefit", "type": "feature_flag", "description": "Support"}],
        "purchasable": True,
        "premium": True,
    }


def test_a_new_user_has_nothing(shop: Shop) -> None:
    nothing = {"access": False, "reason": "none", "until": None, "products": [], "benefits": []}

    assert shop.get("/billing/access").json() == nothing
    account: dict[str, Any] = {"access": nothing, "customer": None, "subscriptions": [], "orders": []}
    assert shop.get("/billing/account").json() == account


def test_every_route_is_documented(shop: Shop) -> None:
    document = shop.client.get("/openapi.json").json()

    operations = [(path, method, entry) for path, item in document["paths"].items() for method, entry in item.items()]
    assert len(operations) >= 9
    for path, method, entry in operations:
        assert entry["summary"], path
        assert entry["description"], path
        assert "422" not in entry["responses"], path
        success = next(answer for status, answer in entry["responses"].items() if status.startswith("2"))
        assert success["content"]["application/json"]["schema"], path
        assert has_example(document, success["content"]["application/json"]["schema"]), path
        if method == "post":
            assert "example" in entry["requestBody"]["content"]["application/json"], path
        signed_in = path.startswith("/billing") and path != "/billing/plans"
        assert bool(entry.get("security")) == (signed_in or path.startswith(PREMIUM_PATH)), path
        assert ("401" in entry["responses"]) == (signed_in or path.startswith((PREMIUM_PATH, "/webhooks"))), path
    assert document["components"]["securitySchemes"]["HTTPBearer"]["scheme"] == "bearer"
    assert shop.client.get("/docs").status_code == 200


def has_example(document: Any, schema: dict[str, Any]) -> bool:
    """Whether /docs can fill in every field of a schema with something that tells."""
    if "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rsplit("/", 1)[-1]]
    if {"example", "examples", "const"} & schema.keys():
        return True
    parts = [*schema.get("properties", {}).values(), *(part for part in schema.get("anyOf", []) if "$ref" in part)]
    parts += [schema["items"]] if "items" in schema else []
    return bool(parts) and all(has_example(document, part) for part in parts)


def test_documented_errors_are_those_of_the_registry(shop: Shop) -> None:
    document: Any = shop.client.get("/openapi.json").json()

    for item in document["paths"].values():
        for entry in item.values():
            for status, answer in entry["responses"].items():
                for code in answer.get("content", {}).get("application/json", {}).get("examples", {}):
                    assert ERRORS[code].status == int(status)
