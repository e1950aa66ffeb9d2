"""What the tables say: events, reactions and customers that want a look."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

from copier_polar.doctor.examination import Examination, Found
from copier_polar.doctor.skipped import Skipped
from copier_polar.generated import order_policy, subscription_policy
from copier_polar.polar import Json
from copier_polar.read import objects


def _texts(values: Iterable[str]) -> str:
    return "(" + ", ".join(f"'{value}'" for value in values) + ")"


OVERDUE_US = 600_000_000
# What is read of the tables: place and detail of what is found; `:now` is the instant in microseconds. One SQL for D1,
# SQLite and Postgres.
RECORDS = {
    "events_dead": """
        SELECT 'event ' || webhook_id AS place, type || ': ' || COALESCE(error, '') AS what
        FROM billing_webhook_events WHERE state = 'dead' ORDER BY received_us DESC, webhook_id
    """,
    "events_failed": """
        SELECT 'event ' || webhook_id AS place, type || ': ' || COALESCE(error, '') AS what
        FROM billing_webhook_events WHERE state = 'failed' ORDER BY received_us DESC, webhook_id
    """,
    "status_unknown": f"""
        SELECT 'subscription ' || id AS place, status AS what FROM billing_subscriptions
        WHERE status NOT IN
        {_texts(subscription_policy())}
        UNION ALL SELECT 'order ' || id, status FROM billing_orders
        WHERE status NOT IN {_texts(order_policy())}
        ORDER BY place
    """,
    "background_idle": f"""
        SELECT 'events' AS place, COUNT(*) || ' overdue for a retry' AS what FROM billing_webhook_events
        WHERE state = 'failed' AND next_attempt_us < :now - {OVERDUE_US} HAVING COUNT(*) > 0
        UNION ALL SELECT 'reactions', COUNT(*) || ' overdue' FROM billing_reactions
        WHERE state = 'pending' AND next_attempt_us < :now - {OVERDUE_US} HAVING COUNT(*) > 0
        UNION ALL SELECT 'access', COUNT(*) || ' overdue for a comparison' FROM billing_access
        WHERE check_us < :now - {OVERDUE_US} HAVING COUNT(*) > 0 ORDER BY place
    """,
    "reactions_dead": """
        SELECT 'reaction ' || reaction || ' of ' || object_id AS place, COALESCE(error, '') AS what
        FROM billing_reactions WHERE state = 'dead' ORDER BY created_us DESC, key
    """,
    "owner_disputed": """
        SELECT 'subscription ' || s.id AS place,
        'user ' || s.app_user_id || ', customer of ' || c.external_id AS what
        FROM billing_subscriptions s JOIN billing_customers c ON c.id = s.customer_id
        WHERE s.app_user_id <> c.external_id
        UNION ALL SELECT 'order ' || o.id, 'user ' || o.app_user_id || ', customer of ' || c.external_id
        FROM billing_orders o JOIN billing_customers c ON c.id = o.customer_id
        WHERE o.app_user_id <> c.external_id ORDER BY place
    """,
    "customers_unlinked": """
        SELECT 'customer ' || c.id AS place, 'has bought, and has no external id' AS what FROM billing_customers c
        WHERE c.external_id IS NULL AND c.deleted_us IS NULL AND (
        EXISTS (SELECT 1 FROM billing_subscriptions s WHERE s.customer_id = c.id AND s.app_user_id IS NULL)
        OR EXISTS (SELECT 1 FROM billing_orders o WHERE o.customer_id = c.id AND o.app_user_id IS NULL))
        ORDER BY c.created_us DESC, c.id
    """,
    "customers_marked": """
        SELECT 'customer ' || id AS place, 'marked' AS what FROM billing_customers
        WHERE reconcile_us IS NOT NULL AND deleted_us IS NULL ORDER BY reconcile_us, id
    """,
}

HELD = """
    SELECT product_id, COUNT(*) AS number FROM (
    SELECT product_id FROM billing_subscriptions WHERE status IN ('active', 'trialing', 'past_due', 'paused')
    UNION ALL
    SELECT product_id FROM billing_orders
    WHERE subscription_id IS NULL AND billing_reason = 'purchase' AND status IN ('paid', 'partially_refunded')
    ) AS held WHERE product_id IS NOT NULL GROUP BY product_id ORDER BY product_id
"""
NEWEST = "SELECT id FROM billing_customers WHERE deleted_us IS NULL ORDER BY version DESC, id LIMIT 20"
LIVE = """
    SELECT 'subscription ' || id || ' ' || status AS held FROM billing_subscriptions
    WHERE customer_id = :customer AND status IN ('active', 'trialing')
    UNION ALL SELECT 'grant ' || id FROM billing_benefit_grants
    WHERE customer_id = :customer AND is_granted AND NOT is_revoked
"""


def look(check_id: str) -> Callable[[Examination], Iterator[Found]]:
    """Return the check that runs the SQL of that id."""
    return partial(_found, RECORDS[check_id])


def products_unknown(x: Examination) -> Iterator[Found]:
    """Report products that customers hold and the catalogue does not have."""
    for row in x.store().sql(HELD):
        if x.facts.catalogue.product_by_id(row["product_id"]) is None:
            yield Found(f"product {row['product_id']}", f"held {row['number']} time(s)")


def projection_drift(x: Examination) -> Iterator[Found]:
    """Compare the customers that changed last with Polar's own view of them."""
    newest = [row["id"] for row in x.store().sql(NEWEST)]
    held = x.bridge.batch(*((LIVE, {"customer": customer_id}) for customer_id in newest)) if newest else []
    for customer_id, rows in zip(newest, held, strict=True):
        here, there = {row["held"] for row in rows}, _live_at_polar(x, customer_id)
        if here != there:
            what = f"only at Polar: {_listed(there - here)}; only here: {_listed(here - there)}"
            yield Found(f"customer {customer_id}", what)


def _listed(held: Iterable[str]) -> str:
    return ", ".join(sorted(held)) or "nothing"


def _live_at_polar(x: Examination, customer_id: str) -> set[str]:
    state = x.polar.customer_state(customer_id)
    return set() if state is None else set(_live_in(state))


def _live_in(state: Json) -> Iterator[str]:
    subscriptions, grants = objects(state, "active_subscriptions"), objects(state, "granted_benefits")
    if subscriptions is None or grants is None:
        raise Skipped("Polar's answer cannot be read.")
    for subscription in subscriptions:
        yield f"subscription {subscription.get('id')} {subscription.get('status')}"
    for grant in grants:
        yield f"grant {grant.get('id')}"


def _found(sql: str, x: Examination) -> Iterator[Found]:
    values: dict[str, Any] = {"now": time.time_ns() // 1000} if ":now" in sql else {}
    for row in x.store().sql(sql, **values):
        yield Found(row["place"], row["what"])
