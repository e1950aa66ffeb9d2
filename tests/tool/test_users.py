"""`link`, `unlinked`, `erase` and `block`: whose purchases they are, and whose data."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from tests.operations.polar_operations import PolarOperations
from tests.support.polar_runtime import refused
from tests.tool.conftest import Tool

HOSTILE = "user/2 é+%\"' --x"
STRANGER = "00000000-0000-4000-8000-00000000000f"
EMAIL = "ada@example.com"


def now_us() -> int:
    return time.time_ns() // 1000


def buyer(tool: Tool, external_id: str | None = None, number: int = 1, **fields: Any) -> str:
    """A customer with an order, here."""
    customer_id = f"00000000-0000-4000-8000-{number:012}"
    known = {"id": customer_id, "external_id": external_id, "email": EMAIL, "name": "Ada", "created_us": 1} | fields
    tool.bridge.add("customers", **known)
    tool.bridge.add("orders", id=f"order-{number}", customer_id=customer_id, status="paid")
    return customer_id


def bought(tool: Tool, polar: PolarOperations, external_id: str | None = None, number: int = 1, **fields: Any) -> str:
    """The same, here and at Polar."""
    customer_id = buyer(tool, external_id, number, **fields)
    polar.add_customer(external_id, f"{number}@example.com", id=customer_id)
    return customer_id


def refusal(tool: Tool, *command: str) -> str:
    """What a refusal says."""
    ran = tool.run(*command, code=1)
    assert ran.out == ""
    return ran.error


def test_a_user_is_blocked_and_unblocked_and_it_is_written_down_who_did_it(tool: Tool) -> None:
    for name in ("old", "new"):
        tool.bridge.add("customers", id=name, external_id="user_1", created_us=1)
    assert tool.run("block", "user_1").out == "Blocked: 2 customer(s) of this user.\n"
    assert all(row["blocked_us"] > 0 for row in tool.bridge.rows("SELECT * FROM billing_customers"))
    assert [row["user_id"] for row in tool.bridge.rows("SELECT * FROM billing_access")] == ["user_1"]
    assert all(row["check_us"] <= now_us() for row in tool.bridge.rows("SELECT * FROM billing_access"))
    ran = tool.run("block", "user_1", "--off", "--json")
    assert ran.json == {"user": "user_1", "blocked": False, "customers": 2}
    assert [row["blocked_us"] for row in tool.bridge.rows("SELECT blocked_us FROM billing_customers")] == [None, None]
    rows = tool.bridge.rows("SELECT command, subject, actor FROM billing_audit ORDER BY id")
    assert [(row["command"], row["subject"]) for row in rows] == [("block", "user_1"), ("unblock", "user_1")]
    line = {"event": "audit", "command": "unblock", "subject": "user_1", "actor": rows[0]["actor"]}
    assert json.loads(ran.error) == line


def test_a_user_that_is_not_known_is_refused_and_nothing_is_written_down(tool: Tool) -> None:
    assert refusal(tool, "block", "nobody'; DROP TABLE billing_customers").endswith("so nothing was changed.")
    assert tool.bridge.rows("SELECT * FROM billing_audit") == tool.bridge.rows("SELECT * FROM billing_access") == []


def test_what_is_changed_and_who_did_it_are_one_transaction(tool: Tool) -> None:
    buyer(tool, "user_1")
    tool.bridge.rows("DROP TABLE billing_audit")
    tool.bridge.rows("CREATE TABLE billing_audit (id)")
    assert refusal(tool, "block", "user_1") == "Error: The database refused: OperationalError."
    assert tool.bridge.rows("SELECT blocked_us FROM billing_customers") == [{"blocked_us": None}]


def test_a_customer_is_linked_for_good(tool: Tool, polar: PolarOperations) -> None:
    customer_id = bought(tool, polar)
    assert "Polar keeps it for good. There is no terminal" in refusal(tool, "link", HOSTILE, customer_id)
    assert not [call for call in polar.calls if call.method == "PATCH"]
    ran = tool.run("link", HOSTILE, customer_id, "--yes", "--json")
    assert ran.json == {"user": HOSTILE, "customer": customer_id}
    assert polar.customers[customer_id]["external_id"] == HOSTILE
    rows = tool.bridge.rows("SELECT external_id, reconcile_us > 1 AS marked FROM billing_customers")
    assert rows == [{"external_id": HOSTILE, "marked": 1}]
    (access,) = tool.bridge.rows("SELECT user_id, check_us FROM billing_access")
    assert access["user_id"] == HOSTILE
    assert access["check_us"] <= now_us()
    tool.run("link", HOSTILE, customer_id)  # there is nothing to ask: it is so already
    audited = tool.bridge.rows("SELECT command, subject FROM billing_audit")
    assert audited == [{"command": "link", "subject": customer_id}] * 2


def test_a_customer_that_is_new_here_is_stored_and_all_it_concerns_are_checked(
    tool: Tool, polar: PolarOperations
) -> None:
    customer_id = polar.add_customer("user_1", EMAIL, name="Ada\x00", created_at="2026-11-01T00:00:00Z")["id"]
    tool.bridge.add("members", id="m1", customer_id=customer_id, external_id="user_2")
    tool.bridge.add("orders", id="o1", customer_id=customer_id, app_user_id="user_3", status="paid")
    tool.bridge.add("access", user_id="user_3", access=1, changes=7)
    tool.run("link", "user_1", customer_id)
    (row,) = tool.bridge.rows("SELECT * FROM billing_customers")
    assert (row["email"], row["name"], row["type"], row["version"]) == (EMAIL, "Ada", "individual", 0)
    assert row["created_us"] == 1793491200000000
    checked = tool.bridge.rows(
        "SELECT user_id, access, changes FROM billing_access WHERE check_us > 1 ORDER BY user_id"
    )
    assert [tuple(row.values()) for row in checked] == [("user_1", 0, 0), ("user_2", 0, 0), ("user_3", 1, 7)]


def test_what_would_mix_up_users_is_refused(tool: Tool, polar: PolarOperations) -> None:
    taken, free = bought(tool, polar, "user_1", 1), bought(tool, polar, None, 2)
    gone = bought(tool, polar, None, 3, deleted_us=5)
    only_at_polar = polar.add_customer("user_4", "4@example.com")["id"]
    assert "This customer belongs to another user." in refusal(tool, "link", "user_2", taken, "--yes")
    assert "This customer belongs to another user." in refusal(tool, "link", "user_2", only_at_polar, "--yes")
    assert "This user has another customer." in refusal(tool, "link", "user_1", free, "--yes")
    assert "This user has another customer." in refusal(tool, "link", "user_4", free, "--yes")
    assert "This customer was deleted." in refusal(tool, "link", "user_2", gone, "--yes")
    assert "Polar has no such customer." in refusal(tool, "link", "user_2", STRANGER, "--yes")
    polar.always = lambda call: refused(["external_id"], "no", "x") if call.method == "PATCH" else None
    told = refusal(tool, "link", "user_2", free, "--yes")
    assert told == "Error: Polar does not take this user's id for this customer."
    assert tool.bridge.rows("SELECT * FROM billing_audit") == []


@pytest.mark.parametrize("wrong", [["", STRANGER], ["u" * 256, STRANGER], ["user_1", "../products"], ["user_1", ""]])
def test_what_is_no_id_is_no_call(tool: Tool, wrong: list[str]) -> None:
    tool.run("link", *wrong, "--yes", code=2)
    assert tool.bridge.calls == []


def test_what_needs_polar_says_what_is_missing(tool: Tool, monkeypatch: pytest.MonkeyPatch) -> None:
    tool.bridge.facts["settings"]["base_url"] = "http://127.0.0.1:9"
    missing = "Error: Settings: POLAR_ACCESS_TOKEN: required in the environment of this command."
    assert refusal(tool, "link", "user_1", STRANGER) == missing
    monkeypatch.setenv("POLAR_ACCESS_TOKEN", "polar_oat_x")
    assert refusal(tool, "link", "user_1", STRANGER).startswith("Error: Polar does not answer: look at the network")
    tool.bridge.facts["settings"]["server"] = "demo"
    demo = "Error: These are demo products: there is no Polar to ask. POLAR_SERVER names one."
    assert refusal(tool, "link", "user_1", STRANGER) == demo


def test_the_unlinked_are_listed_page_by_page_and_without_personal_data(tool: Tool) -> None:
    ids = [buyer(tool, None, number) for number in (3, 1, 2)]
    buyer(tool, "user_4", 4)
    buyer(tool, None, 5, deleted_us=1)
    tool.bridge.add("customers", id="no purchase", created_us=1)
    tool.bridge.add("customers", id="of a user", created_us=1)
    tool.bridge.add("orders", id="o9", customer_id="of a user", app_user_id="user_9", status="paid")
    tool.bridge.add("subscriptions", id="s1", customer_id=ids[0], status="active")
    first = tool.run("unlinked", "--limit", "2", "--json")
    assert [row["customer"] for row in first.json["customers"]] == sorted(ids)[:2]
    assert first.json["next"] == sorted(ids)[1]
    second = tool.run("unlinked", "--limit", "2", "--after", first.json["next"], "--json").json
    created = "1970-01-01T00:00:00.000001Z"
    last = {"customer": ids[0], "created_at": created, "subscriptions": 1, "orders": 1}
    assert second == {"customers": [last], "next": None}
    table = tool.run("unlinked", "--limit", "1").out
    assert table.splitlines()[0].split() == ["customer", "created_at", "subscriptions", "orders"]
    assert table.splitlines()[-1] == f"More: --after {sorted(ids)[0]}"
    assert EMAIL not in table
    personal = tool.run("unlinked", "--personal", "--json")
    assert personal.json["customers"][0]["email"] == EMAIL
    audited = json.loads(personal.error)
    assert (audited["command"], audited["subject"]) == ("unlinked", "personal data")
    tool.run("unlinked", "--limit", "0", code=2)
    tool.run("unlinked", "--limit", "1001", code=2)


def test_without_unlinked_customers_it_says_so(tool: Tool) -> None:
    assert tool.run("unlinked").out == "0 customer(s) without a user.\n"


def test_personal_data_of_a_user_goes_and_the_rest_stays(tool: Tool) -> None:
    customer_id, other = buyer(tool, HOSTILE), buyer(tool, "user_2", 2)
    tool.bridge.add("members", id="m1", customer_id=customer_id, email=EMAIL, name="Ada", role="owner")
    tool.bridge.add("members", id="m2", customer_id="team", external_id=HOSTILE, email=EMAIL, name="Ada")
    tool.bridge.add("members", id="m3", customer_id="team", external_id="user_2", email="bob@example.com", name="Bob")
    for number, (about, state) in enumerate(
        [(customer_id, "processed"), (customer_id, "dead"), ("team", "ignored"), (other, "processed")]
    ):
        event = {"webhook_id": f"wh_{number}", "type": "order.paid", "state": state, "customer_id": about}
        tool.bridge.add("webhook_events", **event, received_us=1, body=b"{}")
    assert "It cannot be brought back." in refusal(tool, "erase", HOSTILE)
    ran = tool.run("erase", HOSTILE, "--yes", "--json")
    counted = {"customers": 1, "members": 2, "events": 3, "waiting": 0}
    assert ran.json == {"user": HOSTILE, **counted, "at_polar": [customer_id]}
    assert EMAIL not in ran.out + ran.err
    rows = tool.bridge.rows
    assert rows("SELECT email FROM billing_customers ORDER BY id") == [{"email": None}, {"email": EMAIL}]
    assert [row["name"] for row in rows("SELECT name FROM billing_members ORDER BY id")] == [None, None, "Bob"]
    kept = rows("SELECT webhook_id FROM billing_webhook_events WHERE body IS NOT NULL")
    assert kept == [{"webhook_id": "wh_3"}]
    assert rows("SELECT external_id FROM billing_customers ORDER BY id")[0] == {"external_id": HOSTILE}
    assert len(rows("SELECT * FROM billing_orders")) == 2
    assert tool.run("erase", HOSTILE, "--yes").out == (
        "Erased: 1 customer(s), 2 member(s), 0 event(s).\n"
        "Ids, purchases and amounts stay: access and accounting need them.\n"
        f"Polar still has customer {customer_id}. Delete it there, anonymized; its subscriptions end with that.\n"
        "Until then what Polar sends brings the data back.\n"
    )


def test_an_event_that_waits_keeps_its_body_and_is_told(tool: Tool) -> None:
    customer_id = buyer(tool, "user_1", deleted_us=1)
    event = {"webhook_id": "wh_1", "type": "order.paid", "state": "failed", "customer_id": customer_id}
    tool.bridge.add("webhook_events", **event, received_us=1, body=b"{}")
    ran = tool.run("erase", "user_1", "--yes", "--json", code=1)
    assert (ran.json["waiting"], ran.json["at_polar"]) == (1, [])
    assert tool.bridge.rows("SELECT count(body) AS bodies FROM billing_webhook_events") == [{"bodies": 1}]


def test_nobody_is_erased_or_blocked_by_mistake(tool: Tool) -> None:
    assert "Nothing of this user is known" in refusal(tool, "erase", "nobody' OR '1'='1", "--yes")
    assert "Nothing of this user is known" in refusal(tool, "erase", "--yes", "--", "--all")
    buyer(tool, "--all")
    ran = tool.run("block", "--", "--all")
    assert json.loads(ran.error)["subject"] == "--all"
