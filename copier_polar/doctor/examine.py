"""All checks, and what comes of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from copier_polar.bridge import StoreProblem
from copier_polar.doctor import committed, endpoint, environment, probes, products, records, rules, store, token
from copier_polar.doctor.checks import CHECKS
from copier_polar.doctor.examination import Examination, Found
from copier_polar.doctor.skipped import Skipped

Checker = Callable[[Examination], Iterator[Found]]

CHECKERS: dict[str, Checker] = {
    "settings_unfit": environment.settings_unfit,
    "demo_ids": environment.demo_ids,
    "server_mismatch": environment.server_mismatch,
    "token_kind": environment.token_kind,
    "secret_legacy": environment.secret_legacy,
    "secret_committed": committed.secret_committed,
    "secret_readable": environment.secret_readable,
    "app_url_insecure": environment.app_url_insecure,
    "store_unreachable": store.store_unreachable,
    "migrations_missing": store.migrations_missing,
    "schema_drift": store.schema_drift,
    "webhook_route": probes.webhook_route,
    "webhook_unsigned": probes.webhook_unsigned,
    "webhook_wrong_signature": probes.webhook_wrong_signature,
    "webhook_stale": probes.webhook_stale,
    "webhook_replayed": probes.webhook_replayed,
    "event_unhandled": rules.event_unhandled,
    "premium_unprotected": probes.premium_unprotected,
    "user_route_unprotected": probes.user_route_unprotected,
    "sign_in_forged": probes.sign_in_forged,
    "access_table": rules.access_table,
    "polar_time": token.polar_time,
    "token_refused": token.token_refused,
    "token_scope_missing": token.token_scope_missing,
    "token_scope_extra": token.token_scope_extra,
    "api_version_removed": token.api_version_removed,
    "api_version_ending": token.api_version_ending,
    "organization_other": products.organization_other,
    "product_missing": products.product_missing,
    "product_archived": products.product_archived,
    "price_changed": products.price_changed,
    "endpoint_missing": endpoint.endpoint_missing,
    "endpoint_duplicate": endpoint.endpoint_duplicate,
    "endpoint_disabled": endpoint.endpoint_disabled,
    "endpoint_events": endpoint.endpoint_events,
    "endpoint_format": endpoint.endpoint_format,
    "endpoint_version": endpoint.endpoint_version,
    "endpoint_secret": endpoint.endpoint_secret,
    "deliveries_failing": endpoint.deliveries_failing,
    "deployed_route": endpoint.deployed_route,
    "events_dead": records.look("events_dead"),
    "events_failed": records.look("events_failed"),
    "status_unknown": records.look("status_unknown"),
    "background_idle": records.look("background_idle"),
    "reactions_dead": records.look("reactions_dead"),
    "owner_disputed": records.look("owner_disputed"),
    "customers_unlinked": records.look("customers_unlinked"),
    "customers_marked": records.look("customers_marked"),
    "products_unknown": records.products_unknown,
    "projection_drift": records.projection_drift,
}


@dataclass(frozen=True)
class Result:
    """What came of one check: what it found, or why it was not made."""

    check_id: str
    found: list[Found]
    skipped: str | None = None


def examine(x: Examination) -> Iterator[Result]:
    """Make all checks, in the order of the registry."""
    for check_id in CHECKS:
        try:
            yield Result(check_id, list(CHECKERS[check_id](x)))
        except (Skipped, StoreProblem) as error:
            yield Result(check_id, [], str(error))
