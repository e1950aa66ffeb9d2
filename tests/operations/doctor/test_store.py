"""What the doctor finds in the database: the tables themselves, and what stands in them."""

from __future__ import annotations

from tests.operations.doctor.conftest import Patient
from tests.operations.side import now_us
from tests.support.polar_runtime import instant

HOUR = 3600 * 1_000_000


def test_a_database_that_does_not_answer(patient: Patient) -> None:
    for side in patient.pair.sides:
        database = side.database
        for file in database.parent.glob(f"{database.name}-*"):
            file.unlink()
        database.write_bytes(b"this is no database" * 1000)
    report = patient.examined(code=1)
    assert report.found == {"store_unreachable": [("database", "does not answer a query")]}
    assert report.skipped["schema_drift"] == "The database does not answer or misses migrations."


def test_tables_that_are_not_those_of_the_migrations(patient: Patient) -> None:
    patient.sql("DROP TABLE billing_audit")
    patient.sql("ALTER TABLE billing_orders DROP COLUMN currency")
    patient.sql("ALTER TABLE billing_members ADD COLUMN nickname TEXT")
    for side in patient.pair.sides:
        (index,) = side.sql("SELECT name FROM sqlite_master WHERE name LIKE '%billing_reactions_state%'")
        side.sql(f"DROP INDEX {index['name']}")
    assert patient.examined(code=1).found == {
        "schema_drift": [
            ("billing_audit", "the table is missing"),
            ("billing_members.nickname", "the column is of no migration"),
            ("billing_orders.currency", "the column is missing"),
            ("billing_reactions", "the index on state, next_attempt_us is missing"),
        ]
    }


def test_what_stands_in_the_tables(patient: Patient) -> None:
    long_ago = now_us() - HOUR
    for state, next_us in (("dead", "NULL"), ("failed", long_ago), ("processed", "NULL")):
        patient.sql(
            "INSERT INTO billing_webhook_events (webhook_id, type, state, error, received_us, next_attempt_us) "
            f"VALUES ('wh_{state}', 'order.paid', '{state}', 'data: not an object', 1, {next_us})"
        )
    for customer, external in (("linked", "'user_1'"), ("unlinked", "NULL"), ("bystander", "NULL")):
        patient.sql(f"INSERT INTO billing_customers (id, external_id) VALUES ('{customer}', {external})")
    patient.sql("UPDATE billing_customers SET reconcile_us = 1 WHERE id = 'linked'")
    for name, customer, user, status in (
        ("s_live", "linked", "'user_2'", "active"),
        ("s_odd", "unlinked", "NULL", "on_the_moon"),
    ):
        patient.sql(
            "INSERT INTO billing_subscriptions (id, customer_id, product_id, app_user_id, status) "
            f"VALUES ('{name}', '{customer}', 'elsewhere', {user}, '{status}')"
        )
    patient.sql(
        "INSERT INTO billing_reactions (key, reaction, object_id, payload, state, error, created_us) "
        "VALUES ('k', 'order_paid', 'o1', '{}', 'dead', 'no mail server', 1)"
    )
    patient.sql(f"INSERT INTO billing_access (user_id, check_us) VALUES ('user_1', {long_ago})")
    for polar in patient.polars:
        customer = polar.add_customer("user_1", "ada@example.com", id="linked")
        polar.add_customer(None, "bob@example.com", id="unlinked")
        polar.add_customer(None, "eve@example.com", id="bystander")
        polar.subscriptions["s_new"] = {
            "id": "s_new",
            "customer_id": customer["id"],
            "status": "trialing",
            "created_at": instant(polar.now()),
        }
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
    assert "Fix: Remove the cause, then run `{billing} replay`." in text
    assert "1. Now, before anything else: `status_unknown`" not in text
    assert "1. Now, before anything else: `events_dead`, `status_unknown`, `background_idle`, `owner_disputed`." in text
