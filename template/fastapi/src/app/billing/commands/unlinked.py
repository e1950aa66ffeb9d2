"""`unlinked`: lists customers with purchases and no user."""

from typing import Annotated

import typer

from app.billing import repository
from app.billing.commands.audit import announce
from app.billing.commands.console import AsJson, columns, show
from app.billing.commands.project import open_project
from app.billing.time import to_iso


def unlinked(
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000, help="How many at most.")] = 50,
    after: Annotated[str, typer.Option("--after", help="Those after this customer.")] = "",
    personal: Annotated[bool, typer.Option("--personal", help="Show e-mail addresses and names.")] = False,
    as_json: AsJson = False,
) -> None:
    """List customers with purchases and no user.

    Nobody gets the access that they paid for. They came by a checkout link or an import; `link` gives one to a user.

    Example: uv run billing unlinked --limit 10 --personal
    """
    with open_project() as billing, billing.database.read() as connection:
        announce("unlinked", "personal data" if personal else "all")
        rows = repository.unlinked_customers(connection, after, limit + 1)
    customers = [
        {"customer": row.id, "created_at": to_iso(row.created_us)}
        | {"subscriptions": row.subscriptions, "orders": row.orders}
        | ({"email": row.email, "name": row.name} if personal else {})
        for row in rows[:limit]
    ]
    following = rows[limit - 1].id if len(rows) > limit else None
    table = [[str(value or "-") for value in row.values()] for row in customers]
    lines = columns([list(customers[0]), *table]) if customers else ["0 customer(s) without a user."]
    if following is not None:
        lines.append(f"More: --after {following}")
    show({"customers": customers, "next": following}, lines, as_json=as_json)
