"""The checks by id, in the order of the report, and what else is the same words wherever the doctor looks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Priority = Literal["P1", "P2", "P3"]


@dataclass(frozen=True)
class Check:
    """P1: money or access is at stake now. P2: it soon may be. P3: polish."""

    priority: Priority
    title: str
    fix: str


@dataclass(frozen=True)
class ScopeProbe:
    """A request that tells whether the token has a scope and changes nothing.

    Polar looks at the scope before it reads the body. A list is no body that it accepts, and NIL no object that it has.
    """

    scope: str
    method: str
    path: str


# In a fix `{billing}` stands for how commands begin in the project.
REFRESH = "`{billing} update --defaults --data refresh_catalog=true`"
CHECKS: dict[str, Check] = {
    "settings_unfit": Check("P1", "Invalid settings", "Correct the variable; the README lists them all."),
    "demo_ids": Check(
        "P1",
        "Demo ids are still in use",
        "Connect your account: `{billing} update --data polar_server=sandbox` (see the README).",
    ),
    "server_mismatch": Check(
        "P1",
        "The catalogue is of another server",
        "Set POLAR_SERVER to the server of the catalogue, or read the catalogue again from the other.",
    ),
    "token_kind": Check(
        "P2",
        "The access token is of the wrong kind",
        "Use an organization access token (polar_oat_…), from Settings > Developers at Polar.",
    ),
    "secret_legacy": Check(
        "P3",
        "The webhook secret signs in the old scheme",
        "When you next renew it, Polar moves the endpoint to Standard Webhooks; both are verified.",
    ),
    "secret_committed": Check(
        "P1",
        "A secret is in a file that git knows",
        "Renew the secret at Polar, then take it out of the file: what was pushed stays known.",
    ),
    "secret_readable": Check(
        "P3", "Others on this machine can read the secrets", "Take the right from them: chmod 600."
    ),
    "app_url_insecure": Check(
        "P1", "Polar cannot call the app's address", "Set APP_URL to the public https:// origin of the app."
    ),
    "store_unreachable": Check(
        "P1", "The database does not answer", "Check that the database runs, and the settings of the app that name it."
    ),
    "migrations_missing": Check("P1", "Migrations are missing", "Run `{billing} migrate`, before the app starts."),
    "schema_drift": Check(
        "P1",
        "The tables are not those of the migrations",
        "Put back what is missing, from the migrations of billing; write changes as migrations of your own.",
    ),
    "webhook_route": Check(
        "P1",
        "The webhook route does not answer as it must",
        "POST /webhooks/polar, with and without a slash, must reach the handler: no redirect, no sign-in.",
    ),
    "webhook_unsigned": Check(
        "P1",
        "Unsigned webhooks are accepted",
        "Verify the signature before anything else: anybody can give themselves access now.",
    ),
    "webhook_wrong_signature": Check(
        "P1",
        "Wrongly signed webhooks are accepted",
        "Verify with the SDK and the configured secrets, on the raw bytes.",
    ),
    "webhook_stale": Check(
        "P1", "Webhooks with an old or future timestamp are accepted", "Verify with the SDK: it allows five minutes."
    ),
    "webhook_replayed": Check(
        "P1", "A replayed signature is accepted", "Verify with the SDK: id, timestamp and body are all signed."
    ),
    "event_unhandled": Check("P1", "An event is not applied", "Let the event go to its projection again."),
    "premium_unprotected": Check(
        "P1",
        "A premium route is open",
        "Put the access check before the route: requireAccess, or Depends(require_access).",
    ),
    "user_route_unprotected": Check(
        "P1", "A route of billing is open to everybody", "Let the route ask who is signed in."
    ),
    "sign_in_forged": Check(
        "P1",
        "Forged sign-ins are accepted",
        "Check signature, algorithm and expiry of the token, or the session, before believing it.",
    ),
    "access_table": Check(
        "P2",
        "The access rules are not the generated ones",
        "If you changed them on purpose, all is well; else take the generated ones back.",
    ),
    "polar_time": Check(
        "P1", "The clock of this machine is wrong", "Set the clock by NTP: webhooks are refused five minutes off."
    ),
    "token_refused": Check(
        "P1",
        "Polar refuses the access token",
        "Make a token at the server of POLAR_SERVER: sandbox and production do not know each other's.",
    ),
    "token_scope_missing": Check(
        "P1", "The access token lacks scopes", "Give the token the scope, in Settings > Developers at Polar."
    ),
    "token_scope_optional": Check(
        "P2",
        "The access token lacks scopes that only one part needs",
        "Give the token the scope, in Settings > Developers at Polar; until then that part is off.",
    ),
    "token_scope_extra": Check(
        "P2",
        "The access token may do too much",
        "Take the scope away: the app does not use it, and whoever steals the token could.",
    ),
    "api_version_removed": Check("P1", "Polar no longer has this API version", "Update it: `{billing} update`."),
    "api_version_ending": Check(
        "P2", "Polar may soon remove this API version", "Update the project in time: `{billing} update`."
    ),
    "organization_other": Check(
        "P1",
        "The token is of another organization",
        "Use a token of the catalogue's organization, or read the catalogue again with this one.",
    ),
    "product_missing": Check(
        "P1",
        "A product is not at Polar",
        f"Read the catalogue again: {REFRESH}.",
    ),
    "product_archived": Check(
        "P2",
        "A product for sale is archived at Polar",
        f"Unarchive it, or read the catalogue again: {REFRESH}.",
    ),
    "price_changed": Check(
        "P2",
        "Prices are not those at Polar",
        f"Read the catalogue again: {REFRESH}.",
    ),
    "organization_settings": Check(
        "P2",
        "The organization's settings are others than when the project was generated",
        f"Run {REFRESH}, or answer the questions otherwise.",
    ),
    "product_braces": Check(
        "P3",
        "A product's name has braces",
        "Rename it at Polar: with braces in its name, Polar fails to change a subscription to it.",
    ),
    "endpoint_missing": Check("P1", "No webhook endpoint is registered for the app", "Run `{billing} endpoint sync`."),
    "endpoint_duplicate": Check(
        "P2", "Two webhook endpoints are registered for the app", "Delete one at Polar: every event comes twice."
    ),
    "endpoint_disabled": Check(
        "P1",
        "The webhook endpoint is switched off",
        "Remove the cause of the failed deliveries, then run `{billing} endpoint sync`.",
    ),
    "endpoint_events": Check("P1", "The webhook endpoint does not send all events", "Run `{billing} endpoint sync`."),
    "endpoint_format": Check("P1", "The webhook endpoint sends another format", "Run `{billing} endpoint sync`."),
    "endpoint_version": Check("P2", "The webhook endpoint sends another API version", "Run `{billing} endpoint sync`."),
    "endpoint_secret": Check(
        "P1",
        "The app does not have the endpoint's secret",
        "Set POLAR_WEBHOOK_SECRET to the secret of the endpoint; the old one may stay beside it.",
    ),
    "deliveries_failing": Check(
        "P2",
        "Deliveries failed",
        "Remove the cause, then let Polar repeat them: `{billing} replay --from-polar --failed`.",
    ),
    "deployed_route": Check(
        "P1",
        "The deployed webhook route does not answer as it must",
        "Deploy the app at APP_URL, and let POST /webhooks/polar pass unhindered.",
    ),
    "events_dead": Check(
        "P1", "Events could not be applied and are given up", "Remove the cause, then run `{billing} replay`."
    ),
    "events_failed": Check(
        "P2", "Events could not be applied yet", "They are tried again by themselves; the error says why they fail."
    ),
    "status_unknown": Check(
        "P1",
        "A purchase has a status that the rules do not know",
        "It gives no access. Update the project: `{billing} update`.",
    ),
    "background_idle": Check(
        "P1",
        "The background work does not run",
        "Run it: the cron trigger of the Worker, or a process of the app that stays up.",
    ),
    "reactions_dead": Check(
        "P2",
        "Reactions of your own code were given up",
        "Correct the reaction, then run `{billing} replay --reactions-dead`.",
    ),
    "owner_disputed": Check(
        "P1",
        "Purchase and customer name different users",
        "The purchase and its benefits count for the first one. Ask the buyer who the customer is.",
    ),
    "blocked_paying": Check(
        "P2",
        "Blocked users are still charged",
        "Cancel their subscription at Polar, or run `{billing} block --off` with the user.",
    ),
    "subscriptions_several": Check(
        "P2",
        "Customers have two live subscriptions, and one is allowed",
        "Cancel one of them at Polar, and refund it if need be.",
    ),
    "customers_unlinked": Check(
        "P2",
        "Customers belong to no user",
        "Run `{billing} unlinked --personal`, then `{billing} link`: what they bought gives nobody access.",
    ),
    "customers_marked": Check(
        "P3",
        "Customers wait to be compared with Polar",
        "Wait for the background work, or run `{billing} reconcile`.",
    ),
    "products_unknown": Check(
        "P2",
        "Customers hold products that the code does not know",
        "Read the catalogue again if you sell them; they give no access.",
    ),
    "projection_drift": Check("P2", "Customers are not as Polar has them", "Run `{billing} reconcile`."),
}

NIL = "00000000-0000-0000-0000-000000000000"
SCOPES_NEEDED = (
    ScopeProbe("checkouts:write", "POST", "/v1/checkouts/"),
    ScopeProbe("customers:read", "GET", "/v1/customers/"),
    ScopeProbe("customers:write", "POST", "/v1/customers/"),
    ScopeProbe("customer_sessions:write", "POST", "/v1/customer-sessions/"),
    ScopeProbe("subscriptions:read", "GET", "/v1/subscriptions/"),
    ScopeProbe("subscriptions:write", "PATCH", f"/v1/subscriptions/{NIL}"),
    ScopeProbe("orders:read", "GET", "/v1/orders/"),
    ScopeProbe("benefits:read", "GET", "/v1/benefit-grants/"),
)
# A missing one switches off only its part: the reconciliation of disputed orders.
SCOPES_OPTIONAL = (ScopeProbe("disputes:read", "GET", "/v1/disputes/"),)
SCOPE_OF_SUBSCRIPTIONS = "subscriptions:write"  # needed only where they are sold
SCOPES_DANGEROUS = (
    ScopeProbe("refunds:write", "POST", "/v1/refunds/"),
    ScopeProbe("products:write", "POST", "/v1/products/"),
    ScopeProbe("benefits:write", "POST", "/v1/benefits/"),
    ScopeProbe("discounts:write", "POST", "/v1/discounts/"),
    ScopeProbe("organizations:write", "PATCH", f"/v1/organizations/{NIL}"),
)

# Why deliveries fail, by the first digits of the answer that Polar got.
DELIVERY_CAUSES = {
    "none": "no answer within ten seconds: time-out, TLS or network",
    "3": "a redirect: Polar follows none, so register the final address",
    "401": "the signature was refused: another secret, or a clock that is wrong",
    "403": "refused before the app: Cloudflare's Bot Fight Mode does so, and must be off for this host",
    "404": "no such route: another address, or an app without it",
    "413": "the body was refused as too large",
    "4": "refused by the app or by what stands before it",
    "5": "the app or its database failed",
}

# The least that an event of any type carries, as far as billing reads it.
SAMPLE: dict[str, object] = {
    "id": "doctor",
    "customer_id": "doctor",
    "benefit_id": "doctor",
    "status": "active",
    "created_at": "2026-01-01T00:00:00Z",
    "active_subscriptions": [],
    "granted_benefits": [],
}
