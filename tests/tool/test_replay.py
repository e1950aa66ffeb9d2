"""`replay`: stored events applied once more, and Polar's log of deliveries."""

from __future__ import annotations

import signal
import time
from typing import Any

import pytest

from tests.operations.polar_operations import PolarOperations
from tests.polar_server import rate_limited
from tests.tool.conftest import Tool

APP = "http://127.0.0.1:8787"


def now_us() -> int:
    return time.time_ns() // 1000


def store(tool: Tool, webhook_id: str, kind: str, state: str = "processed", **fields: Any) -> None:
    """An event in the inbox, as it came."""
    row = {"webhook_id": webhook_id, "type": kind, "state": state, "attempts": 1, "received_us": 1, "body": b"{}"}
    tool.bridge.add("webhook_events", **row | fields)


def outcomes(tool: Tool, **by_id: str | None) -> None:
    tool.bridge.scripts["replay"] = lambda webhook_id, reactions: {"outcome": by_id.get(webhook_id, "processed")}


def test_without_a_choice_those_that_failed_are_replayed(tool: Tool) -> None:
    store(tool, "wh_1", "subscription.active", "dead", received_us=1)
    store(tool, "wh_2", "", "failed", received_us=2)
    store(tool, "wh_3", "benefit.created", received_us=3)
    outcomes(tool, wh_2="failed")
    ran = tool.run("replay", "--json", code=1)
    assert ran.json["events"] == [
        {"webhook_id": "wh_1", "type": "subscription.active", "outcome": "processed"},
        {"webhook_id": "wh_2", "type": "", "outcome": "failed"},
    ]
    tool.bridge.rows("DELETE FROM billing_webhook_events WHERE webhook_id = 'wh_1'")
    assert tool.run("replay", code=1).out == "wh_2 failed\nReplayed: 1 event(s), 1 failed.\n"
    assert [row["subject"] for row in tool.bridge.rows("SELECT subject FROM billing_audit")] == ["failed", "failed"]


def test_where_there_is_nothing_to_replay_nothing_is_written_down(tool: Tool) -> None:
    assert tool.run("replay").out == "Replayed: 0 event(s), 0 failed.\n"
    assert tool.bridge.rows("SELECT * FROM billing_audit") == []


def test_reactions_run_only_when_asked_for_and_agreed_to(tool: Tool) -> None:
    store(tool, "wh_1", "subscription.active")
    tool.run("replay", "wh_1")
    refused = tool.run("replay", "wh_1", "--reactions", code=1).error
    assert refused == (
        "Error: Replay 1 event(s), and run your reactions to them? There is no terminal to ask on; --yes says yes."
    )
    tool.run("replay", "wh_1", "--reactions", "--yes")
    assert [asked["reactions"] for asked in tool.bridge.asked("replay")] == [False, True]
    assert [row["subject"] for row in tool.bridge.rows("SELECT subject FROM billing_audit")] == ["wh_1", "wh_1"]


def test_events_are_chosen_by_type_time_and_state(tool: Tool) -> None:
    store(tool, "wh_old", "benefit.created", received_us=1)
    store(tool, "wh_new", "benefit.created", received_us=now_us())
    store(tool, "wh_failed", "benefit.updated", "failed", received_us=now_us() + 1)
    store(tool, "wh_empty", "benefit.created", received_us=now_us(), body=None)

    def chosen(*options: str) -> list[str]:
        return [event["webhook_id"] for event in tool.run("replay", *options, "--json").json["events"]]

    assert chosen("--type", "benefit.created") == ["wh_old", "wh_new"]
    assert chosen("--since", "1h") == ["wh_new", "wh_failed"]
    assert chosen("--since", "2026-11-01", "--type", "benefit.created") == ["wh_new"]
    assert chosen("--type", "benefit.created", "--type", "benefit.updated") == ["wh_old", "wh_new", "wh_failed"]
    assert chosen("--failed", "--type", "benefit.created") == []
    assert chosen("--failed") == ["wh_failed"]
    assert chosen("--since", "2099-01-01T00:00:00Z") == []


def test_many_ids_are_read_in_several_statements_of_one_transaction(tool: Tool) -> None:
    ids = [f"wh_{number}" for number in range(120)]
    for name in ids[::-1]:
        store(tool, name, "benefit.created")
    ran = tool.run("replay", *ids, "--json")
    assert [event["webhook_id"] for event in ran.json["events"]] == ids
    assert {event["type"] for event in ran.json["events"]} == {"benefit.created"}
    (reading,) = [asked for asked in tool.bridge.asked("sql") if len(asked["statements"]) > 1]
    assert max(len(statement["values"]) for statement in reading["statements"]) <= 100


@pytest.mark.parametrize("hostile", ["nobody'; DROP TABLE billing_webhook_events", 'a/b?c é+%"\\', "\x1b[2J"])
def test_an_event_that_is_not_there_is_told(tool: Tool, hostile: str) -> None:
    store(tool, "wh_1", "benefit.created", body=None)
    tool.bridge.scripts["replay"] = lambda webhook_id, reactions: {"outcome": None}
    ran = tool.run("replay", hostile, "wh_1", "--json", code=1)
    assert ran.json["events"] == [{"webhook_id": name, "type": "", "outcome": "missing"} for name in (hostile, "wh_1")]
    assert "\x1b" not in tool.run("replay", hostile, code=1).out


