"""`simulate`: both apps take what is played, and give the access that is expected.

What it plays is tested in `tests/tool`, and each scenario at each variant in `tests/conformance/test_scenarios.py`.
"""

from __future__ import annotations

import json
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import Any

from tests.conformance.station import no_reconciliation
from tests.operations.side import Pair


def test_both_apps_take_what_is_played(pair: Pair) -> None:
    with serving(pair):
        (life,) = same(pair, "past_due")
        assert [step["after"] for step in life["steps"]] == [False, False, True, True]
        lives = same(pair, "refund_reversed", "buy_again", "--duplicates", "--shuffle", "--seed", "7")
        assert [[step["after"] for step in life["steps"]] for life in lives] == [[True], [True]]
        for kind in ("subscription.past_due", "refund.updated", "benefit_grant.updated", "discount.deleted"):
            (told,) = same(pair, "--event", kind, "--user", "user_1")
            assert (told["user"], told["name"]) == ("user_1", kind)
            assert [event["status"] for step in told["steps"] for event in step["events"]] == [202]


@contextmanager
def serving(pair: Pair) -> Generator[None]:
    """Both apps, beside a Polar that cannot tell what it knows of a customer."""
    with ExitStack() as stack, ThreadPoolExecutor(2) as pool:
        for side in pair.sides:
            side.polar.always = no_reconciliation
        list(pool.map(lambda side: stack.enter_context(side.serving()), pair.sides))
        yield


def same(pair: Pair, *command: str) -> list[dict[str, Any]]:
    """What both simulated alike, with ids in the order in which they were made up."""
    with ThreadPoolExecutor(2) as pool:
        worker, fastapi = pool.map(
            lambda side: side.run("simulate", *command, "--json", "--url", side.base, stored=False), pair.sides
        )
    assert (worker.code, fastapi.code) == (0, 0), worker.out + worker.err + fastapi.out + fastapi.err
    assert worker.json["url"] == fastapi.json["url"] == "{app}"
    lives: list[dict[str, Any]] = worker.json["scenarios"]
    assert without_ids(lives) == without_ids(fastapi.json["scenarios"])
    return lives


def without_ids(lives: list[dict[str, Any]]) -> str:
    """The document with a number for every id that is new each time."""
    text = json.dumps(lives)
    made = [event["webhook_id"] for life in lives for step in life["steps"] for event in step["events"]]
    users = [life["user"] for life in lives if life["user"].startswith("simulated-")]
    for number, each in enumerate(dict.fromkeys([*made, *users])):
        text = text.replace(each, f"id-{number}")
    return text
