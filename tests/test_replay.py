"""Recorded histories of a real Polar server, posted at running generated apps: their state ends as Polar's own."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support import apps, deliveries, recorded
from tests.support.process import free_port
from tests.support.render import TOKEN
from tests.variants.replayed import replayed

_FOLDER = recorded.folder()
pytestmark = pytest.mark.skipif(_FOLDER is None, reason="POLAR_RECORDED names no folder with recorded histories")
RUNS: tuple[tuple[recorded.Mode, deliveries.Scheme], ...] = (
    ("ordered", "legacy"),
    ("reversed", "standard"),
    ("shuffled", "legacy"),
    ("shuffled", "standard"),
)

Account = dict[str, Any]


@pytest.fixture(scope="module")
def project_of(
    template: Path, polar_with: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[apps.Variant], Path]:
    """A project generated from the catalogue that the recorded server had; rendered and installed once."""
    return apps.rendered_once("recorded", template, polar_with, tmp_path_factory.mktemp("replay"))


@pytest.fixture(scope="module")
def first_accounts() -> dict[str, Account]:
    """What the first run of this module found, to compare orders, runtimes and stores with each other."""
    return {}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Every runtime and store; with `--all-variants` other answers too."""
    metafunc.parametrize("variant", replayed(metafunc.config), ids=lambda variant: variant.name)


@pytest.mark.parametrize(("mode", "scheme"), RUNS)
def test_any_order_ends_in_polars_own_state(
    variant: apps.Variant,
    mode: recorded.Mode,
    scheme: deliveries.Scheme,
    project_of: Callable[[apps.Variant], Path],
    tmp_path: Path,
    first_accounts: dict[str, Account],
) -> None:
    assert _FOLDER is not None
    histories = recorded.histories(_FOLDER)
    settings = {
        "POLAR_ACCESS_TOKEN": TOKEN,
        "POLAR_WEBHOOK_SECRET": deliveries.new_secret(scheme),
        "AUTH_JWT_SECRET": secrets.token_hex(32),
        # Nobody listens there: replaying must not need Polar.
        "POLAR_BASE_URL": f"http://127.0.0.1:{free_port()}",
    }
    with apps.running(variant, project_of(variant), tmp_path / "app", settings) as base:
        events = recorded.arranged(histories, mode, seed=1)
        connections = 1 if mode == "ordered" else 8
        refused = recorded.post(base, events, settings["POLAR_WEBHOOK_SECRET"], scheme, connections)
        found = recorded.accounts(base, histories, settings["AUTH_JWT_SECRET"])
    assert not refused
    assert len(found) >= 20, "hardly any customer was compared"
    assert recorded.differences(histories, found) == {}
    if not first_accounts:
        first_accounts.update(found)
    # Field by field: whatever the order, the runtime and the store.
    assert found == first_accounts
