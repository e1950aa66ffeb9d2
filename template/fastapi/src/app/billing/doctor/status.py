"""How billing stands: what is sold, where, and what the tables count."""

from sqlalchemy import Connection, text

from app.billing.catalog import catalog
from app.billing.doctor.environment import schemes
from app.billing.doctor.examination import Examination
from app.billing.doctor.products import shown_prices
from app.billing.doctor.skipped import Skipped
from app.billing.polar_sdk import API_VERSION, EARLIEST_REMOVAL
from app.billing.time import to_iso

GROUPED = "SELECT {0} AS name, COUNT(*) AS number FROM {1} GROUP BY {0} ORDER BY {0}"


def products_found() -> list[dict[str, object]]:
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
        for product in catalog.products
    ]


def status_of(x: Examination) -> dict[str, object]:
    """Return what is configured and what the tables count, as far as either can be read."""
    version = {"version": API_VERSION, "earliest_removal": EARLIEST_REMOVAL}
    status: dict[str, object] = {"api": version, "settings": None, "tables": None}
    try:
        settings = x.billing.settings
        status["settings"] = {
            "server": settings.polar_server,
            "app_url": settings.app_url,
            "webhook_secrets": schemes(x),
        }
        with x.reading() as connection:
            status["tables"] = _counts(connection)
    except Skipped:
        pass  # the check that looks for it says so
    return status


def _counts(connection: Connection) -> dict[str, object]:
    newest = connection.scalar(text("SELECT MAX(received_us) FROM billing_webhook_events"))
    return {
        "events": _grouped(connection, GROUPED.format("state", "billing_webhook_events")),
        "newest_event": to_iso(newest),
        "customers": connection.scalar(text("SELECT COUNT(*) FROM billing_customers WHERE deleted_us IS NULL")),
        "subscriptions": _grouped(connection, GROUPED.format("status", "billing_subscriptions")),
        "orders": _grouped(connection, GROUPED.format("status", "billing_orders")),
    }


def _grouped(connection: Connection, sql: str) -> dict[str, int]:
    return {row.name: row.number for row in connection.execute(text(sql))}


def _interval(interval: str | None, count: int | None) -> str:
    if interval is None:
        return "once"
    return f"every {count} {interval}s" if count and count > 1 else f"every {interval}"
