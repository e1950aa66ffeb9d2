"""How billing stands: what is sold, where, and what the tables count."""

from __future__ import annotations

from contextlib import suppress

from copier_polar.bridge import Bridge, StoreProblem
from copier_polar.doctor.environment import schemes
from copier_polar.doctor.examination import Examination
from copier_polar.doctor.products import shown_prices
from copier_polar.doctor.skipped import Skipped
from copier_polar.instants import to_iso
from copier_polar.polar import Json

GROUPED = "SELECT {0} AS name, COUNT(*) AS number FROM {1} GROUP BY {0} ORDER BY {0}"


def products_found(x: Examination) -> list[Json]:
    """Return the products of the code, in catalogue order."""
    return [
        {
            "key": product.key,
            "name": product.name,
            "prices": shown_prices(product),
            "interval": _interval(product.interval, product.interval_count),
            "premium": product.premium,
            "id": product.id,
        }
        for product in x.facts.catalogue.products
    ]


def status_of(x: Examination) -> Json:
    """Return what is configured and what the tables count, as far as either can be read."""
    version = {"version": x.facts.api_version, "earliest_removal": x.facts.earliest_removal}
    status: Json = {"api": version, "settings": None, "tables": None}
    # The check that looks for it says what is wrong.
    with suppress(Skipped):
        settings = x.settings
        status["settings"] = {"server": settings.server, "app_url": settings.app_url, "webhook_secrets": None}
        status["settings"]["webhook_secrets"] = schemes(x)
    with suppress(Skipped, StoreProblem):
        status["tables"] = _counts(x.store())
    return status


def _counts(bridge: Bridge) -> Json:
    events, newest, customers, subscriptions, orders = bridge.batch(
        (GROUPED.format("state", "billing_webhook_events"), {}),
        ("SELECT MAX(received_us) AS us FROM billing_webhook_events", {}),
        ("SELECT COUNT(*) AS number FROM billing_customers WHERE deleted_us IS NULL", {}),
        (GROUPED.format("status", "billing_subscriptions"), {}),
        (GROUPED.format("status", "billing_orders"), {}),
    )
    return {
        "events": _grouped(events),
        "newest_event": to_iso(newest[0]["us"]),
        "customers": customers[0]["number"],
        "subscriptions": _grouped(subscriptions),
        "orders": _grouped(orders),
    }


def _grouped(rows: list[Json]) -> dict[str, int]:
    return {row["name"]: row["number"] for row in rows}


def _interval(interval: str | None, count: int | None) -> str:
    if interval is None:
        return "once"
    return f"every {count} {interval}s" if count and count > 1 else f"every {interval}"
