"""Ways to break a generated app, the same in both runtimes. Those of a group do not hide each other."""

from __future__ import annotations

from hooks.api_version import earliest_removal
from tests.catalogues import CATALOGUES, ORGANIZATION_ID
from tests.operations.conftest import CATALOGUE
from tests.operations.doctor.projects import Edit, Mutation
from tests.support.api_version import API_VERSION

_APP, _MAIN = "src/app.ts", "src/app/main.py"
_WEBHOOK, _INBOX = "src/billing/webhook.ts", "src/app/billing/inbox.py"
_ROUTES = "src/app/billing/routes.py"
_POLICY_TS, _POLICY_PY = "src/billing/policy-table.ts", "src/app/billing/policy_table.py"
_CATALOG_TS, _CATALOG_PY = "src/billing/catalog.ts", "src/app/billing/catalog.py"
_VERIFIER_TS = "    return { payload: await webhooks.validateEvent(body, headers, secret) };\n"
_VERIFIER_PY = "        return validate_event(body, dict(headers), secret, EVENT_TYPES, _Signed)\n"
_OPENED = "next((signed for secret in secrets if (signed := _open(secret, headers, body))), None)"
_LOOKED_AT_PY = """\
    if not inbox.may_be_signed(request.headers):
        raise BillingError("invalid_signature", headers={"Connection": "close"})
"""
_ANY_TIME = (
    Edit(_WEBHOOK, "  return Boolean(named);\n",
         "  return Boolean(named) && Math.abs(age) <= TOLERANCE_SECONDS;\n"),
    Edit(_INBOX, "    if named:\n", "    if named and abs(age) <= TOLERANCE_SECONDS:\n"),
)  # fmt: skip
_WITHOUT_CLOCK_TS = """
    const content = `${headers["webhook-id"]}.${headers["webhook-timestamp"]}.${new TextDecoder().decode(body)}`;
    const algorithm = { name: "HMAC", hash: "SHA-256" };
    const key = await crypto.subtle.importKey("raw", new TextEncoder().encode(secret), algorithm, false, ["sign"]);
    const mac = await crypto.subtle.sign("HMAC", key, new TextEncoder().encode(content));
    return headers["webhook-signature"] === `v1,${btoa(String.fromCharCode(...new Uint8Array(mac)))}` ? {} : null;
"""
_WITHOUT_CLOCK_PY = """
        import base64, hashlib, hmac
        sent = {name.lower(): value for name, value in headers.items()}
        content = f"{sent.get('webhook-id')}.{sent.get('webhook-timestamp')}.".encode() + body
        mac = hmac.digest(secret.encode(), content, hashlib.sha256)
        right = sent.get("webhook-signature") == f"v1,{base64.b64encode(mac).decode()}"
        return _Signed(None) if right else None
"""
_PRO_MONTHLY = next(product["id"] for product in CATALOGUES[CATALOGUE]() if product["name"] == "Pro Monthly")
_ENDS, _OLD_ENDS = earliest_removal(API_VERSION), earliest_removal("2026-04")
_WRONG_ID = "12345678-1234-4234-8234-123456789012"

