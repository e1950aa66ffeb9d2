"""Every route but the webhook's, asked what its OpenAPI document allows and forbids: the same cases at every variant.

The document is the FastAPI app's; a Worker has none, and answers by the same one.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.conformance.conftest import Counts
from tests.conformance.station import Station
from tests.support import apps, openapi

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
# Only Polar may post there, and test_abuse.py tries it with more than a schema says.
WEBHOOK = "/webhooks/polar"
OPERATIONS = (
    "GET /billing/plans",
    "POST /billing/checkout",
    "GET /billing/checkout/{checkout_id}",
    "POST /billing/portal",
    "GET /billing/access",
    "GET /billing/account",
    "GET /healthz",
    "POST /billing/subscription/change",
    "POST /billing/subscription/cancel",
    "POST /billing/subscription/uncancel",
    "POST /billing/subscription/resume",
    "POST /billing/subscription/revoke",
    "GET /api/premium/hello",
)


@pytest.fixture(scope="session")
def document(black_box_project: Callable[[apps.Variant], Path]) -> Any:
    """The OpenAPI document of the shop's FastAPI app."""
    return openapi.document(black_box_project(openapi.VARIANT))


def test_every_route_of_the_document_is_tried(document: Any) -> None:
    routes = {f"{method.upper()} {path}" for path, methods in document["paths"].items() for method in methods}
    assert routes - {f"POST {WEBHOOK}"} == set(OPERATIONS)


@pytest.mark.parametrize(
    ("route", "mode"),
    [
        *((route, GenerationMode.POSITIVE) for route in OPERATIONS),
        # Of the others nothing is said that a request could get wrong.
        *((route, GenerationMode.NEGATIVE) for route in OPERATIONS if route.startswith("POST")),
    ],
    ids=lambda value: "forbidden" if value is GenerationMode.NEGATIVE else str(getattr(value, "value", value)),
)
def test_answers_are_those_of_the_document(
    black_box: Station, document: Any, route: str, mode: GenerationMode, counts: Counts
) -> None:
    method, _, path = route.partition(" ")
    operation = schemathesis.openapi.from_dict(document)[path][method]
    # Another user for every few cases: checkouts and portals are limited per user.
    users = st.integers(0, 10_000)
    refused = [negative_data_rejection] if mode is GenerationMode.NEGATIVE else []

    @given(case=operation.as_strategy(generation_mode=mode), user=users)
    @settings(
        max_examples=counts.schema_cases,
        # The same cases at every variant and in every run.
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def ask(case: schemathesis.Case, user: int) -> None:
        headers = black_box.bearer(f"schema/{user}", email=f"schema-{user}@example.com")
        answer = case.call(base_url=black_box.base, headers=headers, timeout=30)
        case.validate_response(answer, checks=[*CHECKS, *refused])

    ask()
