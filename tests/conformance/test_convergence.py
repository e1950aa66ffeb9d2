"""Any order, any repeats, any losses: the same state in the end, at each store's own SQL and over HTTP.

`--nightly` plays 2,000 histories a store and 50 over HTTP.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Generator
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.conformance.convergence.lives import Action, Delivery, Disturbance, World, actions, disturbances
from tests.conformance.convergence.stores import RunningStore, store
from tests.support import apps, deliveries, recorded
from tests.support.process import free_port
from tests.support.render import TOKEN

Json = dict[str, Any]
STORES = tuple(variant for variant in apps.VARIANTS if variant.processes == 1)
SCHEME: deliveries.Scheme = "standard"


@pytest.fixture(scope="module")
def project_of(
    template: Path, polar_with: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[apps.Variant], Path]:
    """The shop's project of a variant, rendered and installed once."""
    return apps.rendered_once("shop", template, polar_with, tmp_path_factory.mktemp("convergence"))


@pytest.fixture(scope="module")
def store_of(
    project_of: Callable[[apps.Variant], Path], tmp_path_factory: pytest.TempPathFactory
) -> Generator[Callable[[apps.Variant], RunningStore]]:
    """The code and store of a variant; started when first asked for."""
    with ExitStack() as stack:
        running: dict[str, RunningStore] = {}

        def started(variant: apps.Variant) -> RunningStore:
            if variant.name not in running:
                folder = tmp_path_factory.mktemp(variant.name)
                running[variant.name] = stack.enter_context(store(variant, project_of(variant), folder))
            return running[variant.name]

        yield started


def examples(request: pytest.FixtureRequest, sample: int, nightly: int) -> settings:
    """So many examples, the same in every run of the sample; no time limits, since stores differ in speed."""
    chosen = nightly if request.config.getoption("--nightly", default=False) else sample
    return settings(
        max_examples=chosen,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate, Phase.shrink],
    )


@pytest.mark.parametrize("variant", STORES, ids=lambda variant: variant.name)
def test_any_order_with_repeats_gives_the_same_rows(
    variant: apps.Variant, store_of: Callable[[apps.Variant], RunningStore], request: pytest.FixtureRequest
) -> None:
    running = store_of(variant)

    @examples(request, 40, 2000)
    @given(actions(), disturbances(), st.booleans())
    def check(lives: list[Action], disturbance: Disturbance, ties: bool) -> None:
        world = World(lives, ties=ties)
        expected = running.play(world.deliveries, world.users)
        arranged = disturbance.arrange(world.deliveries)
        found = running.play(arranged, world.users)
        assert "failed" not in expected["outcomes"] + found["outcomes"]
        assert [outcome == "repeat" for outcome in found["outcomes"]] == came_before(arranged)
        assert found["rows"] == expected["rows"]
        assert found["accounts"] == expected["accounts"]

    check()


@pytest.mark.parametrize("variant", STORES, ids=lambda variant: variant.name)
def test_one_reconcile_makes_up_for_what_was_lost(
    variant: apps.Variant, store_of: Callable[[apps.Variant], RunningStore], request: pytest.FixtureRequest
) -> None:
    running = store_of(variant)

    @examples(request, 40, 2000)
    @given(actions(), disturbances())
    def check(lives: list[Action], disturbance: Disturbance) -> None:
        world = World(lives)
        expected = running.play(world.deliveries, world.users)["accounts"]
        assert running.reconcile(world.truth, world.users)["accounts"] == expected
        running.play(disturbance.arrange(disturbance.lose(world.deliveries)), world.users)
        assert running.reconcile(world.truth, world.users)["accounts"] == expected

    check()


def test_the_stores_agree(store_of: Callable[[apps.Variant], RunningStore], request: pytest.FixtureRequest) -> None:
    running = [store_of(variant) for variant in STORES]

    @examples(request, 25, 500)
    @given(actions(), disturbances())
    def check(lives: list[Action], disturbance: Disturbance) -> None:
        world = World(lives)
        arranged = disturbance.arrange(disturbance.lose(world.deliveries))
        first, *others = [each.play(arranged, world.users)["accounts"] for each in running]
        for other in others:
            assert other == first

    check()


@pytest.mark.parametrize("variant", apps.VARIANTS, ids=lambda variant: variant.name)
def test_any_order_gives_the_same_accounts_over_http(
    variant: apps.Variant,
    project_of: Callable[[apps.Variant], Path],
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:
    secret, jwt_secret = deliveries.new_secret(SCHEME), secrets.token_hex(32)
    told = {
        "POLAR_ACCESS_TOKEN": TOKEN,
        "POLAR_WEBHOOK_SECRET": secret,
        "AUTH_JWT_SECRET": jwt_secret,
        "POLAR_BASE_URL": f"http://127.0.0.1:{free_port()}",  # nobody listens there
    }
    numbers = count()
    with apps.running(variant, project_of(variant), tmp_path / "app", told) as base:

        def accounts(lives: list[Action], disturbance: Disturbance | None) -> list[Json]:
            """Under names of their own, so that one app serves all; told without those names."""
            world = World(lives, f"n{next(numbers)}-")
            sent = disturbance.arrange(world.deliveries) if disturbance else world.deliveries
            events = [recorded.Event(webhook_id, body.encode()) for webhook_id, body in sent]
            assert not recorded.post(base, events, secret, SCHEME, 8 if disturbance else 1)
            return [nameless(account(base, user, jwt_secret), world) for user in world.users]

        @examples(request, 3, 50)
        @given(actions(), disturbances())
        def check(lives: list[Action], disturbance: Disturbance) -> None:
            assert accounts(lives, disturbance) == accounts(lives, None)

        check()


def came_before(sent: list[Delivery]) -> list[bool]:
    """Of each delivery, whether its id came before it."""
    seen: set[str] = set()
    return [webhook_id in seen or bool(seen.add(webhook_id)) for webhook_id, _ in sent]


def account(base: str, user: str, jwt_secret: str) -> Json:
    answer = httpx.get(f"{base}/billing/account", headers=deliveries.bearer(user, jwt_secret), timeout=15)
    answer.raise_for_status()
    found: Json = answer.json()
    return found


def nameless(found: Json, world: World) -> Json:
    """The account with the world's own ids replaced by their number."""
    text = json.dumps(found).replace(world.namespace, "")
    for number, known in enumerate(world.ids()):
        text = text.replace(known, f"id {number}").replace(known[:8], f"id {number}")
    plain: Json = json.loads(text)
    return plain
