"""What the doctor finds in the database: the tables themselves, and what stands in them."""

from __future__ import annotations

import time

from tests.support.polar_runtime import instant
from tests.tool.doctor.conftest import Patient, both_runtimes
from tests.tool.fake_bridge import Failure

HOUR_US = 3600 * 1_000_000


def _fails(**_: object) -> None:
    raise Failure("store", "The database refused: DatabaseError.")


def test_a_database_that_does_not_answer(patient: Patient) -> None:
    patient.tool.bridge.scripts |= {"sql": _fails, "migrations": lambda: {"answers": False, "current": False}}
    report = patient.examined(code=1)
    assert report.found == {"store_unreachable": [("database", "does not answer a query")]}
    assert report.skipped["migrations_missing"] == "The database does not answer."
    assert report.skipped["schema_drift"] == "The database does not answer or misses migrations."
    assert report.json["status"]["tables"] is None
    patient.tool.bridge.scripts["migrations"] = _fails
    assert patient.examined(code=1).json == report.json


def test_migrations_that_were_not_applied(patient: Patient) -> None:
    patient.tool.bridge.scripts["migrations"] = lambda: {"answers": True, "current": False}
    report = patient.examined(code=1)
    assert report.found == {"migrations_missing": [("database", "not all migrations are applied")]}
    assert report.skipped["events_dead"] == "The database does not answer or misses migrations."


@both_runtimes
def test_tables_that_are_not_those_of_the_migrations(patient: Patient) -> None:
    patient.sql("DROP TABLE billing_audit")
    patient.sql("ALTER TABLE billing_orders DROP COLUMN currency")
    patient.sql("ALTER TABLE billing_members ADD COLUMN nickname TEXT")
    patient.sql("CREATE TABLE mine (id TEXT PRIMARY KEY)")
    (index,) = patient.tool.bridge.rows("SELECT name FROM sqlite_master WHERE name LIKE '%billing_reactions_state%'")
    patient.sql(f"DROP INDEX {index['name']}")
    assert patient.examined(code=1).found == {
        "schema_drift": [
            ("billing_audit", "the table is missing"),
            ("billing_members.nickname", "the column is of no migration"),
            ("billing_orders.currency", "the column is missing"),
            ("billing_reactions", "the index on state, next_attempt_us is missing"),
        ]
    }


def test_blocked_users_who_are_charged_and_customers_with_two_subscriptions(patient: Patient) -> None:
    for name, customer, user, status in (
        ("s1", "c1", "'user_1'", "active"),
        ("s2", "c1", "NULL", "trialing"),
        ("s3", "c2", "NULL", "canceled"),
        ("s4", "c3", "NULL", "past_due"),
    ):
        patient.sql(
            "INSERT INTO billing_subscriptions (id, customer_id, app_user_id, status) "
            f"VALUES ('{name}', '{customer}', {user}, '{status}')"
        )
    for customer, user in (("c1", "user_1"), ("c2", "user_2"), ("c3", "user_3")):
        patient.sql(f"INSERT INTO billing_customers (id, external_id) VALUES ('{customer}', '{user}')")
    for user in ("user_2", "user_3", "nobody"):
        patient.sql(f"INSERT INTO billing_blocked_users (user_id, blocked_us) VALUES ('{user}', 1)")
    found = patient.examined(code=0).found
    assert found["blocked_paying"] == [("user user_3", "subscription s4 is past_due")]
    assert found["subscriptions_several"] == [("customer c1", "2 live subscriptions")]
    patient.facts["catalogue"]["organization"]["allow_multiple_subscriptions"] = True
    assert "subscriptions_several" not in patient.examined().found


@both_runtimes
def test_a_table_that_checks_read_is_missing_and_the_report_says_so(patient: Patient) -> None:
    patient.sql("DROP TABLE billing_webhook_events")
    report = patient.examined(code=1)
    assert report.found == {"schema_drift": [("billing_webhook_events", "the table is missing")]}
    assert report.skipped["events_dead"] == "The database refused: OperationalError."
    assert report.json["status"]["tables"] is None


