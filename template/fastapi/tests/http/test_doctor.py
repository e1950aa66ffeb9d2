"""What the doctor finds in this project: nothing as it was generated, on the database that runs in production."""

import pytest
from sqlalchemy import text

from app.billing import tables
from app.billing.doctor import examine, probes, records, rules, store
from app.billing.doctor.checks import CHECKS, RECORDS
from app.billing.doctor.examination import Examination
from app.billing.doctor.report import make_report, to_markdown
from app.billing.doctor.status import products_found, status_of
from tests.support.app import Shop


@pytest.fixture
def x(shop: Shop) -> Examination:
    """The project, on an empty database."""
    return Examination(shop.billing)


def test_every_check_has_a_function() -> None:
    assert list(examine.CHECKERS) == list(CHECKS)


def test_the_app_refuses_what_it_must(x: Examination) -> None:
    assert [*probes.webhook_route(x), *probes.webhook_unsigned(x), *probes.webhook_wrong_signature(x)] == []
    assert [*probes.webhook_stale(x), *probes.webhook_replayed(x)] == []
    assert [*probes.premium_unprotected(x), *probes.user_route_unprotected(x)] == []


def test_rules_and_events_are_the_generated_ones(x: Examination) -> None:
    assert [*rules.access_table(x), *rules.event_unhandled(x)] == []


def test_the_tables_are_those_of_the_migrations(x: Examination, shop: Shop) -> None:
    assert [*store.store_unreachable(x), *store.migrations_missing(x), *store.schema_drift(x)] == []
    with shop.database.write() as connection:
        connection.execute(text("ALTER TABLE billing_orders RENAME COLUMN currency TO coin"))
    places = [found.place for found in store.schema_drift(x)]
    with shop.database.write() as connection:
        connection.execute(text("ALTER TABLE billing_orders RENAME COLUMN coin TO currency"))
    assert "billing_orders.currency" in places


@pytest.mark.parametrize("check_id", RECORDS)
def test_an_empty_database_has_nothing_to_report(x: Examination, check_id: str) -> None:
    assert list(records.look(check_id)(x)) == []
    assert [*records.products_unknown(x), *records.projection_drift(x)] == []


def test_what_stands_in_the_database_is_reported(x: Examination, shop: Shop) -> None:
    shop.subscription("elsewhere")
    shop.insert(tables.orders, id="o1", customer_id="c1", status="on_the_moon")
    found = {check_id: [found.place for found in records.look(check_id)(x)] for check_id in RECORDS}
    assert {check_id for check_id, places in found.items() if places} == {"status_unknown"}
    assert [found.place for found in records.products_unknown(x)] == ["product elsewhere"]
    lines = list(to_markdown(make_report(products_found(), status_of(x), [])))
    assert "- Subscriptions: 1 active" in lines
