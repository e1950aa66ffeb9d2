"""`link`, `unlinked` and `erase`: whose purchases they are, and whose data."""

from __future__ import annotations

import json
from typing import Any

from tests.operations.side import Pair, Side, now_us

HOSTILE = "user/2 é+%\"' --x"
EMAIL = "ada@example.com"


def add(side: Side, table: str, **row: object) -> None:
    names = ", ".join(row)
    side.sql(f"INSERT INTO billing_{table} ({names}) VALUES ({', '.join('?' * len(row))})", list(row.values()))


def buyer(side: Side, external_id: str | None = None, number: int = 1, **fields: Any) -> str:
    """A customer with an order, at Polar and here; the same id on both sides."""
    customer_id = f"00000000-0000-4000-8000-{number:012}"
    side.polar.add_customer(external_id, f"{number}@example.com", id=customer_id)
    known = {"id": customer_id, "external_id": external_id, "email": EMAIL, "name": "Ada", "created_us": 1} | fields
    add(side, "customers", **known)
    add(side, "orders", id=f"order-{number}", customer_id=customer_id, status="paid")
    return customer_id


def refused(pair: Pair, *command: str) -> str:
    """What a refusal says."""
    ran = pair.both(*command, code=1)
    assert ran.out == ""
    said: str = ran.err.splitlines()[-1]
    return said


def test_a_customer_is_linked_for_good(pair: Pair) -> None:
    for side in pair.sides:
        customer_id = buyer(side)
    assert "Polar keeps it for good. There is no terminal" in refused(pair, "link", HOSTILE, customer_id)
    assert not [call for side in pair.sides for call in side.polar.calls if call.method == "PATCH"]
    ran = pair.both("link", HOSTILE, customer_id, "--yes", "--json")
    assert ran.json == {"user": HOSTILE, "customer": customer_id}
    assert [side.polar.customers[customer_id]["external_id"] for side in pair.sides] == [HOSTILE] * 2
    rows = pair.sql("SELECT external_id, reconcile_us > 1 AS marked FROM billing_customers")
    assert rows == [{"external_id": HOSTILE, "marked": 1}]
    assert [row["user_id"] for row in pair.sql("SELECT user_id FROM billing_access")] == [HOSTILE]
    assert all(row["check_us"] <= now_us() for side in pair.sides for row in side.sql("SELECT * FROM billing_access"))
    pair.both("link", HOSTILE, customer_id)  # there is nothing to ask: it is so already
    audited = pair.sql("SELECT command, subject FROM billing_audit")
    assert audited == [{"command": "link", "subject": customer_id}] * 2


def test_the_unlinked_are_listed_page_by_page_and_without_personal_data(pair: Pair) -> None:
    for side in pair.sides:
        ids = [buyer(side, None, number) for number in (3, 1, 2)]
        buyer(side, "user_4", 4)
        buyer(side, None, 5, deleted_us=1)
        add(side, "customers", id="no purchase", created_us=1)
        add(side, "customers", id="of a user", created_us=1)
        add(side, "orders", id="o9", customer_id="of a user", app_user_id="user_9", status="paid")
        add(side, "subscriptions", id="s1", customer_id=ids[0], status="active")
    first = pair.both("unlinked", "--limit", "2", "--json")
    assert [row["customer"] for row in first.json["customers"]] == sorted(ids)[:2]
    assert first.json["next"] == sorted(ids)[1]
    second = pair.both("unlinked", "--limit", "2", "--after", first.json["next"], "--json").json
    created = "1970-01-01T00:00:00.000001Z"
    last = {"customer": ids[0], "created_at": created, "subscriptions": 1, "orders": 1}
    assert second == {"customers": [last], "next": None}
    table = pair.both("unlinked", "--limit", "1").out
    assert table.splitlines()[0].split() == ["customer", "created_at", "subscriptions", "orders"]
    assert "More: --after" in table
    assert EMAIL not in table
    personal = pair.both("unlinked", "--personal", "--json")
    assert personal.json["customers"][0]["email"] == EMAIL
    audited = json.loads(personal.err.splitlines()[-1])
    assert (audited["command"], audited["subject"]) == ("unlinked", "personal data")
    pair.both("unlinked", "--limit", "0", code=2)


def test_personal_data_of_a_user_goes_and_the_rest_stays(pair: Pair) -> None:
    for side in pair.sides:
        customer_id = buyer(side, HOSTILE)
        other = buyer(side, "user_2", 2)
        add(side, "members", id="m1", customer_id=customer_id, email=EMAIL, name="Ada", role="owner")
        add(side, "members", id="m2", customer_id="team", external_id=HOSTILE, email=EMAIL, name="Ada")
        add(side, "members", id="m3", customer_id="team", external_id="user_2", email="bob@example.com", name="Bob")
        for number, (about, state) in enumerate(
            [(customer_id, "processed"), (customer_id, "dead"), ("team", "ignored"), (other, "processed")]
        ):
            event = {
                "webhook_id": f"wh_{number}",
                "type": "order.paid",
                "state": state,
                "customer_id": about,
                "received_us": 1,
            }
            add(side, "webhook_events", **event, body=b"{}")
    assert "It cannot be brought back." in refused(pair, "erase", HOSTILE)
    ran = pair.both("erase", HOSTILE, "--yes", "--json")
    counted = {"customers": 1, "members": 2, "events": 3, "waiting": 0}
    assert ran.json == {"user": HOSTILE, **counted, "at_polar": [customer_id]}
    assert EMAIL not in ran.out + ran.err
    assert pair.sql("SELECT email FROM billing_customers ORDER BY id") == [{"email": None}, {"email": EMAIL}]
    assert [row["name"] for row in pair.sql("SELECT name FROM billing_members ORDER BY id")] == [None, None, "Bob"]
    kept = pair.sql("SELECT webhook_id FROM billing_webhook_events WHERE body IS NOT NULL")
    assert kept == [{"webhook_id": "wh_3"}]
    assert pair.sql("SELECT external_id FROM billing_customers ORDER BY id")[0] == {"external_id": HOSTILE}
    assert len(pair.sql("SELECT * FROM billing_orders")) == 2
    assert f"Polar still has customer {customer_id}." in pair.both("erase", HOSTILE, "--yes").out