def test_an_id_may_look_like_an_option(tool: Tool) -> None:
    store(tool, "--yes", "benefit.created")
    outcomes(tool, **{"--yes": "ignored"})
    assert tool.run("replay", "--json", "--", "--yes").json["events"][0]["outcome"] == "ignored"


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (["--since", "yesterday"], "must be like 2026-11-01, 2026-11-01T12:00:00Z or 7d"),
        (["--since", "2026-13-01"], "must be like 2026-11-01"),
        (["wh_1", "--failed"], "ids are meant as they are; leave out --type, --since and --failed"),
        (["wh_1", "--type", "order.paid"], "ids are meant as they are"),
        (["--from-polar", "--reactions"], "with --from-polar the app itself reacts"),
    ],
)
def test_a_choice_that_makes_no_sense_is_refused(tool: Tool, wrong: list[str], said: str) -> None:
    assert said in " ".join(tool.run("replay", *wrong, code=2).err.split())
    assert tool.bridge.calls == []


def test_polar_delivers_again_what_failed_at_our_endpoint(tool: Tool, polar: PolarOperations) -> None:
    polar.add_endpoint("https://other.example/webhooks/polar", ["order.paid"])
    ours = polar.add_endpoint(f"{APP}/webhooks/polar/", ["order.paid"])
    polar.add_delivery("wh_1", "order.paid", 503)
    polar.add_delivery("wh_2", "order.created", None)
    later = polar.add_delivery("wh_3", "order.created", 500)
    later["webhook_event"]["succeeded"] = True
    polar.add_delivery("wh_1", "order.paid", 503)
    polar.add_delivery("wh_4", "order.paid", 202)
    ran = tool.run("replay", "--from-polar", "--failed", "--since", "2026-11-01", "--json")
    assert [event["webhook_id"] for event in ran.json["events"]] == ["wh_1", "wh_2"]
    asked = next(call.query for call in polar.calls if call.path == "/v1/webhooks/deliveries")
    assert (asked["endpoint_id"], asked["start_timestamp"]) == ([ours["id"]], ["2026-11-01T00:00:00.000000Z"])
    assert asked["succeeded"] == ["false"]
    ran = tool.run("replay", "--from-polar", "--type", "order.paid")
    assert ran.out == "wh_1 order.paid redelivered\nwh_4 order.paid redelivered\nReplayed: 2 event(s), 0 failed.\n"
    assert polar.redelivered == ["wh_1", "wh_2", "wh_1", "wh_4"]
    subjects = [row["subject"] for row in tool.bridge.rows("SELECT subject FROM billing_audit")]
    assert subjects == ["failed since 2026-11-01T00:00:00.000000Z", "order.paid"]
    assert tool.bridge.asked("replay") == []


def test_polar_delivers_again_what_is_named(
    tool: Tool, polar: PolarOperations, monkeypatch: pytest.MonkeyPatch
) -> None:
    polar.add_delivery("wh_1", "order.paid", 202)
    polar.next_answers = [rate_limited(1)]
    waited: list[float] = []
    monkeypatch.setattr(time, "sleep", lambda seconds: seconds and waited.append(seconds))
    ran = tool.run("replay", "--from-polar", "wh_1", "a/b?c", "--json", code=1)
    assert [event["outcome"] for event in ran.json["events"]] == ["redelivered", "missing"]
    assert "Polar asks to wait for 1 s." in ran.err
    assert waited == [1]


def test_where_polar_cannot_be_asked_it_is_one_line(
    tool: Tool, polar: PolarOperations, monkeypatch: pytest.MonkeyPatch
) -> None:
    missing = f"Error: Polar has no webhook endpoint for {APP}/webhooks/polar."
    assert tool.run("replay", "--from-polar", code=1).error == missing
    polar.scopes -= {"webhooks:read", "webhooks:write"}
    assert tool.run("replay", "--from-polar", code=1).error == "Error: Polar answered 403 insufficient_scope."
    tool.bridge.facts["settings"]["base_url"] = "http://127.0.0.1:9"
    error = tool.run("replay", "--from-polar", "wh_1", code=1).error
    assert error.startswith("Error: Polar does not answer: look at the network")
    tool.bridge.facts["settings"]["server"] = "demo"
    assert "These are demo products" in tool.run("replay", "--from-polar", code=1).error


def test_ctrl_c_ends_it_after_the_event_in_hand(tool: Tool) -> None:
    for number in (1, 2, 3):
        store(tool, f"wh_{number}", "benefit.created")

    def answer(webhook_id: str, reactions: bool) -> dict[str, str]:
        if webhook_id == "wh_2":
            signal.raise_signal(signal.SIGINT)
        return {"outcome": "processed"}

    tool.bridge.scripts["replay"] = answer
    ran = tool.run("replay", "wh_1", "wh_2", "wh_3", "--json", code=130)
    assert [event["webhook_id"] for event in ran.json["events"]] == ["wh_1", "wh_2"]
    assert ran.error == "Stopped after 2 of 3. Run it again: nothing is applied twice."
