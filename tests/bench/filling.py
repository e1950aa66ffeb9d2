"""Stores with many subscriptions, filled by SQL, and how each finds one user's among them."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from tests.bench import payloads
from tests.bench.effort import progress
from tests.bench.servers import environment
from tests.support import apps, node
from tests.support.process import run

_SQL = Path(__file__).parent / "baselines" / "sql.py"
_HOUR_US = 3600 * 1_000_000
_PRINT_QUERY = """
import { holdingsOf } from "./src/billing/store/holdings-store.ts";
holdingsOf({ prepare: (query) => ({ bind: () => process.stdout.write(query) }) }, "");
"""


def statements(count: int) -> str:
    """SQL of any of the databases: that many customers, each with a subscription, an order and a benefit."""
    now = time.time_ns() // 1000
    begun, ends = now - 24 * _HOUR_US, now + 24 * 29 * _HOUR_US
    numbers = f"WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < {count - 1})"
    user, customer, subscription = "'user_' || i", "'customer-' || i", "'subscription-' || i"
    common = f"{customer}, '{payloads.PRODUCT['id']}', {user}"
    return f"""
{numbers} INSERT INTO billing_customers (id, external_id, email, created_us, reconciled_us, version)
  SELECT {customer}, {user}, {user} || '@example.com', {begun}, {now}, {begun} FROM n;
{numbers} INSERT INTO billing_members (id, customer_id, external_id, role, version)
  SELECT 'member-' || i, {customer}, {user}, 'owner', {begun} FROM n;
{numbers} INSERT INTO billing_subscriptions (id, customer_id, product_id, app_user_id, status, amount, currency,
    recurring_interval, current_period_start_us, current_period_end_us, started_us, created_us, version)
  SELECT {subscription}, {common}, 'active', 1900, 'usd', 'month', {begun}, {ends}, {begun}, {begun}, {begun} FROM n;
{numbers} INSERT INTO billing_orders (id, customer_id, product_id, app_user_id, status, amount, currency,
    billing_reason, subscription_id, created_us, version)
  SELECT 'order-' || i, {common}, 'paid', 1900, 'usd', 'subscription_create', {subscription}, {begun}, {begun} FROM n;
{numbers} INSERT INTO billing_benefit_grants (id, customer_id, member_id, benefit_id, subscription_id, is_granted,
    created_us, version)
  SELECT 'grant-' || i, {customer}, 'member-' || i, '{payloads.PRODUCT["benefits"][0]["id"]}', {subscription}, true,
    {begun}, {begun} FROM n;
"""


def fill(variant: apps.Variant, project: Path, folder: Path, database_url: str, count: int) -> None:
    """Make the tables and fill them, with nothing running."""
    progress(f"{variant.name}: filling a store with {count:,} subscriptions")
    file = folder / "fill.sql"
    if variant.runtime == "worker":
        file.write_text(statements(count))
        _wrangler(project, folder, "migrations", "apply", "DB")
        _wrangler(project, folder, "execute", "DB", "--file", file)
    else:
        # Postgres does so by itself a minute later; nobody does it on D1.
        file.write_text(statements(count) + "ANALYZE;\n")
        _python(variant, project, database_url, "fill", file)


def plan(variant: apps.Variant, project: Path, folder: Path, database_url: str, user_id: str) -> list[str]:
    """How the store answers the query of an access check, a step a line; with nothing running."""
    if variant.runtime != "worker":
        return _python(variant, project, database_url, "plan", user_id).splitlines()
    printed = run([node.NODE, "--input-type=module", "--eval", _PRINT_QUERY], cwd=project, timeout=30)
    file = folder / "plan.sql"
    file.write_text("EXPLAIN QUERY PLAN " + printed.stdout.replace("?1", f"'{user_id}'"))
    answer: list[dict[str, Any]] = json.loads(_wrangler(project, folder, "execute", "DB", "--json", "--file", file))
    return [str(row["detail"]) for row in answer[0]["results"]]


def _wrangler(project: Path, folder: Path, *command: str | Path) -> str:
    words: list[str | Path] = [project / "node_modules" / ".bin" / "wrangler", "d1", *command]
    where: list[str | Path] = ["--local", "--persist-to", folder / "store"]
    return run(words + where, cwd=project, timeout=300, env=node.environment()).stdout


def _python(variant: apps.Variant, project: Path, database_url: str, *command: str | Path) -> str:
    env = environment(variant, {"DATABASE_URL": database_url})
    words: list[str | Path] = ["uv", "run", "--no-sync", "python", _SQL]
    return run([*words, *command], cwd=project, timeout=300, env=env).stdout