def test_migrations_of_a_worker_that_need_more_than_an_empty_database(patient: Patient) -> None:
    (patient.tool.folder / "migrations" / "5001_mine.sql").write_text("INSERT INTO elsewhere VALUES (1);")
    report = patient.examined()
    assert report.skipped["schema_drift"] == "The migration 5001_mine.sql cannot be applied to an empty database here."


def test_what_stands_in_the_tables(patient: Patient) -> None:
    _fill(patient)
    report = patient.examined(code=1)
    assert report.found == {
        "events_dead": [("event wh_dead", "order.paid: data: not an object")],
        "status_unknown": [("subscription s_odd", "on_the_moon")],
        "background_idle": [("access", "1 overdue for a comparison"), ("events", "1 overdue for a retry")],
        "events_failed": [("event wh_failed", "order.paid: data: not an object")],
        "reactions_dead": [("reaction order_paid of o1", "no mail server")],
        "owner_disputed": [("subscription s_live", "user user_2, customer of user_1")],
        "customers_unlinked": [("customer unlinked", "has bought, and has no external id")],
        "products_unknown": [("product elsewhere", "held 1 time(s)")],
        "projection_drift": [
            ("customer linked", "only at Polar: subscription s_new trialing; only here: subscription s_live active")
        ],
        "customers_marked": [("customer linked", "marked")],
    }
    status = report.json["status"]["tables"]
    assert status["events"] == {"dead": 1, "failed": 1, "processed": 1}
    assert (status["newest_event"], status["customers"]) == ("1970-01-01T00:00:00.000001Z", 3)
    text = patient.text(code=1)
    assert "ada@example.com" not in text
    assert "- Events: 1 dead, 1 failed, 1 processed; the newest: 1970-01-01T00:00:00.000001Z" in text
    assert "Fix: Remove the cause, then run `npm run billing -- replay`." in text
    now = "`events_dead`, `status_unknown`, `background_idle`, `owner_disputed`"
    assert f"1. Now, before anything else: {now}." in text


def _fill(patient: Patient) -> None:
    """Rows of every kind that wants a look."""
    add, long_ago = patient.tool.bridge.add, time.time_ns() // 1000 - HOUR_US
    for state, next_us in (("dead", None), ("failed", long_ago), ("processed", None)):
        event = {"webhook_id": f"wh_{state}", "type": "order.paid", "state": state, "error": "data: not an object"}
        add("webhook_events", **event, received_us=1, next_attempt_us=next_us)
    for customer, external, marked in (("linked", "user_1", 1), ("unlinked", None, None), ("bystander", None, None)):
        add("customers", id=customer, external_id=external, reconcile_us=marked)
    for name, customer, user, status in (
        ("s_live", "linked", "user_2", "active"),
        ("s_odd", "unlinked", None, "on_the_moon"),
    ):
        add("subscriptions", id=name, customer_id=customer, product_id="elsewhere", app_user_id=user, status=status)
    reaction = {"key": "k", "reaction": "order_paid", "object_id": "o1", "payload": "{}", "created_us": 1}
    add("reactions", **reaction, state="dead", error="no mail server")
    add("access", user_id="user_1", check_us=long_ago)
    polar = patient.polar
    customer = polar.add_customer("user_1", "ada@example.com", id="linked")
    polar.add_customer(None, "bob@example.com", id="unlinked")
    polar.add_customer(None, "eve@example.com", id="bystander")
    created = {"status": "trialing", "created_at": instant(polar.now())}
    polar.subscriptions["s_new"] = {"id": "s_new", "customer_id": customer["id"], **created}


def test_long_lists_are_cut_and_counted_and_markup_in_them_is_shown(patient: Patient) -> None:
    for number in range(25):
        event = {"webhook_id": f"wh_{number:02}", "type": "[x](y) <b>", "error": "a\nb\x1b[31m"}
        patient.tool.bridge.add("webhook_events", **event, state="failed", received_us=number)
    assert len(patient.examined().found["events_failed"]) == 25
    lines = patient.text().splitlines()
    assert lines.count("- and 5 more") == 1
    assert "- event wh_24: \\[x\\](y) \\<b\\>: a b\ufffd\\[31m" in lines
