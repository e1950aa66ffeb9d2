"""Every way to a plan, from every state: what reaches Polar, and what access follows.

Nobody gets a plan that costs money where Polar may hold no card: its API asks for none, only its checkout does.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from app.billing import tables
from tests.support.app import FREE, LIFETIME, MONTHLY, NOW, RETIRED, STARTER, TEAM, USAGE, YEARLY, Shop

TABLE = json.loads(Path(__file__).parent.parent.joinpath("support", "ways_to_a_plan.json").read_text())
PRODUCTS: dict[str, Any] = {
    "free": FREE,
    "other_free": STARTER,
    "paid": MONTHLY,
    "other_paid": YEARLY,
    "metered": USAGE,
    "one_time": LIFETIME,
    "archived": RETIRED,
    "seats": TEAM,
}


def hold(shop: Shop, start: dict[str, Any]) -> str:
    """Store the subscription that the user begins with."""
    fields = {name: value for name, value in start.items() if name not in {"product", "elsewhere"}}
    product = PRODUCTS.get(start["product"], "unknown")
    fields |= {"past_due_us": NOW} if start.get("status") == "past_due" else {}
    if start.get("elsewhere"):
        return shop.subscription(product, user="user_2", app_user_id="user_1", **fields)
    return shop.subscription(product, **fields)


def sent(shop: Shop) -> str | None:
    """Say what reached Polar beside the customer."""
    asked = [(seen.method, seen.path.split("/")[2], seen.body) for seen in shop.polar.requests]
    match [(method, kind, body) for method, kind, body in asked if kind != "customers"]:
        case []:
            return None
        case [("PATCH", "subscriptions", _)]:
            return "change at Polar"
        case [("POST", "checkouts", body)]:
            return "checkout that upgrades" if "subscription_id" in body else "checkout"
        case others:
            return str(others)


@pytest.mark.parametrize(
    "row", TABLE["ways"], ids=lambda row: f"{row['start']}: {row['way']} {row['product'] or ''}".strip()
)
def test_a_way(shop: Shop, row: dict[str, Any]) -> None:
    start = TABLE["starts"][row["start"]]
    held = "11111111-1111-4111-8111-111111111111" if start is None else hold(shop, start)
    product = {} if row["product"] is None else {"product": PRODUCTS[row["product"]].key}

    if row["way"] == "checkout":
        answer = shop.post("/billing/checkout", product)
    else:
        answer = shop.post(f"/billing/subscription/{row['way']}", {"subscription": held, **product})

    assert " ".join([str(answer.status_code), *filter(None, [answer.json().get("error")])]) == row["answer"]
    assert sent(shop) == row["sent"]
    if row["access"] is not None:
        assert shop.get("/billing/access").json()["access"] is row["access"]
    assert not shop.rows(tables.reactions)
