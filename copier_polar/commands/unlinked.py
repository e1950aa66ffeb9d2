"""`unlinked`: lists customers with purchases and no user."""

from __future__ import annotations

from typing import Annotated

import typer

from copier_polar.audit import announce
from copier_polar.console import AsJson, PersistTo, Remote, columns, show
from copier_polar.instants import to_iso
from copier_polar.project import open_project, store_of

_UNLINKED = """SELECT * FROM (
    SELECT id, created_us, email, name,
      (SELECT count(*) FROM billing_subscriptions t WHERE t.customer_id = c.id AND t.app_user_id IS NULL)
        AS subscriptions,
      (SELECT count(*) FROM billing_orders t WHERE t.customer_id = c.id AND t.app_user_id IS NULL) AS orders
    FROM billing_customers c WHERE external_id IS NULL AND deleted_us IS NULL AND id > :after) AS found
  WHERE subscriptions > 0 OR orders > 0 ORDER BY id LIMIT :limit"""


def unlinked(
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000, help="How many at most.")] = 50,
    after: Annotated[str, typer.Option("--after", help="Those after this customer.")] = "",
    personal: Annotated[bool, typer.Option("--personal", help="Show e-mail addresses and names.")] = False,
    remote: Remote = False,
    persist_to: PersistTo = None,
    as_json: AsJson = False,
) -> None:
    """List customers with purchases and no user.

    Nobody gets the access that they paid for. They came by a checkout link or an import; `link` gives one to a user.

    Example: uv run billing unlinked --limit 10 --personal
    """
    with open_project(store_of(remote, persist_to)) as opened:
        announce("unlinked", "personal data" if personal else "all")
        rows = opened.bridge.sql(_UNLINKED, after=after, limit=limit + 1)
    customers = [
        {"customer": row["id"], "created_at": to_iso(row["created_us"])}
        | {"subscriptions": row["subscriptions"], "orders": row["orders"]}
        | ({"email": row["email"], "name": row["name"]} if personal else {})
        for row in rows[:limit]
    ]
    following = rows[limit - 1]["id"] if len(rows) > limit else None
    table = [[str(value or "-") for value in row.values()] for row in customers]
    lines = columns([list(customers[0]), *table]) if customers else ["0 customer(s) without a user."]
    if following is not None:
        lines.append(f"More: --after {following}")
    show({"customers": customers, "next": following}, lines, as_json=as_json)