UNVERIFIED = Mutation(
    "the signature is not verified",
    (Edit(_WEBHOOK, "  const plausible = true;\n", "  const plausible = mayBeSigned(headers);\n"),
     Edit(_WEBHOOK, "  const signed = {};\n",
          "  const signed = plausible ? await openSigned(body, headers, deps.secrets) : null;\n")),
    (Edit(_ROUTES, "", _LOOKED_AT_PY), Edit(_INBOX, "    signed = _Signed(None)\n", f"    signed = {_OPENED}\n")),
    {
        "webhook_unsigned": ("POST /webhooks/polar",),
        "webhook_wrong_signature": ("POST /webhooks/polar",),
        "webhook_stale": ("POST /webhooks/polar",) * 2,
        "webhook_replayed": ("POST /webhooks/polar",) * 3,
    },
)  # fmt: skip
NO_SLASH = Mutation(
    "the route does not answer with a slash",
    (Edit(_APP, '["/webhooks/polar"]', '["/webhooks/polar", "/webhooks/polar/"]'),),
    (Edit(_ROUTES, "", '@router.post("/webhooks/polar/", status_code=202, include_in_schema=False)\n'),),
    {"webhook_route": ("POST /webhooks/polar/",)},
)
NO_CLOCK = Mutation(
    "the timestamp is not looked at",
    (_ANY_TIME[0], Edit(_WEBHOOK, _WITHOUT_CLOCK_TS, _VERIFIER_TS)),
    (_ANY_TIME[1], Edit(_INBOX, _WITHOUT_CLOCK_PY, _VERIFIER_PY)),
    {"webhook_stale": ("POST /webhooks/polar",) * 2},
)
EVERYBODY_HAS_ACCESS = Mutation(
    "the guard lets everybody in who is signed in",
    (Edit("src/billing/require-access.ts", "requireAccess = guard(() => true)",
          "requireAccess = guard(({ access }) => access)"),),
    (Edit("src/app/billing/require_access.py", "_require(request, billing, now, lambda decision: True)",
          "_require(request, billing, now, lambda decision: decision.access)"),),
    {"premium_unprotected": ("GET /api/premium/hello",)},
)  # fmt: skip
ANY_SIGNATURE = Mutation(
    "any signature will do",
    (_ANY_TIME[0],
     Edit(_WEBHOOK, '    return headers["webhook-signature"] === undefined ? null : {};\n', _VERIFIER_TS)),
    (_ANY_TIME[1],
     Edit(_INBOX, '        return _Signed(None) if "webhook-signature" in headers else None\n', _VERIFIER_PY)),
    {
        "webhook_wrong_signature": ("POST /webhooks/polar",),
        "webhook_stale": ("POST /webhooks/polar",) * 2,
        "webhook_replayed": ("POST /webhooks/polar",) * 3,
    },
)  # fmt: skip
TOKENS_BELIEVED = Mutation(
    "tokens are read and not verified",
    (Edit("src/auth/jwt.ts", "import { compactVerify, decodeJwt, ", "import { compactVerify, "),
     Edit("src/auth/jwt.ts", "claims = token.includes('.') ? decodeJwt(token) : await open(token);",
          "claims = await open(token);")),
    (Edit("src/app/auth/jwt.py", 'self._jws.decode(token, self._secret or "", options={"verify_signature": False})',
          'self._jws.decode(token, self._secret or "", algorithms=["HS256"])'),),
    {"sign_in_forged": ("GET /billing/access",) * 2},
)  # fmt: skip
OPEN_BILLING_ROUTE = Mutation(
    "a route of billing asks for nobody",
    (Edit(_APP, '  app.get("/billing/export", (c) => c.json({}));\n  app.get("/billing/plans"',
          '  app.get("/billing/plans"'),),
    (Edit(_ROUTES, 'router.get("/billing/export")(lambda: {})\n\nCheckout = ', "Checkout = "),),
    {"user_route_unprotected": ("GET /billing/export",)},
)  # fmt: skip
MOVED = Mutation(
    "the route is elsewhere",
    (Edit(_APP, '["/hooks/polar", "/hooks/polar/"]', '["/webhooks/polar", "/webhooks/polar/"]'),),
    (Edit(_ROUTES, '"/hooks/polar', '"/webhooks/polar'),),
    {"webhook_route": ("POST /webhooks/polar", "POST /webhooks/polar/")},
)
BEHIND_SIGN_IN = Mutation(
    "the route wants a signed-in user",
    (Edit(_APP, "    app.use(path, requireUser);\n    app.post(path, (c) => {\n      const { webhookSecrets",
          "    app.post(path, (c) => {\n      const { webhookSecrets"),),
    (Edit(_ROUTES, "CurrentUser, Now, billing_of, current_user\n", "CurrentUser, Now, billing_of\n"),
     Edit(_ROUTES, "    status_code=202,\n    dependencies=[Depends(current_user)],\n", "    status_code=202,\n"),
     Edit(_ROUTES, '"/webhooks/polar/", dependencies=[Depends(current_user)], ', '"/webhooks/polar/", ')),
    {"webhook_route": ("POST /webhooks/polar", "POST /webhooks/polar/")},
)  # fmt: skip
EVENT_REMOVED = Mutation(
    "an event type is not in the table",
    (Edit("src/billing/events.ts", "", '  "order.paid": "order",\n'),),
    (Edit("src/app/billing/events.py", "", '    "order.paid": "order",\n'),),
    {"event_unhandled": ("order.paid",)},
)
EVENT_ONLY_STORED = Mutation(
    "an event type is only stored",
    (Edit("src/billing/events.ts", '"subscription.revoked": null', '"subscription.revoked": "subscription"'),),
    (Edit("src/app/billing/events.py", '"subscription.revoked": None', '"subscription.revoked": "subscription"'),),
    {"event_unhandled": ("subscription.revoked",)},
)
EVENT_UNREADABLE = Mutation(
    "a projection wants a field that events do not have",
    (Edit("src/billing/projections/benefit-grant.ts", '(data, "benefit")', '(data, "benefit_id")'),),
    (Edit("src/app/billing/projections.py", 'required_text(data, "benefit")', 'required_text(data, "benefit_id")'),),
    {"event_unhandled": tuple(f"benefit_grant.{what}" for what in ("created", "cycled", "updated", "revoked"))},
)
BEFORE_THE_GUARD = Mutation(
    "a premium route stands before the guard",
    (Edit(_APP, "  app.get(`${PREMIUM_PATH}/reports`, (c) => c.json({}));\n  app.use(`${PREMIUM_PATH}/*`",
          "  app.use(`${PREMIUM_PATH}/*`"),),
    (Edit(_MAIN, '    app.get(f"{PREMIUM_PATH}/reports")(lambda: {})\n    app.include_router(routes.router)\n',
          "    app.include_router(routes.router)\n"),),
    {"premium_unprotected": ("GET /api/premium/reports",) * 2},
)  # fmt: skip
NO_GRACE = Mutation(
    "a declined payment ends access at once",
    (Edit(_POLICY_TS, 'past_due: "never"', 'past_due: "within_grace"'),),
    (Edit(_POLICY_PY, '"past_due": "never"', '"past_due": "within_grace"'),),
    {"access_table": ("subscription past_due, 0 day(s) late", "subscription past_due, 13 day(s) late")},
)
ENDLESS_RENEWAL = Mutation(
    "access goes on without a renewal",
    (Edit(_POLICY_TS, "RENEWAL_LIMIT_DAYS = 140", "RENEWAL_LIMIT_DAYS = 14"),),
    (Edit(_POLICY_PY, "RENEWAL_LIMIT = 140 * DAY", "RENEWAL_LIMIT = 14 * DAY"),),
    {"access_table": ("subscription active, 14 day(s) late", "subscription trialing, 14 day(s) late")},
)
REFUNDS_IGNORED = Mutation(
    "a refunded order keeps access",
    (Edit(_POLICY_TS, "  refunded: true", "  refunded: false"),),
    (Edit(_POLICY_PY, '"refunded": True', '"refunded": False'),),
    {"access_table": ("order refunded",)},
)
FREE_IS_PREMIUM = Mutation(
    "the free product gives access",
    (Edit(_CATALOG_TS, "premium: true", "premium: false"),),
    (Edit(_CATALOG_PY, "premium=True", "premium=False"),),
    {"access_table": ("product free",)},
)
WRONG_ID = Mutation(
    "a product has a wrong id",
    (Edit(_CATALOG_TS, _WRONG_ID, _PRO_MONTHLY),),
    (Edit(_CATALOG_PY, _WRONG_ID, _PRO_MONTHLY),),
    {"product_missing": ("product pro_monthly",)},
)
WRONG_PRICE = Mutation(
    "a price was edited",
    (Edit(_CATALOG_TS, "amount: 15000", "amount: 19000"),),
    (Edit(_CATALOG_PY, "amount=15000", "amount=19000"),),
    {"price_changed": ("product pro_yearly",)},
)
OTHER_ORGANIZATION = Mutation(
    "the catalogue is another organization's",
    (Edit(_CATALOG_TS, _WRONG_ID, ORGANIZATION_ID),),
    (Edit(_CATALOG_PY, _WRONG_ID, ORGANIZATION_ID),),
    {"organization_other": ("POLAR_ACCESS_TOKEN",)},
)
OLD_VERSION = Mutation(
    "the code speaks an older version",
    (Edit("src/billing/polar-sdk.ts", 'API_VERSION = "2026-04"', f'API_VERSION = "{API_VERSION}"'),
     Edit("src/billing/polar-sdk.ts", f'_REMOVAL = "{_OLD_ENDS}"', f'_REMOVAL = "{_ENDS}"')),
    (Edit("src/app/billing/polar_sdk.py", 'API_VERSION = "2026-04"', f'API_VERSION = "{API_VERSION}"'),
     Edit("src/app/billing/polar_sdk.py", f'_REMOVAL = "{_OLD_ENDS}"', f'_REMOVAL = "{_ENDS}"')),
    {"api_version_ending": ("API version 2026-04",), "endpoint_version": ("endpoint endpoint-1",)},
)  # fmt: skip
NOT_MIGRATED = Mutation(
    "a migration was not applied",
    (Edit("migrations/5001_mine.sql", "CREATE TABLE mine (id TEXT PRIMARY KEY);\n"),),
    (Edit("src/app/migrations/versions/5001_mine.py",
          'revision = "mine"\ndown_revision = None\nbranch_labels = ("app",)\ndepends_on = None\n\n\n'
          "def upgrade() -> None:\n    pass\n"),),
    {"migrations_missing": ("database",)},
)  # fmt: skip

GROUPS = (
    (UNVERIFIED, NO_SLASH),
    (NO_CLOCK, EVERYBODY_HAS_ACCESS),
    (ANY_SIGNATURE, TOKENS_BELIEVED, OPEN_BILLING_ROUTE),
    (MOVED, EVENT_REMOVED, EVENT_ONLY_STORED, EVENT_UNREADABLE, BEFORE_THE_GUARD),
    (BEHIND_SIGN_IN, NO_GRACE, ENDLESS_RENEWAL, REFUNDS_IGNORED, FREE_IS_PREMIUM),
    (WRONG_ID, WRONG_PRICE, OTHER_ORGANIZATION, OLD_VERSION, NOT_MIGRATED),
)
